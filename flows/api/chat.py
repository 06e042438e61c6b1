"""Published flows as models of OpenAI's chat protocol: ``POST /v1/chat/completions`` and ``GET /v1/models``.

The model is ``flow/<slug>``. The messages become the run's input (`input_of`); the run's output is the answer, a text as it is and
anything else as JSON. The answer waits for the run, at most a minute, or as long as ``Prefer: wait=SECONDS`` says, up to ten. A run that
has not ended by then goes on; the answer says so in words, with ``finish_reason: "length"``. Every answer names its run, in headers and
in the member ``orchestrator``.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import Any

from channels.db import database_sync_to_async
from django.core.exceptions import RequestDataTooBig
from django.db.models import Sum
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe
from pydantic import BaseModel, Field, ValidationError

from flows.access.actor import Actor
from flows.access.keys import key_behind
from flows.access.querysets import flows_for
from flows.access.refusals import Fault, Invalid, NotFound, NotSignedIn, Refusal, TooLarge, TooManyAttempts
from flows.access.rights import Right, require_scope
from flows.api.auth import actor_at
from flows.engine.states import TERMINAL_STATES
from flows.models import Call, Flow, Run
from flows.runs.actions.start_run import start_run
from flows.runs.documents import document_of

PREFIX = "flow/"
PATIENCE = 60.0  # seconds, where the request does not say
MOST_PATIENCE = 600.0
POLL = 0.25
SIGN_OF_LIFE = 10.0  # seconds between two comments of a stream that has nothing to say yet
MOST_WAITING = 16  # answers of one process that wait without streaming: each holds a thread and a connection
TEXT_FIELDS = ("message", "prompt", "question", "text", "input")
PIECE = 400  # characters of one chunk

_waiting = BoundedSemaphore(MOST_WAITING)


class Message(BaseModel):
    """One message of the conversation; of a content in parts the texts count."""

    role: str = Field(max_length=40)
    content: str | list[dict[str, Any]] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(str(part.get("text", "")) for part in self.content if part.get("type") == "text")
        return self.content or ""


class ChatRequest(BaseModel):
    """What is read of a request; sampling parameters belong to the flow and are passed over."""

    model: str = Field(max_length=120)
    messages: list[Message] = Field(min_length=1, max_length=1000)
    stream: bool = False
    n: int | None = Field(None, ge=1, le=1)


class RunFailed(Refusal):
    """The run has not succeeded."""

    status = 422  # clients repeat 409 and 5xx by themselves, which would start the flow again
    slug = "run_failed"


class TooManyWait(TooManyAttempts):
    """Too many answers wait already."""

    slug = "too_many_waiting"


@csrf_exempt
@require_POST
def completions(request: HttpRequest) -> HttpResponseBase:
    """Starts a run of the flow that the model names and answers with what it gives."""
    held = False
    try:
        actor, wanted = _actor(request), _wanted(request)
        patience = _patience(request.headers.get("Prefer", ""))
        if not wanted.stream:
            held = _waiting.acquire(blocking=False)
            if not held:
                raise TooManyWait(5)
        run = _start(actor, wanted, request.headers.get("Idempotency-Key"))
        address = request.build_absolute_uri(reverse("run", kwargs={"run_id": run.public_id}))
        answer = Answer(run, wanted.model, address)
        if wanted.stream:
            body = answer.stream(time.monotonic() + patience)
            response: HttpResponseBase = StreamingHttpResponse(body, content_type="text/event-stream")
            response["Cache-Control"] = "no-store"
        else:
            response = JsonResponse(answer.whole(_waited(run, patience)))
            response["X-Orchestrator-State"] = answer.state
    except Refusal as refusal:
        return _refused(refusal)
    finally:
        if held:
            _waiting.release()
    response["X-Orchestrator-Run"] = run.public_id
    response["X-Orchestrator-Url"] = address
    return response


@csrf_exempt
@require_safe
def models(request: HttpRequest) -> HttpResponseBase:
    """The published flows that this key may start."""
    try:
        actor = _actor(request)
        require_scope(actor, Right.START_RUNS)
    except Refusal as refusal:
        return _refused(refusal)
    flows = flows_for(actor).filter(published__isnull=False, archived_at=None, paused_at=None).select_related("team")
    listed = [flow for flow in flows.defer("draft").order_by("slug")[:1000] if actor.may(Right.START_RUNS, flow.team_id)]
    return JsonResponse({"object": "list", "data": [_model(flow) for flow in listed]})


@dataclass(slots=True)
class Answer:
    """The answer of one run, whole or as a stream."""

    run: Run
    model: str
    url: str
    state: str = ""

    def whole(self, run: Run) -> dict[str, Any]:
        """The completion. Raises `RunFailed`."""
        text, reason = self.said(run)
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": reason, "logprobs": None}
        return {**self._head("chat.completion"), "choices": [choice], "usage": usage_of(run)}

    async def stream(self, until: float) -> AsyncIterator[str]:
        """The completion in chunks; while the run goes on, comments that keep the connection."""
        yield self._chunk({"role": "assistant", "content": ""})
        quiet_until = time.monotonic() + SIGN_OF_LIFE
        while True:
            run = await database_sync_to_async(_now)(self.run)
            if run.status in TERMINAL_STATES or time.monotonic() >= until:
                break
            if time.monotonic() >= quiet_until:
                yield f": {run.status}\n\n"
                quiet_until = time.monotonic() + SIGN_OF_LIFE
            await asyncio.sleep(POLL)
        try:
            text, reason = self.said(run)
        except RunFailed as failed:
            yield f"data: {json.dumps(_error(failed))}\n\n"
        else:
            for begin in range(0, len(text), PIECE):
                yield self._chunk({"content": text[begin : begin + PIECE]})
            yield self._chunk({}, reason)
        yield "data: [DONE]\n\n"

    def said(self, run: Run) -> tuple[str, str]:
        """What the run has to say, and the finish reason. Raises `RunFailed`."""
        self.state = run.status
        if run.status == "succeeded":
            output = json.loads(run.output) if run.output is not None else None
            return output if isinstance(output, str) else json.dumps(output, ensure_ascii=False), "stop"
        if run.status in TERMINAL_STATES:
            raise RunFailed(f"Run #{run.number} ended as {run.status.replace('_', ' ')}. See {self.url}")
        waits = "waits for a person to decide" if run.status == "waiting_approval" else "has not ended yet"
        return f"Run #{run.number} {waits}. It goes on without this connection; follow it at {self.url}", "length"

    def _chunk(self, delta: Mapping[str, Any], reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        return f"data: {json.dumps({**self._head('chat.completion.chunk'), 'choices': [choice]}, ensure_ascii=False)}\n\n"

    def _head(self, kind: str) -> dict[str, Any]:
        about = {"run": self.run.public_id, "url": self.url, "state": self.state or self.run.status}
        created = int(self.run.created_at.timestamp())
        return {
            "id": f"chatcmpl-{self.run.public_id}",
            "object": kind,
            "created": created,
            "model": self.model,
            "orchestrator": about,
        }


def input_of(messages: list[Message], schema: Mapping[str, Any] | None) -> Any:
    """The run's input. Where the flow's input has a property `messages` it gets the conversation, as role and text; where it has one
    of `message`, `prompt`, `question`, `text`, `input`, the first of them gets the last user message; both may be. Where it has none of
    them the last user message is read as the JSON of the input. Raises `Invalid`."""
    properties = (schema or {}).get("properties")
    known = properties if isinstance(properties, Mapping) else {}
    last = next((message.text for message in reversed(messages) if message.role == "user"), "")
    given: dict[str, Any] = {}
    if "messages" in known:
        given["messages"] = [{"role": message.role, "content": message.text} for message in messages]
    field = next((name for name in TEXT_FIELDS if name in known), None)
    if field is not None:
        given[field] = last
    if given or not known:
        return given or {"messages": [{"role": message.role, "content": message.text} for message in messages]}
    try:
        return json.loads(last)
    except ValueError:
        names = ", ".join(known)[:200]
        raise Invalid(
            "The last user message is not the JSON that this flow takes.",
            problems=[Fault("messages", "is no JSON object", f"Send one with {names}.")],
        ) from None


def usage_of(run: Run) -> dict[str, int]:
    """The tokens of all model calls of the run."""
    sums = Call.objects.filter(run=run, kind="model").aggregate(sent=Sum("input_tokens"), got=Sum("output_tokens"))
    sent, got = sums["sent"] or 0, sums["got"] or 0
    return {"prompt_tokens": sent, "completion_tokens": got, "total_tokens": sent + got}


def _actor(request: HttpRequest) -> Actor:
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    key = key_behind(secret.strip()) if scheme.lower() == "bearer" else None
    if key is None:
        raise NotSignedIn("This API key is unknown, expired or revoked. Send one as `Authorization: Bearer …`.")
    return actor_at(request, key.person, key)


def _wanted(request: HttpRequest) -> ChatRequest:
    try:
        return ChatRequest.model_validate_json(request.body)
    except RequestDataTooBig:
        raise TooLarge from None
    except ValidationError as error:
        faults = [Fault(".".join(map(str, each["loc"])), each["msg"]) for each in error.errors()[:10]]
        raise Invalid("The request cannot be used.", problems=faults) from None


def _start(actor: Actor, wanted: ChatRequest, key: str | None) -> Run:
    slug = wanted.model.removeprefix(PREFIX)
    found = flows_for(actor).filter(slug=slug.replace("\x00", "")[:80]).first()
    if found is None or not wanted.model.startswith(PREFIX):
        raise NotFound(f"model {wanted.model[:120]!r}")
    schema = document_of(found.published_id).input if found.published_id is not None else None
    return start_run(actor, slug, input_of(wanted.messages, schema), key=key, source="chat")


def _waited(run: Run, patience: float) -> Run:
    """The run once it has ended, or as it is when patience is over."""
    until = time.monotonic() + patience
    while (now := _now(run)).status not in TERMINAL_STATES and time.monotonic() < until:
        time.sleep(POLL)
    return now


def _now(run: Run) -> Run:
    return Run.objects.defer("input").get(id=run.id)


def _patience(prefer: str) -> float:
    found = re.search(r"(?:^|[,;\s])wait=(\d{1,6})", prefer)
    return min(float(found[1]), MOST_PATIENCE) if found is not None else PATIENCE


def _model(flow: Flow) -> dict[str, Any]:
    owner = flow.team.slug if flow.team is not None else "orchestrator"
    return {"id": PREFIX + flow.slug, "object": "model", "created": int(flow.created_at.timestamp()), "owned_by": owner}


def _error(refusal: Refusal) -> dict[str, Any]:
    return {"error": {"message": str(refusal), "type": "invalid_request_error", "param": None, "code": refusal.slug}}


def _refused(refusal: Refusal) -> HttpResponseBase:
    response = JsonResponse(_error(refusal), status=422 if refusal.status == 409 else refusal.status)
    if isinstance(refusal, TooManyAttempts):
        response["Retry-After"] = str(refusal.seconds)
    return response
