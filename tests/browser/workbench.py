"""The builder's page as tests use it: a catalogue, a flow that is open in it, and its fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from playwright.sync_api import Locator, expect

from flows.engine.document import parse_document
from flows.models import Flow, ModelEntry, Price, Route, ToolEntry
from tests.makers import make_flow, make_team

REFUND = (Path(settings.BASE_DIR) / "orchestrator/demo_flows/refund_decision.yaml").read_text(encoding="utf-8")
PASTE = """(element, text) => {
  const clipboardData = new DataTransfer()
  clipboardData.setData("text/plain", text)
  element.dispatchEvent(new ClipboardEvent("paste", {clipboardData, bubbles: true, cancelable: true, composed: true}))
}"""
EMPTY = "orchestrator: 1\nname: Empty\nsteps: {}\nedges: []\n"


def fill_catalogue() -> None:
    """What the demonstration's flows refer to."""
    for slug in ("sim-small", "sim-large"):
        model = ModelEntry.objects.create(slug=slug, model=f"sim/{slug[4:]}", simulated=True)
        Price.objects.create(model=model, input="0.25", output="1")
    Route.objects.create(slug="balanced", candidates=["sim-small", "sim-large"])
    arguments = {
        "type": "object",
        "required": ["amount"],
        "properties": {"amount": {"type": "number"}, "reason": {"type": "string"}},
    }
    for slug in ("refunds.create", "mail.send"):
        ToolEntry.objects.create(slug=slug, kind="http", effect="write", repeat="keyed", arguments=arguments)
    make_team("finance")


def opened(visit: Any, person: Any, document: str = REFUND, query: str = "", who: str = "builder", **options: Any) -> Any:
    if not Flow.objects.filter(slug="refund").exists():
        make_flow("refund", document=document)
    at = visit(as_=person(who), **options)
    at.go(f"/flows/refund/edit{query}")
    expect(at.page.locator("#builder[data-ready]")).to_be_attached()
    return at


def saved(at: Any) -> None:
    expect(at.see("saved")).to_have_attribute("data-state", "saved")


def stored() -> Any:
    return parse_document(Flow.objects.get(slug="refund").draft).as_json()


def choose(at: Any, key: str) -> None:
    """Selects a step, as a problem's "Go to" does."""
    at.page.evaluate("path => document.getElementById('canvas').select([path])", key)
    expect(at.page.locator("#inspector-form")).to_have_attribute("data-place", f"steps {key}")


def field(at: Any, pointer: str) -> Locator:
    found: Locator = at.page.locator(f'#inspector [data-at="{pointer}"]')
    return found
