"""A call whose outcome is not known and that may not be repeated: what people are asked, and what their answer means.

The call was committed and perhaps sent; then the process died, the line broke or the time was over. People say: it happened (with
its result), it may be repeated, or the step fails. The call stays `unknown` in the ledger, with what it was charged.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flows.engine.failures import UnknownOutcome
from flows.engine.kinds import Done
from flows.execution.claims import RequestRow
from flows.execution.context import Ask, OpenCall, StepContext
from flows.execution.jsontext import load

CHOICES = {"happened": "approve", "repeat": "approve", "fail": "reject"}
"""What may be answered, and what it means."""


def sent(call: OpenCall, now: datetime) -> dict[str, Any]:
    """What is known of a call that was just lost, in the form in which the journal gives it back."""
    return {"target": call.intent.target, "request": call.intent.request, "key": str(call.key), "at": now.isoformat()}


def question(context: StepContext, failure: UnknownOutcome) -> Ask:
    """What people are asked about the newest call of this step."""
    call = context.past.unresolved or {}
    target = str(call.get("target") or context.node.key)
    payload = {
        "tool": target,
        "arguments": load(call.get("request")),
        "key": call.get("key"),
        "sent_at": call.get("at"),
        "error": failure.message,
    }
    terms: dict[str, Any] = {"outcomes": CHOICES, "order": list(CHOICES), "attempt": context.attempt, "target": target}
    if context.result_schema:
        terms["result_schema"] = dict(context.result_schema)
    return Ask("unknown", f"Did {target} happen? Step {context.path} does not know", payload, terms)


def asked_in(row: RequestRow) -> int:
    """The attempt that the question is about."""
    return int(row.terms.get("attempt", 0))


def result_of(row: RequestRow) -> Done:
    """The step's result as people entered it."""
    answer = load(row.answer)
    return Done(answer.get("result") if isinstance(answer, dict) else None)


def failure_of(row: RequestRow) -> UnknownOutcome:
    """Why the step fails where people said so."""
    by = row.by or "somebody"
    return UnknownOutcome(
        f"Whether {row.terms.get('target', 'the call')} happened is not known; {by} decided that the step fails."
    )
