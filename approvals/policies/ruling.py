"""What a policy rules on one occasion, evaluated when a step asks; the request keeps the terms from then on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from approvals.models import Policy
from approvals.policies.settings import PolicySettings, read_settings
from flows.access.refusals import Invalid
from flows.engine.expressions import ExpressionError, parse_expression
from flows.engine.failures import BadRequest
from flows.models import Person, Team
from flows.steps.services import Occasion, Ruling


def rule_on(occasion: Occasion) -> Ruling | None:
    """The ruling of the policy that the step names, or else of the first by name whose patterns match; None where none applies.

    Raises `BadRequest` where the named policy does not exist, is retired, or its expressions cannot be evaluated on this payload.
    """
    policy = _policy_for(occasion)
    if policy is None:
        return None
    settings = _read(policy)
    names = {"payload": occasion.payload, "flow": occasion.flow, "tool": occasion.tool}
    label = policy.label
    try:
        tripped = bool(not settings.when.strip() or parse_expression(settings.when).evaluate(names) is True)
        chosen = parse_expression(settings.chosen_by).evaluate(names) if settings.chosen_by.strip() else None
    except ExpressionError as error:
        raise BadRequest(f"The policy {label} cannot be applied to what is asked: {error}") from None
    if not tripped:
        return Ruling(False, label, {})
    return Ruling(True, label, terms_of(policy, settings, chosen, occasion), _due(settings))


def _policy_for(occasion: Occasion) -> Policy | None:
    known = Policy.objects.filter(current__isnull=False, retired_at__isnull=True).select_related("current")
    if occasion.policy is not None:
        found = known.filter(slug=occasion.policy).first()
        if found is None:
            raise BadRequest(f"There is no policy {occasion.policy[:64]!r} in force.")
        return found
    return next((each for each in known.order_by("slug") if _read(each).applies_to(occasion.tool, occasion.flow)), None)


def _read(policy: Policy) -> PolicySettings:
    try:
        return read_settings(policy.rules)
    except Invalid as refusal:
        raise BadRequest(f"The policy {policy.slug} cannot be read: {refusal}") from None


def terms_of(policy: Policy, settings: PolicySettings, chosen: Any, occasion: Occasion) -> dict[str, Any]:
    """What the request is asked under: the terms of the step with what the policy says instead."""
    people, teams = _named(chosen)
    if not people and not teams:
        people, teams = settings.people, settings.teams
    rejecting = next((name for name, meaning in occasion.outcomes.items() if meaning == "reject"), None)
    ends = bool(settings.ladder) and settings.ladder[-1].act == "reject" and rejecting is not None
    terms: dict[str, Any] = {
        "policy": policy.slug,
        "policy_name": policy.name,
        "policy_version": policy.number,
        "when": settings.when,
        "values": _values(settings, occasion.payload),
        "approvers": {"people": people, "teams": teams},
        "quorum": settings.quorum,
        "each_team": settings.each_team,
        "veto": settings.veto,
        "reason": settings.reason,
        "risk": settings.risk,
        "bulk": settings.bulk,
        "confirm": settings.confirm,
        "channels": settings.channels,
        "at_deadline": rejecting if ends else "escalate",
        "ladder": [
            {"after": rung.after.seconds, "words": str(rung.after), **rung.model_dump(exclude={"after"})}
            for rung in settings.ladder
        ],
    }
    if settings.editable is not None:
        terms["editable"] = [name for name in occasion.editable if name in settings.editable]
    return terms


def _named(chosen: Any) -> tuple[list[str], list[str]]:
    """The people and teams among the names that an expression gave; others are left out."""
    if chosen is None:
        return [], []
    names = [each for each in (chosen if isinstance(chosen, list) else [chosen]) if isinstance(each, str)][:100]
    people = set(Person.objects.filter(is_active=True, username__in=names).values_list("username", flat=True))
    teams = set(Team.objects.filter(slug__in=names).values_list("slug", flat=True))
    return [each for each in names if each in people], [each for each in names if each in teams and each not in people]


def _values(settings: PolicySettings, payload: Any) -> dict[str, Any]:
    """The fields of the payload that the condition looks at, with their values: what tripped it."""
    if not settings.when.strip() or not isinstance(payload, Mapping):
        return {}
    fields = [str(path[1]) for path in parse_expression(settings.when).references if path[0] == "payload" and len(path) > 1]
    return {name: payload[name] for name in dict.fromkeys(fields) if name in payload}


def _due(settings: PolicySettings) -> float | None:
    """Seconds until the last rung, which is the request's deadline where it decides or hands it on."""
    return settings.ladder[-1].after.seconds if settings.ladder else None
