"""Runs its body once for each item of a list, several at a time, and gives the outputs in the order of the items."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field

from flows.engine.document import Body, key_problem
from flows.engine.kinds import Fault, Kind, Role, Settings, Surroundings
from flows.engine.markers import ExpressionText

_TAKEN = frozenset({"steps", "run", "true", "false", "null"})


class MapSettings(Settings):
    """`over` gives the list, `as` names the item beside `item`; at most `concurrency` bodies run at once."""

    over: ExpressionText
    as_: str | None = Field(default=None, alias="as")
    concurrency: int = Field(default=10, ge=1, le=1000, strict=True)
    on_item_error: Literal["stop", "collect"] = "stop"
    body: Body


class MapKind(Kind):
    slug = "map"
    label = "For each"
    icon = "kind-map"
    begins_with = {"over": "", "body": {"steps": {}, "edges": [], "output": {}}}
    role = Role.STRUCTURE
    Settings = MapSettings

    def output_schema(self, settings: MapSettings) -> Mapping[str, Any]:
        output = settings.body.output
        item: dict[str, Any] = {"properties": {key: {} for key in output}} if isinstance(output, dict) else {}
        if settings.on_item_error == "collect":
            item = {"properties": {"output": item, "error": {}}}
        return {"type": "array", "items": item}

    def body_names(self, settings: MapSettings) -> Mapping[str, Mapping[str, Any] | None]:
        names: dict[str, Mapping[str, Any] | None] = {"item": None, "index": {"type": "integer"}}
        if settings.as_:
            names[settings.as_] = None
        return names

    def faults(self, settings: MapSettings, around: Surroundings) -> Iterable[Fault]:
        if settings.as_ is not None and settings.as_ != "item" and (key_problem(settings.as_) or settings.as_ in _TAKEN):
            yield Fault(
                ("as",),
                f"`{settings.as_[:60]}` cannot name the item",
                "Use small letters, digits and underscores, and no reserved name.",
            )
        if not settings.body.output:
            yield Fault(
                ("body",), "the body has no `output`, so the list will hold only nulls", "Say what each item gives.", warning=True
            )
