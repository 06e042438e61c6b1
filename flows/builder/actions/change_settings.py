"""Changing what a flow is set to beside its document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.db import transaction
from pydantic import ValidationError

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.changes import tell_rights_changed
from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right, require
from flows.builder.publishing import locked
from flows.builder.reads import flow_named
from flows.engine.document import Limits
from flows.engine.explaining import model_problems
from flows.execution.queue import PRIORITY_MENDS, is_priority
from flows.models import Flow, Person, Team

MOST_TAGS = 20
LONGEST_TAG = 60
CEILINGS = ("cost", "tokens", "steps", "duration")
MOST_RUNNING = 1_000_000
SETTINGS = ("owner", "team", "tags", "ceiling", "needs_second", "max_running", "keeps_slot", "priority")
BUILDERS = frozenset({"tags"})
"""What a builder may set; the rest takes the right to manage flows."""


def change_settings(actor: Actor, slug: str, given: Mapping[str, Any]) -> Flow:
    """Sets what `given` names and leaves the rest: ``owner`` (username or None), ``team`` (slug or None: everybody's), ``tags``
    (texts), ``ceiling`` ({cost, tokens, steps, duration} as in a document; what it leaves out has no ceiling), ``needs_second``, and
    who goes first: ``max_running`` (a number or None: any), ``keeps_slot`` (whether a run that waits counts), ``priority``.

    What changed is audited with before and after. Raises `NotFound`, `Forbidden`, `FlowArchived`, and `Invalid` naming each place.
    """
    flow = flow_named(actor, slug)
    require(actor, Right.EDIT_FLOWS, flow)
    if not BUILDERS.issuperset(given):
        require(actor, Right.MANAGE_FLOWS, flow)
    problems: list[Fault] = []
    values = dict(_values(given, problems))
    if problems:
        raise Invalid("The settings cannot be saved.", problems=problems)
    if values.get("team") is not None:
        require(actor, Right.MANAGE_FLOWS, values["team"])
    with transaction.atomic():
        flow = locked(flow)
        before = {name: _shown(getattr(flow, name)) for name in values}
        after = {name: _shown(value) for name, value in values.items()}
        changed = [name for name in values if before[name] != after[name]]
        if not changed:
            return flow
        for name in changed:
            setattr(flow, name, values[name])
        flow.save(update_fields=changed)
        facts = {name: {"before": before[name], "after": after[name]} for name in changed}
        record_change(actor, "flow.settings", "flow", flow.slug, facts)
        if "team" in changed:
            tell_rights_changed(None)
    return flow


def _values(given: Mapping[str, Any], problems: list[Fault]) -> Iterator[tuple[str, Any]]:
    for name, value in given.items():
        if name == "owner":
            yield name, _found(Person, "username", value, name, problems) if value else None
        elif name == "team":
            yield name, _found(Team, "slug", value, name, problems) if value else None
        elif name == "tags":
            yield name, list(_tags(value, problems))
        elif name == "ceiling":
            yield name, _ceiling(value, problems)
        elif name in ("needs_second", "keeps_slot"):
            if not isinstance(value, bool):
                problems.append(Fault(name, "is neither true nor false"))
            yield name, value
        elif name == "max_running":
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_RUNNING):
                problems.append(Fault(name, "is no limit", f"Give a whole number from 1 to {MOST_RUNNING:,}, or nothing."))
            yield name, value
        elif name == "priority":
            if not is_priority(value):
                problems.append(Fault(name, "is no priority", PRIORITY_MENDS))
            yield name, value
        else:
            problems.append(Fault(name[:60], "is no setting", f"There are {', '.join(SETTINGS)}."))


def _found(model: Any, field: str, value: Any, name: str, problems: list[Fault]) -> Any:
    text = str(value)[:160].replace("\x00", "")
    found = model.objects.filter(**{field: text}).first()
    if found is None or (isinstance(found, Person) and not found.is_active):
        problems.append(Fault(name, f"{text[:64]!r} is unknown"))
    return found


def _tags(value: Any, problems: list[Fault]) -> Iterator[str]:
    tags = value if isinstance(value, (list, tuple)) else []
    if tags is not value and not isinstance(value, tuple):
        problems.append(Fault("tags", "is no list of texts"))
    if len(tags) > MOST_TAGS:
        problems.append(Fault("tags", f"has {len(tags)} entries", f"At most {MOST_TAGS} are kept."))
    for index, tag in enumerate(dict.fromkeys(str(each).strip() for each in tags[:MOST_TAGS])):
        if not tag or len(tag) > LONGEST_TAG or not tag.isprintable() or "," in tag:
            problems.append(Fault(f"tags[{index}]", "cannot be used", f"Use 1 to {LONGEST_TAG} printable characters, no comma."))
        yield tag


def _ceiling(value: Any, problems: list[Fault]) -> dict[str, Any]:
    written = {name: each for name, each in dict(value or {}).items() if each is not None}
    for name in written:
        if name not in CEILINGS:
            problems.append(Fault(f"ceiling.{name[:40]}", "is no ceiling", f"There are {', '.join(CEILINGS)}."))
            return {}
    try:
        limits = Limits.model_validate(written)
    except ValidationError as error:
        found = model_problems(error, Limits, {}, ("ceiling",))
        problems += [Fault(problem.path, problem.message, problem.mend) for problem in found]
        return {}
    return limits.model_dump(mode="json", exclude_unset=True)


def _shown(value: Any) -> Any:
    if isinstance(value, Person):
        return value.username
    return value.slug if isinstance(value, Team) else value
