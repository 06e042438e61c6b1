"""The forms of models and routes: what was typed becomes the part of a catalogue that it means, or a list of what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import orjson
from pydantic import ValidationError

from flows.access.refusals import Fault, Invalid
from flows.engine.document import Part
from flows.engine.explaining import model_problems
from flows.engine.failures import RETRYABLE_SLUGS
from flows.models import ModelEntry, Route
from flows.routing.definitions import STRATEGIES
from flows.routing.entries import ModelPart, RoutePart

CAPABILITIES: Final = ("streaming", "json", "tools", "vision")
OF_MODELS: Final = (*CAPABILITIES, "embeddings")
"""No route needs vectors: those of two models have nothing to do with each other."""
CAUSES: Final = tuple(RETRYABLE_SLUGS)
CONDITIONS: Final = ("min_input", "max_input", "max_cost", "tag")

AnyPart = TypeVar("AnyPart", bound=Part)


# ------------------------------------------------------------------ models


def model_from(given: Any) -> ModelPart:
    """The model that a posted form means. Raises `Invalid` naming each field."""
    faults: list[Fault] = []
    value: dict[str, Any] = {name: given.get(name, "").strip() for name in ("model", "api_base", "api_key_env", "api_key_secret")}
    value |= {name: _whole(given, name, faults) for name in ("context", "max_output") if given.get(name, "").strip()}
    value["capabilities"] = tuple(dict.fromkeys([*given.getlist("capabilities"), *_words(given.get("more_capabilities", ""))]))
    value["unpriced"] = given.get("unpriced", "refuse")
    value["limits"] = _filled({name: _whole(given, name, faults) for name in ("in_flight", "requests", "tokens")})
    value["breaker"] = _filled(
        {"failures": _whole(given, "failures", faults), "within": _time(given, "within"), "rest": _time(given, "rest")}
    )
    try:
        value["settings"] = orjson.loads(given.get("settings", "").strip() or "{}")
    except ValueError as error:
        faults.append(Fault("settings", f"is no JSON: {error}", 'Write such as {"delay": 0.2}, or leave it empty.'))
    return _part(ModelPart, value, faults, "The model cannot be used as it is.")


def values_of_model(entry: ModelEntry | None) -> dict[str, Any]:
    """What the form of this model begins with."""
    if entry is None:
        return {"context": 8192, "max_output": 1024, "capabilities": ["streaming"], "unpriced": "refuse"}
    return {
        "name": entry.slug,
        "model": entry.model,
        "api_base": entry.api_base,
        "api_key_env": entry.api_key_env,
        "api_key_secret": entry.api_key_secret,
        "context": entry.context,
        "max_output": entry.max_output,
        "capabilities": [each for each in entry.capabilities if each in OF_MODELS],
        "more_capabilities": ", ".join(each for each in entry.capabilities if each not in OF_MODELS),
        "unpriced": entry.unpriced,
        "settings": orjson.dumps(entry.settings).decode() if entry.settings else "",
        **entry.limits,
        **entry.breaker,
    }


def typed_model(given: Any) -> dict[str, Any]:
    """What was typed, to be shown again."""
    return {**given.dict(), "capabilities": given.getlist("capabilities")}


# ------------------------------------------------------------------ routes


def route_from(given: Any) -> RoutePart:
    """The route that a posted form means. Raises `Invalid` naming each field."""
    faults: list[Fault] = []
    candidates = []
    for number, row in enumerate(row for row in rows_of(given) if row["model"]):
        when = _filled(
            {
                "min_input": _number(row["min_input"], f"candidates[{number}].when.min_input", faults),
                "max_input": _number(row["max_input"], f"candidates[{number}].when.max_input", faults),
                "max_cost": row["max_cost"] or None,
                "tag": row["tag"] or None,
            }
        )
        candidate: dict[str, Any] = {"model": row["model"], "when": when}
        if row["weight"]:
            candidate["weight"] = _decimal(row["weight"], f"candidates[{number}].weight", faults)
        candidates.append(candidate)
    if not candidates:
        faults.append(Fault("candidates", "there is none", "A route needs at least one model to ask."))
    value: dict[str, Any] = {
        "candidates": tuple(candidates),
        "strategy": given.get("strategy", "ordered"),
        "needs": tuple(dict.fromkeys([*given.getlist("needs"), *_words(given.get("more_needs", ""))])),
        "fall_back_on": tuple(given.getlist("fall_back_on")),
        "timeout": given.get("timeout", "").strip() or None,
    }
    return _part(RoutePart, value, faults, "The route cannot be used as it is.")


def rows_of(given: Any) -> list[dict[str, str]]:
    """The candidates as they stand in a posted form, rows without a model included."""
    columns = {name: given.getlist(f"candidate-{name}") for name in ("model", "weight", *CONDITIONS)}
    return [
        {name: (values[number].strip() if number < len(values) else "") for name, values in columns.items()}
        for number in range(min(len(columns["model"]), 60))
    ]


def changed_rows(rows: Sequence[Mapping[str, str]], act: str) -> list[Mapping[str, str]] | None:
    """The rows after a button such as ``add``, ``up-2``, ``drop-0``; None where it is none of these."""
    verb, _, place = act.partition("-")
    found = list(rows)
    if act == "add":
        return [*found, empty_row()]
    if verb not in ("up", "down", "drop") or not place.isascii() or not place.isdigit() or int(place) >= len(found):
        return None
    at = int(place)
    if verb == "drop":
        del found[at]
    else:
        to = max(0, at - 1) if verb == "up" else min(len(found) - 1, at + 1)
        found[at], found[to] = found[to], found[at]
    return found


def empty_row() -> dict[str, str]:
    return dict.fromkeys(("model", "weight", *CONDITIONS), "")


def values_of_route(route: Route | None) -> dict[str, Any]:
    """What the form of this route begins with."""
    if route is None:
        return {
            "strategy": "ordered",
            "fall_back_on": ["rate_limit", "timeout", "unavailable"],
            "needs": [],
            "rows": [empty_row()],
        }
    rows = []
    for each in route.candidates:
        stored: dict[str, Any] = {"model": each} if isinstance(each, str) else each
        when = stored.get("when") or {}
        shown = {name: str(when[name]) for name in CONDITIONS if when.get(name) is not None}
        rows.append({**empty_row(), "model": stored["model"], "weight": _short(stored.get("weight", "")), **shown})
    return {
        "name": route.slug,
        "strategy": route.strategy,
        "fall_back_on": route.fall_back_on,
        "needs": [each for each in route.needs if each in CAPABILITIES],
        "more_needs": ", ".join(each for each in route.needs if each not in CAPABILITIES),
        "timeout": f"{_short(route.timeout)}s" if route.timeout is not None else "",
        "rows": rows,
    }


def typed_route(given: Any, rows: Sequence[Mapping[str, str]] | None = None) -> dict[str, Any]:
    """What was typed, to be shown again."""
    kept = {name: given.get(name, "") for name in ("name", "strategy", "timeout", "more_needs")}
    lists = {name: given.getlist(name) for name in ("needs", "fall_back_on")}
    return {**kept, **lists, "rows": list(rows if rows is not None else rows_of(given)) or [empty_row()]}


CHOICES: Final[Mapping[str, Any]] = {"strategies": STRATEGIES, "causes": CAUSES, "capabilities": CAPABILITIES}


# ------------------------------------------------------------------ what both share


def _part(kind: type[AnyPart], value: dict[str, Any], faults: list[Fault], sentence: str) -> AnyPart:
    if not faults:
        try:
            return kind.model_validate(value)
        except ValidationError as error:
            faults = [Fault(each.path, each.message, each.mend) for each in model_problems(error, kind, {})]
    raise Invalid(sentence, problems=faults)


def _filled(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _words(text: str) -> list[str]:
    return [each for each in text.replace(",", " ").split() if each]


def _whole(given: Any, name: str, faults: list[Fault]) -> int | None:
    return _number(given.get(name, ""), name, faults)


def _number(text: str, name: str, faults: list[Fault]) -> int | None:
    text = text.replace(",", "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        faults.append(Fault(name, f"`{text[:40]}` is no whole number", "Write such as 8000."))
        return None
    return int(text)


def _decimal(text: str, name: str, faults: list[Fault]) -> float:
    try:
        return float(text)
    except ValueError:
        faults.append(Fault(name, f"`{text[:40]}` is no number", "Write such as 2."))
        return 1.0


def _time(given: Any, name: str) -> float | str | None:
    """Seconds, where a bare number was typed; else as it was typed."""
    text = given.get(name, "").strip()
    try:
        return float(text) if text else None
    except ValueError:
        return str(text)


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)
