"""What a trigger is set to, and whether that can work: its rule, and what its runs get as input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flows.access.refusals import Fault
from flows.engine.canonical import canonical, storable
from flows.engine.expressions import ExpressionError
from flows.engine.inputs import check_input
from flows.engine.problems import path_text
from flows.engine.templates import parse_template
from flows.models import Flow
from flows.runs.documents import document_of
from flows.triggers.schedules import BadSchedule, read_schedule

OVERLAPS = ("skip", "queue", "allow")
CATCH_UPS = ("none", "last", "all")
WHOLE_BODY = "{{ body }}"
PER_MINUTE = 60
MOST_PER_MINUTE = 6000
LARGEST_INPUT = 100_000  # characters of an input, mapping or sample as JSON

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "schedule": {"cron": "", "zone": "UTC", "overlap": "skip", "catch_up": "last", "input": {}},
    "webhook": {"mapping": WHOLE_BODY, "sample": None, "per_minute": PER_MINUTE},
}
"""The settings of each kind, and what holds where nothing is said."""


def checked_settings(flow: Flow, kind: str, given: Mapping[str, Any], before: Mapping[str, Any], faults: list[Fault]) -> Any:
    """The settings `before` with what `given` names in their place. What cannot work is added to `faults`."""
    known = DEFAULTS[kind]
    faults += [Fault(str(name)[:60], "is no setting", f"There are {', '.join(known)}.") for name in given if name not in known]
    settings = {**known, **before, **{name: value for name, value in given.items() if name in known}}
    for name in ("input", "mapping", "sample"):
        if name in settings:
            settings[name] = _value(settings[name], name, faults)
    if faults:
        return settings
    if kind == "schedule":
        _check_schedule(flow, settings, faults)
    else:
        _check_webhook(flow, settings, faults)
    return settings


def _check_schedule(flow: Flow, settings: dict[str, Any], faults: list[Fault]) -> None:
    try:
        settings["cron"] = read_schedule(str(settings["cron"]), str(settings["zone"])).cron
    except BadSchedule as error:
        faults.append(Fault("zone" if "time zone" in str(error) else "cron", str(error)))
    for name, choices in (("overlap", OVERLAPS), ("catch_up", CATCH_UPS)):
        if settings[name] not in choices:
            faults.append(Fault(name, "is no rule", f"Choose of {', '.join(choices)}."))
    faults += input_faults(flow, settings["input"])


def _check_webhook(flow: Flow, settings: dict[str, Any], faults: list[Fault]) -> None:
    most = settings["per_minute"]
    if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= MOST_PER_MINUTE:
        faults.append(Fault("per_minute", "is no number of deliveries", f"Give a whole number from 1 to {MOST_PER_MINUTE:,}."))
    errors: list[ExpressionError] = []
    template = parse_template(settings["mapping"], errors)
    faults += [Fault(path_text(("mapping", *error.path)), str(error)) for error in errors]
    for reference in template.references:
        if reference[0] not in ("body", "delivery"):
            faults.append(Fault("mapping", f"names {reference[0]!r}", "There are body and delivery (id, at)."))
    if faults or settings["sample"] is None:
        return
    try:
        mapped = mapped_input(settings, settings["sample"], "sample", "2026-01-01T00:00:00Z")
    except ExpressionError as error:
        faults.append(Fault("mapping", f"does not fit the sample: {error}"))
        return
    faults += [
        Fault(fault.place, f"{fault.message}, as mapped from the sample", fault.mend) for fault in input_faults(flow, mapped)
    ]


def mapped_input(settings: Mapping[str, Any], body: Any, delivery_id: str, at: str) -> Any:
    """The input that the mapping makes of a delivery's body. Raises ExpressionError."""
    return parse_template(settings["mapping"]).render({"body": body, "delivery": {"id": delivery_id, "at": at}})


def input_faults(flow: Flow, value: Any) -> list[Fault]:
    """What is wrong with an input for the flow's published version; nothing while there is none."""
    if flow.published_id is None:
        return []
    problems = check_input(document_of(flow.published_id), value)
    return [Fault(problem.path, problem.message, problem.mend) for problem in problems]


def _value(value: Any, name: str, faults: list[Fault]) -> Any:
    try:
        value = storable(value)
        size = len(canonical(value))
    except ValueError as error:
        faults.append(Fault(name, str(error)))
        return None
    if size > LARGEST_INPUT:
        faults.append(Fault(name, f"has {size:,} characters", f"At most {LARGEST_INPUT:,} fit."))
    return value
