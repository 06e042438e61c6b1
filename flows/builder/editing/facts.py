"""What the canvas shows of a document beside its form: the kinds that can be added, and the face of each step."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from flows.builder.editing.options import Options
from flows.builder.editing.samples import type_of
from flows.engine.compiling import Survey
from flows.engine.courses import HANDLER
from flows.engine.document import Body
from flows.engine.kinds import Kind
from flows.engine.problems import Place
from flows.steps import known_kinds


def kinds_offered(options: Options) -> list[dict[str, Any]]:
    """The kinds of this installation, as the palette and the canvas want them, in the order of their groups."""
    offered = [
        {
            "slug": slug,
            "label": kind.label,
            "group": kind.group,
            "icon": kind.icon,
            "description": _about(kind),
            "role": str(kind.role),
            "ports": kind.ports_from if isinstance(kind.ports_from, Mapping) else list(kind.ports_from),
            "defaults": _begun(kind, options),
            "container": _is_container(kind),
        }
        for slug, kind in known_kinds().items()
    ]
    order = groups_of(offered)
    return sorted(offered, key=lambda kind: order.index(kind["group"]))


def _begun(kind: Kind, options: Options) -> dict[str, Any]:
    """The settings of a new step. One that names a route names the first there is: most steps want the usual one."""
    begun = dict(kind.begins_with)
    info = kind.Settings.model_fields.get("route")
    if info is not None and options.routes and not begun.get("route"):
        begun["route"] = next(iter(options.routes))
    return begun


GROUPS = ("Models", "Tools", "Logic", "Human", "Data", "Sub-flows")


def groups_of(kinds: Sequence[Mapping[str, Any]]) -> list[str]:
    """The groups of these kinds, the known ones in their order, notes at the end."""
    found = dict.fromkeys(str(kind["group"]) for kind in kinds)
    return sorted(found, key=lambda group: (GROUPS.index(group) if group in GROUPS else len(GROUPS), group == "Notes"))


def _about(kind: Kind) -> str:
    return (sys.modules[type(kind).__module__].__doc__ or "").strip().partition("\n")[0]


def _is_container(kind: Kind) -> bool:
    return any(info.annotation is Body for info in kind.Settings.model_fields.values())


def faces_of(survey: Survey | None, options: Options, pins: frozenset[str] = frozenset()) -> dict[str, dict[str, Any]]:
    """What the canvas cannot know of each step, by its path: how many fallbacks its route has, whether its result is pinned, the type
    of what it gives."""
    faces = {}
    for graph, level in (survey.levels if survey is not None else {}).items():
        for key, settings in level.settings.items():
            candidates = options.routes.get(str(getattr(settings, "route", "")), ())
            path = path_of((*graph, "steps", key))
            badges: dict[str, Any] = {"fallbacks": len(candidates) - 1} if len(candidates) > 1 else {}
            if path in pins:
                badges["pin"] = True
            faces[path] = {
                "badges": badges,
                "types": {"done": type_of(level.kinds[key].output_schema(settings))},
            }
    return faces


def path_of(place: Place) -> str:
    """The path of the step that stands at a place, as runs and the canvas name it: `rate.assess`, `error.notify`."""
    if place[:1] == ("on_error",):
        return f"{HANDLER}.{path_of(place[1:])}"
    return ".".join(
        str(place[at + 1]) for at, part in enumerate(place) if part == "steps" and at + 1 < len(place) and at % 4 == 0
    )
