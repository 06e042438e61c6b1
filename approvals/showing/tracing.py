"""What the flow's document tells of the values of a request: where each comes from, and what follows a decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from approvals.origins import MODEL, PERSON, Origins
from approvals.questions import is_question
from approvals.rules import mask_of_request
from approvals.showing.values import Value
from flows.engine.agents import conversation_around
from flows.engine.document import FlowDocument
from flows.engine.problems import DocumentError
from flows.models import Request
from flows.runs.documents import document_of
from flows.runs.inspection import subflows_around

_KEPT = "_subflows"


def payload_values(request: Request) -> list[Value]:
    """The fields of what is decided on, without what is hidden, each with where it comes from."""
    origins, settings = _traced(request)
    return arguments_of(request, mask_of_request(request).read(request.payload), origins, settings)


def title_is_a_models(request: Request) -> bool:
    """Whether the title holds words of a model; also where that cannot be told."""
    if is_question(request) or request.run is None:
        return False
    origins, settings = _traced(request)
    return origins is None or MODEL in origins.of(settings.get("title", ""))


def _traced(request: Request) -> tuple[Origins | None, Mapping[str, Any]]:
    """What tells where the request's values come from, with the settings of its step; nothing where it is no approval's."""
    origins = origins_of(request)
    step = origins.step(request.path) if origins is not None else None
    if step is None or step[1].kind != "approval":
        return None, {}
    return origins, step[1].with_


def origins_of(request: Request) -> Origins | None:
    """What the flow's document tells of the values that are shown; None where it tells nothing for certain: in an error handler."""
    if request.run is None or request.path.startswith("error.") or "/error." in request.path:
        return None
    if conversation_around(request.path) is not None:
        return None  # what an agent wants to call, a model wrote
    try:
        if "/" not in request.path:
            return Origins(document_of(request.run.version_id))
        inner = subflows_of(request).get(request.path.rpartition("/")[0])
        return Origins(inner, given=MODEL) if inner is not None else None
    except DocumentError:
        return None


def subflows_of(request: Request) -> dict[str, FlowDocument]:
    """The documents of the sub-flows that the request stands in, by the paths of their steps; read once for each `Request`."""
    if request.run is None or "/" not in request.path:
        return {}
    kept = request.__dict__
    if _KEPT not in kept:
        kept[_KEPT] = subflows_around(request.run, request.pass_number, request.path)
    found: dict[str, FlowDocument] = kept[_KEPT]
    return found


def arguments_of(request: Request, payload: Any, origins: Origins | None, settings: Mapping[str, Any]) -> list[Value]:
    """The fields of a payload; none of one that is no object."""
    source: Any = settings.get("payload")
    sealed = origins.step(str(settings["seals"])) if origins is not None and isinstance(settings.get("seals"), str) else None
    if sealed is not None:
        source = sealed[1].with_.get("arguments")
    if not isinstance(payload, dict):
        return []
    if request.kind == "publish":  # the system computed it, but for the words of whoever asks
        return [Value(name, value, frozenset({PERSON} if name == "note" else ())) for name, value in payload.items()]
    editable = set(request.terms.get("editable") or [])
    return [Value(name, value, origin_in(origins, source, name), name in editable) for name, value in payload.items()]


def origin_in(origins: Origins | None, source: Any, name: str) -> frozenset[str]:
    """Where a named part of a template comes from; without the document nobody knows, so it counts as a model's."""
    if origins is None:
        return frozenset({MODEL})
    return origins.of(source[name] if isinstance(source, Mapping) and name in source else source)


def follows(request: Request, origins: Origins | None, key: str, port: str) -> str:
    """What comes after this outcome, in words; empty where nobody can tell."""
    if request.kind == "publish":
        return "the draft becomes the live version" if port == "approve" else "the draft stays a draft"
    if conversation_around(request.path) is not None:
        return "the call is made" if port == "approve" else "the call is not made; the model is told"
    if origins is None:
        return ""
    return ", ".join(origins.follows(key, port)) or "this path of the run ends"
