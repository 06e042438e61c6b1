"""What differs between two documents of a flow, over HTTP."""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right, require_scope
from flows.api.auth import actor_of
from flows.api.flows import DOCUMENT_BODY, document_text
from flows.api.problems import ProblemDocument
from flows.builder.checking import read_document
from flows.builder.comparing import Side, as_text, side_of
from flows.builder.differences import MISSING, FieldChange, differences
from flows.builder.reads import flow_named
from flows.models import Flow

router = Router(tags=["flows"])
SIDE = "draft, the number of a version as v12, or a request for publication"


class FieldDifference(Schema):
    name: str
    sort: Literal["added", "removed", "changed"]
    before: Any = Field(description="null where it was added")
    after: Any = Field(description="null where it was removed")


class FlowDifference(Schema):
    what: Literal["step", "edge", "flow"]
    sort: Literal["added", "removed", "changed"]
    path: str = Field(description="of the step, such as each/rate; of an edge its text; empty for the flow's settings")
    label: str
    fields: list[FieldDifference]


class FlowComparison(Schema):
    before: str
    after: str
    in_words: str = Field(description="such as 2 changed, 1 added")
    changes: list[FlowDifference]
    moves: list[str] = Field(description="steps that only stand elsewhere on the canvas")
    text: str = Field(description="the same, to be read")


ANSWERS: Any = {200: FlowComparison, 404: ProblemDocument, 422: ProblemDocument}


@router.get("/flows/{slug}/comparison", response=ANSWERS)
def get_comparison(
    request: HttpRequest,
    slug: str,
    before: str = Query("", max_length=64, description=f"{SIDE}; the published version where it is left out"),
    after: str = Query("draft", max_length=64, description=SIDE),
) -> Any:
    """What one does to `before` to get `after`."""
    actor = actor_of(request)
    require_scope(actor, Right.SEE_FLOWS)
    flow = flow_named(actor, slug)
    return _compared(side_of(flow, before or _live(flow)), side_of(flow, after))


@router.post("/flows/{slug}/comparison", response=ANSWERS, openapi_extra={"requestBody": DOCUMENT_BODY["requestBody"]})
def post_comparison(request: HttpRequest, slug: str, before: str = Query("", max_length=64, description=SIDE)) -> Any:
    """What one does to `before` to get the document that is sent, such as a file from Git. Nothing is kept or changed."""
    actor = actor_of(request)
    require_scope(actor, Right.SEE_FLOWS)
    flow = flow_named(actor, slug)
    text = document_text(request.body)
    return _compared(side_of(flow, before or _live(flow)), Side("file", "the file", text, read_document(text)))


def _live(flow: Flow) -> str:
    return f"v{flow.published.number}" if flow.published is not None else "draft"


def _compared(before: Side, after: Side) -> dict[str, Any]:
    for side in (before, after):
        if side.document is None:
            raise Invalid("They cannot be compared.", problems=[Fault(side.label, "is no flow that can be read")])
    assert before.document is not None
    assert after.document is not None
    found = differences(before.document, after.document)
    changes = [
        {name: getattr(each, name) for name in ("what", "sort", "path", "label")}
        | {"fields": [_field(one) for one in each.fields]}
        for each in found.changes
    ]
    text = as_text(found, before.label, after.label)
    named = {"before": before.name, "after": after.name, "in_words": found.in_words}
    return named | {"changes": changes, "moves": list(found.moves), "text": text}


def _field(each: FieldChange) -> dict[str, Any]:
    values = {"before": each.before, "after": each.after}
    return {"name": each.name, "sort": each.sort, **{name: None if value is MISSING else value for name, value in values.items()}}
