"""What a notice about a request says: the facts of the system, nothing masked, nothing in a model's words."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from approvals.questions import is_question
from approvals.showing.tracing import payload_values, title_is_a_models
from approvals.showing.words import deadline_in_words
from flows.access.audit import names_a_secret
from flows.engine.masking import is_marked
from flows.models import Request

MOST_FACTS = 8
PERSONAL = frozenset({"email", "phone", "iban", "address", "birthday", "ssn", "account"})


def subject_of(request: Request, what: str = "Needs approval") -> str:
    """The line of a message: "Needs approval: Refund 420 – due 09:27 UTC"."""
    flow = request.asking_flow
    title = f"a step of {flow.name if flow is not None else 'a flow'}" if title_is_a_models(request) else request.title
    due = f" – due {request.due.astimezone(UTC):%d %b %H:%M} UTC" if request.due is not None else ""
    return f"{what}: {title}{due}"


def facts_of(request: Request) -> list[tuple[str, str]]:
    """Names and texts: the call, its fields, why it is asked, when it is due and what happens then."""
    flow, terms = request.asking_flow, request.terms
    facts = [("Flow", f"{flow.name}{f' #{request.run.number}' if request.run is not None else ''}")] if flow is not None else []
    if terms.get("tool"):
        facts.append(("Call", str(terms["tool"])))
    facts += _fields(request)
    if terms.get("policy_version"):
        facts.append(("Policy", f"{terms.get('policy_name') or terms['policy']} (v{terms['policy_version']})"))
    if request.due is not None:
        facts.append(("Due", f"{request.due.astimezone(UTC):%d %b %Y %H:%M} UTC. {deadline_in_words(request)}"))
    return facts


def _fields(request: Request) -> list[tuple[str, str]]:
    if is_question(request):
        return []
    schema = (request.terms.get("arguments_schema") or {}).get("properties") or {}
    fields = []
    for value in payload_values(request):
        if not value.is_scalar or value.by_model or is_masked(value.name, schema.get(value.name)) or value.hidden:
            continue
        fields.append((value.name, value.text))
    return fields[:MOST_FACTS]


def is_masked(name: str, schema: Any = None) -> bool:
    """Whether a field is secret or personal: by its name, or since its schema marks it."""
    if names_a_secret(name) or any(word in PERSONAL for word in name.lower().replace("-", "_").split("_")):
        return True
    return is_marked(schema)
