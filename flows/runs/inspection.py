"""One step of a run from near: its attempts, the calls of one of them with what was sent and what came back, a map's items."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from flows.access.masking import mask_of
from flows.engine.document import FlowDocument
from flows.engine.drawing import label_of
from flows.engine.masking import Mask
from flows.models import Attempt, Call, Event, Request, Run
from flows.models.identifiers import shown
from flows.runs.conversation import Conversation, conversation_at
from flows.runs.documents import documents_of
from flows.runs.progress import StepLine, steps_below
from flows.runs.reads import is_unpriced, value_of
from flows.runs.texts import text_so_far

ITEMS = 50  # of a map, on one page
MOST_CALLS = 100  # of one attempt
LONGEST = 20_000  # characters of one message that a page holds

CALL_STATES = {
    "started": "running",
    "succeeded": "succeeded",
    "failed_retryable": "failed",
    "failed_final": "failed",
    "unknown": "failed",
}
"""A call's status in the words of steps."""

_PART = re.compile(r"(?P<key>[a-z][a-z0-9_]*)(?P<items>\[(?P<index>\d+)\])?(?=[./]|$)")


@dataclass(frozen=True, slots=True)
class StepInfo:
    """What the document says of a path. `inside` are the steps of its body by key → (label, kind); `item` where it is an item."""

    path: str
    key: str
    label: str
    kind: str
    item: int | None = None
    inside: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    parents: tuple[tuple[str, str], ...] = ()  # (path, label) of what it stands in, outermost first


def step_at(document: FlowDocument | None, path: str, subflows: Mapping[str, FlowDocument] | None = None) -> StepInfo | None:
    """What stands at a path; None where the document has no such step. `subflows` are the documents that sub-flows run, by the paths
    of their steps (`subflows_around`); without them what is inside these is not known."""
    if document is None:
        return None
    known = subflows or {}
    handler = path.startswith("error.") and document.on_error is not None
    steps = _steps_of(document, handler=handler)
    parents: list[tuple[str, str]] = []
    found: StepInfo | None = None
    at = len("error.") if handler else 0
    while at < len(path):
        match = _PART.match(path, at)
        if match is None or match["key"] not in steps:
            return None
        if found is not None:
            parents.append((found.path, found.label))
        step, walked, at = steps[match["key"]], path[: match.end("key")], match.end()
        label = label_of(match["key"], step.get("label"))
        kind = "subflow" if walked in known else str(step["kind"])  # a tool that is a flow is shown as the flow that it runs
        body = (step.get("with") or {}).get("body") or {}
        within = path.startswith("/error.", at)
        steps = _steps_of(known[walked], handler=within) if walked in known else body.get("steps") or {}
        inside = {name: (label_of(name, each.get("label")), str(each.get("kind"))) for name, each in steps.items()}
        inside = {name: each for name, each in inside.items() if each[1] != "note"}
        found = StepInfo(walked, match["key"], label, kind, None, inside, tuple(parents))
        if match["index"]:
            index = int(match["index"])
            parents.append((walked, label))
            said = f"round {index + 1}" if kind == "loop" else f"item {index}"
            found = StepInfo(path[: match.end("items")], match["key"], f"{label} · {said}", "item", index, inside, tuple(parents))
        if kind == "agent":
            return found  # its turns and calls are parts of one conversation
        if at < len(path):
            at += len("/error.") if within else 1
    return found


def _steps_of(document: FlowDocument, *, handler: bool) -> Mapping[str, Any]:
    steps = document.on_error.steps if handler and document.on_error is not None else document.steps
    return {key: step.model_dump(by_alias=True) for key, step in steps.items()}


def subflows_around(run: Run, pass_number: int, path: str) -> dict[str, FlowDocument]:
    """The documents of the sub-flows that a path is inside of, and of the one that it is, as they ran in this pass: two queries."""
    wanted = [*(path[:at] for at, letter in enumerate(path) if letter == "/"), path]
    rows = Attempt.objects.filter(run=run, pass_number=pass_number, path__in=wanted, checkpoint__contains='"version"')
    facts = {at: value_of(checkpoint).get("version") for at, checkpoint in rows.values_list("path", "checkpoint")}
    versions = {at: UUID(version) for at, version in facts.items() if version}
    documents = documents_of(versions.values())
    return {at: documents[version] for at, version in versions.items() if version in documents}


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of what was sent; `content` is text, or a JSON value in parts."""

    role: str
    text: str
    value: Any = None
    cut: int = 0  # characters that are not shown


@dataclass(slots=True)
class CallView:
    """One call as a page shows it."""

    call: Call
    messages: list[Message] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    arguments: Any = None
    answer: Message | None = None
    value: Any = None
    streamed: str = ""
    routing: Mapping[str, Any] | None = None  # the account of the choice: {route, version, strategy, candidates}

    @property
    def public_id(self) -> str:
        return shown("call", self.call.id)

    @property
    def state(self) -> str:
        return "cancelled" if self.call.error_class == "cancelled" else CALL_STATES.get(self.call.status, "running")

    @property
    def in_progress(self) -> bool:
        return self.call.status == "started"

    @property
    def seconds(self) -> float | None:
        return (self.call.ended_at - self.call.started_at).total_seconds() if self.call.ended_at is not None else None

    @property
    def unpriced(self) -> bool:
        return is_unpriced(self.call)

    @property
    def estimated(self) -> bool:
        return self.call.usage_source == "estimated" and bool(self.call.settled)

    @property
    def uncached_tokens(self) -> int | None:
        return None if self.call.input_tokens is None else self.call.input_tokens - (self.call.cached_input_tokens or 0)


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One attempt of a step. One that has begun and recorded nothing yet has status ``open``."""

    n: int
    status: str
    port: str = ""
    error: Any = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    next_at: datetime | None = None
    output: Any = None

    @property
    def state(self) -> str:
        if self.status == "failed":
            return "retrying" if self.next_at is not None else "failed"
        return {"open": "running"}.get(self.status, self.status)


@dataclass(slots=True)
class Inspected:
    """What the inspector shows."""

    info: StepInfo
    line: StepLine | None = None
    attempts: list[AttemptView] = field(default_factory=list)
    chosen: AttemptView | None = None
    calls: list[CallView] = field(default_factory=list)
    items: list[StepLine] = field(default_factory=list)
    items_after: int | None = None
    below: list[StepLine] = field(default_factory=list)
    conversation: Conversation | None = None  # of an agent
    request: Request | None = None

    @property
    def output_is_the_answer(self) -> bool:
        """Whether what the step gave is what its last call brought, so that it need not be shown twice."""
        if self.chosen is None or not self.calls:
            return False
        last = self.calls[-1]
        return self.chosen.output == (last.answer.text if last.answer is not None and not last.answer.cut else last.value)


def inspected(run: Run, pass_number: int, info: StepInfo, attempt: int | None, items: Sequence[StepLine] = ()) -> Inspected:
    """The step at a path in one pass; `attempt` is the one to show, by default the newest. `items` are those of a map or loop that are
    looked at, and one more where there are more than `ITEMS`. At most eleven queries."""
    view = Inspected(info)
    if info.item is not None:
        view.below = steps_below(run, pass_number, f"{info.path}.", info.inside)
        return view
    if info.kind == "agent":
        view.conversation = conversation_at(run, pass_number, info.path)
    elif info.kind == "subflow":
        view.below = steps_below(run, pass_number, f"{info.path}/", info.inside)
    elif info.inside:
        view.items = list(items[:ITEMS])
        if len(items) > ITEMS:
            view.items_after = int(view.items[-1].path.rpartition("[")[2].rstrip("]"))
    tries = _attempts(run, pass_number, info.path)
    view.attempts = [tries[n] for n in sorted(tries)]
    view.chosen = tries.get(attempt or 0) or (view.attempts[-1] if view.attempts else None)
    if view.chosen is not None:
        calls = Call.objects.filter(run=run, pass_number=pass_number, path=info.path, attempt=view.chosen.n).order_by("n")
        view.calls = [call_view(call, mask_of(run)) for call in calls[:MOST_CALLS]]
        _add_routing(run, view.calls)
    if info.kind == "approval":
        asked = Request.objects.filter(run=run, pass_number=pass_number, path=info.path)
        view.request = asked.select_related("decided_by").order_by("-round").first()
    return view


def _add_routing(run: Run, calls: list[CallView]) -> None:
    """Why each call of a route went where it went: it stands in the event of its begin."""
    routed = {each.call.seq: each for each in calls if each.call.route}
    if routed:
        for seq, data in Event.objects.filter(run=run, seq__in=list(routed)).values_list("seq", "data"):
            routed[seq].routing = (value_of(data) or {}).get("routing")


def _attempts(run: Run, pass_number: int, path: str) -> dict[int, AttemptView]:
    rows = list(Attempt.objects.filter(run=run, pass_number=pass_number, path=path).defer("state").order_by("n")[:200])
    first_calls = dict[int, datetime]()
    begun = Call.objects.filter(run=run, pass_number=pass_number, path=path).order_by("attempt", "n")
    mask = mask_of(run)
    for n, started_at in begun.values_list("attempt", "started_at")[:1000]:
        first_calls.setdefault(n, started_at)
    found = {n: AttemptView(n, "open", started_at=at) for n, at in first_calls.items()}
    for row in rows:
        found[row.n] = AttemptView(
            n=row.n,
            status=row.status,
            port=row.port,
            error=mask.read(row.error),
            started_at=min(row.started_at, first_calls.get(row.n, row.started_at)),
            ended_at=row.ended_at,
            next_at=row.next_at,
            output=mask.read(row.output),
        )
    return found


def call_view(call: Call, mask: Mask) -> CallView:
    """A call with its request and response taken apart. Where anything of its run is hidden, no text is shown before it is whole."""
    call.error_message = mask.text(call.error_message)
    view = CallView(call)
    request, response = mask.read(call.request), mask.read(call.response)
    if call.kind == "model" and isinstance(request, dict):
        view.messages = [_message(str(each.get("role", "")), each.get("content")) for each in request.get("messages") or []]
        view.settings = {name: value for name, value in request.items() if name != "messages"}
        if isinstance(response, dict):
            view.value = response.get("output")
            if isinstance(view.value, str) or (view.value is None and response.get("text")):
                view.answer, view.value = _message("assistant", view.value or response["text"]), None
    else:
        view.arguments, view.value = request, response
    if view.in_progress and call.kind == "model":
        view.streamed = "" if mask else text_so_far(call.id)
    return view


def _message(role: str, content: Any) -> Message:
    if isinstance(content, str):
        return Message(role, content[:LONGEST], cut=max(len(content) - LONGEST, 0))
    return Message(role, "", content)
