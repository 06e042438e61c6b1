"""Every component in every state, on one page: for those who build pages, and for the tests that look at them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from flows.access.refusals import NotFound
from flows.access.rights import Right
from orchestrator import clock
from orchestrator.pages.navigation import PLACES, Place
from orchestrator.pages.shell import Shell
from orchestrator.templatetags.states import REQUEST_LOOKS, RUN_LOOKS, Segment


class Everywhere(Shell):
    """The shell with every place, also those whose pages are not there yet."""

    @property
    def places(self) -> list[Place]:
        return list(PLACES)


class Specimen(forms.Form):
    """One field of each kind."""

    name = forms.CharField(max_length=40, help_text="As it stands in lists.")
    amount = forms.DecimalField(
        label="Limit for one run", help_text="In dollars. The run asks when it gets there.", required=False
    )
    route = forms.ChoiceField(choices=[("balanced", "balanced"), ("careful", "careful")])
    prompt = forms.CharField(widget=forms.Textarea(attrs={"rows": 3}), required=False)
    at_limit = forms.ChoiceField(choices=[("ask", "Ask a person"), ("stop", "Stop the run")], widget=forms.RadioSelect)
    simulate = forms.BooleanField(
        label="Simulate the models", help_text="Nothing leaves this machine, nothing is charged.", required=False
    )


@require_safe
@login_required
def components(request: HttpRequest) -> HttpResponse:
    may_look(request)
    wrong = Specimen({"name": "", "amount": "much", "route": "balanced", "at_limit": "ask"})
    wrong.is_valid()
    return render(
        request,
        "pages/components.html",
        {
            "shell": Everywhere(request),
            "form": Specimen(initial={"name": "Refund decision", "at_limit": "ask"}, auto_id="good_%s"),
            "wrong": wrong,
            **specimens(),
        },
    )


def may_look(request: HttpRequest) -> None:
    """Raises NotFound for those who do not build pages: they may in a debugging installation, or manage people."""
    if not settings.DEBUG and not request.actor.holdings.allow(Right.MANAGE_PEOPLE):  # type: ignore[attr-defined]
        raise NotFound("page of this address")


def specimens() -> dict[str, Any]:
    now = clock.now()
    states = list(RUN_LOOKS)
    every = [Segment(state, 4 + at * 2, f"Step {at + 1}") for at, state in enumerate(states)]
    refund = [Segment("succeeded", 2, "Webhook"), Segment("succeeded", 12, "Classify"), Segment("skipped", 1, "Notify")]
    rows = [
        ("failed", "Refund decision", 1842, 12, [*refund, Segment("failed", 30, "Send refund")], 3, 247, "0.04317", {}, "ops"),
        (
            "budget_stopped",
            "Lead enrichment",
            77,
            3,
            [Segment("succeeded", 9)] * 8 + [Segment("budget_stopped", 3, "Enrich")],
            125,
            8054,
            "2.0000",
            {"unpriced": True},
            "growth",
        ),
        (
            "waiting_approval",
            "Refund decision",
            1851,
            12,
            [*refund[:2], Segment("waiting_approval", 20, "Approve"), Segment("queued", 4)],
            12,
            760,
            "0.0271",
            {},
            "ops",
        ),
        (
            "running",
            "Support triage",
            8812,
            31,
            [Segment("succeeded", 5), Segment("running", 9, "Draft reply"), Segment("queued", 3), Segment("queued", 3)],
            0,
            41,
            "0.0312",
            {"estimated": True},
            "support",
        ),
        (
            "retrying",
            "Invoice intake",
            311,
            9,
            [Segment("succeeded", 3), Segment("retrying", 8, "Read"), Segment("queued", 5)],
            4,
            12.44,
            "0.0000421",
            {},
            "finance",
        ),
        (
            "waiting",
            "Weekly market brief",
            28,
            4,
            [Segment("succeeded", 8), Segment("waiting", 14, "Wait"), Segment("queued", 2)],
            300,
            273600,
            "0.4300",
            {"simulated": True},
            "research",
        ),
        (
            "succeeded",
            "Contract check",
            902,
            6,
            [Segment("succeeded", at % 5 + 1) for at in range(90)],
            1500,
            12.44,
            "12.3456",
            {},
            "legal",
        ),
        (
            "cancelled",
            "Support triage",
            8809,
            31,
            [Segment("succeeded", 5), Segment("cancelled", 7)],
            42000,
            0.84,
            None,
            {},
            "support",
        ),
        ("queued", "Support triage", 8813, 31, [Segment("queued", 1)] * 5, 0, None, "0", {}, "support"),
    ]
    keys = ("state", "flow", "number", "version", "steps", "minutes", "seconds", "cost", "marks", "tag")
    runs: list[dict[str, Any]] = [dict(zip(keys, row, strict=True)) for row in rows]
    for run in runs:
        run["started"] = now - timedelta(minutes=run["minutes"])
        run["cost"] = Decimal(run["cost"]) if run["cost"] is not None else None
    return {
        "states": states,
        "request_states": list(REQUEST_LOOKS),
        "every": every,
        "runs": runs,
        "moments": [
            now - timedelta(seconds=20),
            now - timedelta(minutes=3),
            now - timedelta(hours=9),
            now - timedelta(days=1),
            now - timedelta(days=40),
            now - timedelta(days=400),
            now + timedelta(minutes=12),
        ],
        "due": now + timedelta(minutes=47, seconds=12),
        "fields": [
            {
                "name": "state",
                "label": "State",
                "options": [(name, look.label) for name, look in RUN_LOOKS.items() if name != "skipped"],
                "states": True,
            },
            {
                "name": "started",
                "label": "Started",
                "options": [("1h", "in the last hour"), ("24h", "in the last 24 h"), ("7d", "in the last 7 days")],
                "many": False,
            },
            {"name": "tag", "label": "Tag"},
        ],
        "tabs": [
            {"label": "Overview", "url": "?tab=overview", "current": True},
            {"label": "Timeline", "url": "?tab=timeline"},
            {"label": "Events", "url": "?tab=events", "count": 41},
            {"label": "Cost", "url": "?tab=cost"},
        ],
        "value": {
            "amount": 420.0,
            "currency": "EUR",
            "customer": {"id": "cus_991", "first_refund": True, "notes": None},
            "reason": "duplicate charge",
            "items": [{"sku": f"A-{at}", "count": at} for at in range(3)],
            "<b>not markup</b>": "<script>alert(1)</script>",
        },
        "changes": [
            {"name": "Classify · prompt", "before": "Refund of {{input.amount}}", "after": "Refund of {{input.amount}} [EUR]"},
            {"name": "Check limit", "after": "input.amount <= 250"},
            {"name": "Notify · channel", "before": "#ops"},
        ],
        "surfaces": [
            "bg",
            "surface",
            "raised",
            "sunken",
            "line",
            "control",
            "text",
            "text-2",
            "text-3",
            "accent",
            "accent-strong",
            "accent-tint",
            "ink",
            "danger",
        ],
        "page_keys": [("n", "New flow")],
        "glyphs": [
            "home",
            "approvals",
            "runs",
            "flows",
            "costs",
            "budgets",
            "models",
            "tools",
            "triggers",
            "audit",
            "settings",
            "templates",
            "search",
            "plus",
            "close",
            "check",
            "chevron-down",
            "chevron-right",
            "arrow-up",
            "arrow-down",
            "arrow-right",
            "more",
            "copy",
            "external",
            "download",
            "upload",
            "filter",
            "refresh",
            "play",
            "pause",
            "stop",
            "undo",
            "link",
            "person",
            "team",
            "sign-out",
            "sun",
            "moon",
            "screen",
            "warning",
            "info",
            "lock",
            "eye",
            "key",
            "keyboard",
            "collapse",
            "pin",
            "tag",
            "calendar",
            "branch",
            "code",
            "edit",
            "trash",
            "bell",
            "live",
            "sort",
            "redo",
            "minus",
            "zoom-in",
            "fit",
            "layout",
            "hand",
            "problem",
            "fallback",
            "kind-set",
            "kind-check",
            "kind-map",
            "kind-loop",
            "kind-retrieve",
            "memory",
            "kind-agent",
            "kind-note",
            "kind-unknown",
        ],
    }
