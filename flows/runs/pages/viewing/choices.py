"""What of a run one request wants to see: tab, pass, step; and the addresses of other choices."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.http import QueryDict
from django.urls import reverse

from flows.access.actor import Actor
from flows.access.masking import mask_of
from flows.access.rights import Right
from flows.engine.masking import Mask
from flows.models import Run
from flows.runs.lineage import PassLine, pass_lines
from flows.runs.reads import run_named

TABS = (
    ("overview", "Overview"),
    ("timeline", "Timeline"),
    ("events", "Events"),
    ("io", "Input & output"),
    ("cost", "Cost"),
    ("approvals", "Approvals"),
)


class Choices:
    """What of a run one request wants to see: tab, pass, step; and the addresses of other choices."""

    def __init__(self, request: Any, run_id: str) -> None:
        self.query: QueryDict = request.GET
        self.actor: Actor = request.actor
        self.run: Run = run_named(self.actor, run_id)
        self.url = reverse("run", args=[run_id])

    @cached_property
    def tab(self) -> str:
        names = [name for name, _ in TABS]
        wanted = self.query.get("tab", "")
        return wanted if wanted in names else names[0]

    @cached_property
    def tabs(self) -> list[dict[str, Any]]:
        shown = [(name, label) for name, label in TABS if name != "cost" or self.may_see_costs]
        return [
            {"label": label, "url": self.address(tab=None if name == TABS[0][0] else name), "current": name == self.tab}
            for name, label in shown
        ]

    @cached_property
    def pass_number(self) -> int:
        number = number_in(self.query.get("pass"))
        return number if number is not None and 1 <= number <= self.run.pass_number else self.run.pass_number

    @cached_property
    def passes(self) -> list[PassLine]:
        return pass_lines(self.run)

    @property
    def pass_words(self) -> str:
        return f"Pass {self.pass_number} of {self.run.pass_number}"

    def address(self, **changes: Any) -> str:
        """The page with other choices; None takes one away."""
        kept = {name: self.query[name] for name in ("tab", "pass", "step", "attempt") if self.query.get(name)}
        chosen = {name: str(value) for name, value in {**kept, **changes}.items() if value not in (None, "")}
        query = QueryDict(mutable=True)
        query.update(chosen)
        text = query.urlencode(safe=",:![]")
        return f"{self.url}?{text}" if text else self.url

    @cached_property
    def may_see_costs(self) -> bool:
        return self.actor.may(Right.SEE_COSTS, self.run.flow.team_id)

    @cached_property
    def mask(self) -> Mask:
        """What must not be shown of this run."""
        return mask_of(self.run)


def number_in(text: str | None) -> int | None:
    """The number that an address names; None where it names none."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None
