"""What a template or expression gives for a sample, or why it can give nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from flows.builder.editing.samples import Sample, Value, names_at, scope_of, type_of, values_at
from flows.engine.compiling import Survey
from flows.engine.expressions import ExpressionError, parse_expression
from flows.engine.problems import Place
from flows.engine.references import Scope
from flows.engine.templates import parse_template

LONGEST = 300  # characters of a value that are shown
MOST = 100  # previews at a time


def preview_all(
    texts: Mapping[str, Mapping[str, Any]], survey: Survey | None, place: Place, sample: Sample
) -> dict[str, dict[str, str]]:
    """A preview for each pointer: `{"state": "value" | "none" | "error", "text": …, "mend": …}`."""
    scope, key = scope_of(survey, place)
    names = names_at(sample, survey, place) if survey is not None and sample else {}
    local = local_names(survey, place)
    return {
        pointer: preview(str(each.get("text", "")), bool(each.get("bare")), scope, key, names, local)
        for pointer, each in list(texts.items())[:MOST]
    }


def preview(
    text: str, bare: bool, scope: Scope | None, at: str | None, names: Mapping[str, Any], local: frozenset[str]
) -> dict[str, str]:
    """One preview; `names` is empty where there is no sample."""
    try:
        parsed = parse_expression(text) if bare else parse_template(text)
    except ExpressionError as error:
        return {"state": "error", "text": error.reason}
    for path in parsed.references:
        wrong = scope.fault(path, at) if scope is not None and path[0] not in local else None
        if wrong:
            return {"state": "error", "text": _sentence(wrong[0]), "mend": wrong[1]}
    unknown = local | ({"error"} - names.keys())  # nothing has failed in the sample
    if not names or any(path[0] in unknown for path in parsed.references):
        return {"state": "none", "text": f"No sample yet – {_type(text, bare, scope, at)} by schema"}
    try:
        value = parsed.evaluate(names) if bare else parsed.render(names)  # type: ignore[union-attr]
    except ExpressionError as error:
        return {"state": "none", "text": f"This sample gives no value: {error.reason}"}
    return {"state": "value", "text": shown(value)}


def _type(text: str, bare: bool, scope: Scope | None, at: str | None) -> str:
    """The type of what a text gives, as far as the schemas say."""
    inner = text.strip()
    if not bare:
        if not (inner.startswith("{{") and inner.endswith("}}") and inner.count("{{") == 1):
            return "string"
        inner = inner[2:-2].strip()
    known = {path: type_of(schema) for _, path, schema in values_at(scope, at)} if scope is not None else {}
    return known.get(inner, "any")


def shown(value: Any) -> str:
    """A value on one line, cut."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _sentence(text: str) -> str:
    return text if text.startswith("`") else text[:1].upper() + text[1:]


def values_shown(survey: Survey | None, place: Place, sample: Sample) -> Iterator[Value]:
    """What the data picker offers for the step at a place."""
    scope, key = scope_of(survey, place)
    if scope is None or survey is None:
        return
    names = names_at(sample, survey, place) if sample else {}
    for group, path, schema in values_at(scope, key, local_names(survey, place)):
        yield Value(group, path, type_of(schema), _sampled(path, names))


def _sampled(path: str, names: Mapping[str, Any]) -> str | None:
    if not names:
        return None
    try:
        value = parse_expression(path).evaluate(names)
    except ExpressionError:
        return None
    text = shown(value)
    return text if len(text) <= 80 else text[:79] + "…"


def local_names(survey: Survey | None, place: Place) -> frozenset[str]:
    """The names that a step's own expressions have beside the usual ones."""
    level = survey.levels.get(place[:-2]) if survey is not None and len(place) >= 2 else None
    key = str(place[-1]) if place else ""
    if level is None or key not in level.settings:
        return frozenset()
    return level.kinds[key].local_names(level.settings[key])
