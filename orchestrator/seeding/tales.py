"""What happened here before, by the demonstration: runs that are really carried out once and then told again for many days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CONTRACT = """\
The supplier delivers the goods within thirty days after the order was confirmed in writing.

The buyer may end this agreement at any time with a notice of ninety days in writing.

The supplier is not liable for delays that are caused by events beyond its control.

Invoices are paid within fourteen days; what is paid later bears interest of eight percent.
"""
NO_SERVICE = "[[receiver: fail=503]]"
"""In what is sent to the demonstration's receiver: it answers that it is not available."""

HANGS_UP = "[[receiver: hang up]]"
"""The same: it takes it, and cuts the line before it has answered."""


@dataclass(frozen=True, slots=True)
class Tale:
    """A run and how often it is told. `answer` is what people decide on what it asks: approve or reject. `end` is how it ends."""

    flow: str
    given: Mapping[str, Any]
    times: int
    by: str = "operator"
    answer: str = "approve"
    end: str = "succeeded"
    source: str = "page"
    tags: tuple[str, ...] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)


def refund(amount: int, order: str, message: str = "I was charged twice and want a refund.") -> dict[str, Any]:
    return {"message": message, "amount": amount, "order": order}


TALES: tuple[Tale, ...] = (
    Tale("refund_decision", refund(84, "A-1041"), 430, tags=("team:ops",), source="api"),
    Tale("refund_decision", refund(380, "A-1077"), 130, tags=("team:ops",), source="api"),
    Tale("refund_decision", refund(95, "A-1102"), 44, answer="reject", tags=("team:ops",)),
    Tale("refund_decision", refund(61, f"A-1113 {NO_SERVICE}"), 26, end="failed", tags=("team:ops",), source="api"),
    Tale("support-triage", {"message": "The export stops with an error.", "sender": "ann@example.com"}, 400, by="builder"),
    Tale("support-triage", {"message": "When do you open?", "sender": "bob@example.com"}, 160, by="builder", answer="reject"),
    Tale("invoice-intake", {"text": "Invoice 17 of Example Ltd: net 100.00, tax 20.00, total 120.00"}, 240, source="schedule"),
    Tale(
        "lead-enrichment",
        {"leads": ["Example Ltd", "Sample GmbH", "Specimen SA", "Muster AG"], "recipient": "ann@example.com"},
        90,
        by="builder",
        tags=("team:growth",),
    ),
    Tale(
        "lead-enrichment",
        {"leads": ["Example Ltd", "Sample GmbH"], "recipient": "ann@example.com"},
        12,
        by="builder",
        end="budget_stopped",
        tags=("team:growth",),
        limits={"cost": "0.000001", "at_limit": "stop"},
    ),
    Tale("contract_check", {"title": "Supply agreement", "document": CONTRACT}, 110),
    Tale("weekly-market-brief", {"topics": ["the harbour", "the market hall"], "recipient": "ann@example.com"}, 6, by="builder"),
    Tale("answer-from-the-handbook", {"question": "How long may I send goods back?"}, 70, by="builder", source="chat"),
)
"""In the order in which they are carried out. Told, they make about seventeen hundred runs."""
