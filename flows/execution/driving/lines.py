"""The lines of a record, as the journal's statement reads them: one function for each thing that happens to a run.

They are plain dictionaries with the columns that they fill (`flows/execution/journal.py`); what is not named is empty. Columns that are
empty are mostly left out: PostgreSQL and the network get half as much to read.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson

from flows.engine.canonical import canonical, sha256_of
from flows.engine.failures import Failure
from flows.engine.plan import End, Handle
from flows.execution.context import Ask, Intent, OpenCall, Settlement, StepContext
from flows.execution.journal import Op
from flows.execution.jsontext import dump, plain
from flows.models.identifiers import new_id, shown


def begin_op(context: StepContext, call: OpenCall) -> Op:
    """A call that is about to be made."""
    intent = call.intent
    data: dict[str, Any] = {
        "call": shown("call", call.id),
        "kind": intent.kind,
        "target": intent.target,
        "attempt": context.attempt,
    }
    op: Op = {
        "op": "begin",
        "event": "step.started" if call.n == context.past.calls + 1 else "call.started",
        "path": context.path,
        "attempt": context.attempt,
        "n": call.n,
        "call": call.id,
        "kind": intent.kind,
        "target": intent.target,
        "repeat": intent.repeat,
        "key": call.key,
        "request": intent.request,
        "reserve": str(intent.reserve),
        "reserve_tokens": intent.reserve_tokens,
        "simulated": intent.simulated,
        "priced": intent.priced,
    }
    if intent.reason:
        op["reason"] = plain(intent.reason, 200)
    if intent.request_hash:
        op["hash"] = intent.request_hash
    if intent.price is not None:
        op["price"] = intent.price
    if intent.cached:
        op["cached"] = True
    if intent.routing is not None:
        data["routing"] = intent.routing
        op["route"], op["route_version"] = intent.routing["route"], intent.routing["version"] or None
    op["data"] = dump(data)
    return op


def settle_op(path: str, call: OpenCall, result: Settlement, last: bool) -> Op:
    """What became of a call. The last call of an attempt needs no event of its own: the step's follows at once."""
    op: Op = {"op": "settle", "path": path, "call": call.id, "status": result.status, "paid": result.paid}
    op["tokens"] = tokens_of(call.intent, result)
    if result.adopted or not last:
        said = {"call": shown("call", call.id), "class": result.error_class, "target": call.intent.target}
        op["event"] = "call.adopted" if result.adopted else "call.failed"
        op["data"] = orjson.dumps(said).decode()
    if result.cost is not None:
        op["cost"] = str(result.cost)
    if result.response is not None:
        op["response"] = result.response
    if result.usage_source:
        op |= _usage(result)
    if result.first_text is not None:
        op["first_text"] = result.first_text
    if result.error_class:
        op["error_class"], op["error_message"] = result.error_class, plain(result.error_message)
    if result.provider_id:
        op["provider_id"] = plain(result.provider_id, 160)
    return op


def _usage(result: Settlement) -> Op:
    """What a model's call used, and what its provider says of it."""
    return {
        "usage_source": result.usage_source,
        "input_tokens": result.input_tokens,
        "cached_input_tokens": result.cached_input_tokens,
        "output_tokens": result.output_tokens,
        "reasoning_tokens": result.reasoning_tokens,
        "cache_write_tokens": result.cache_write_tokens or None,
        "price": result.price,
        "reported": None if result.reported is None else str(result.reported),
    }


def never_made(begin: Op) -> Op:
    """Settles a call whose step was broken off between its intent and the call itself: nothing was sent, nothing is owed."""
    return {
        "op": "settle",
        "path": begin["path"],
        "call": begin["call"],
        "status": "failed_final",
        "cost": "0",
        "paid": False,
        "error_class": "cancelled",
        "error_message": "Broken off before it was sent.",
    }


def tokens_of(intent: Intent, result: Settlement) -> int:
    """The tokens that a call counts for: what was used, or, where that is not known, what was reserved."""
    if result.input_tokens is None and result.usage_source == "estimated":
        return intent.reserve_tokens
    return (result.input_tokens or 0) + (result.output_tokens or 0)


def result_op(path: str, n: int, kind: str, status: str, event: str, data: Any = None) -> Op:
    """An attempt that ended, opened a container or waits."""
    return {
        "op": "result",
        "event": event,
        "path": path,
        "attempt": n,
        "kind": kind,
        "status": status,
        "data": orjson.dumps(data).decode() if data else None,
    }


def handle_op(handle: Handle) -> Op:
    """A flow's error handler that begins or has ended, with the error that it is for, or that it failed with itself."""
    event = {"open": "handler.opened", "succeeded": "handler.succeeded", "failed": "handler.failed"}[handle.status]
    op = result_op(handle.path, 1, "on_error", handle.status, event, handle.error)
    if handle.error is not None:
        op["error"] = orjson.dumps(handle.error).decode()
    return op


def note_op(event: str, path: str, data: dict[str, Any]) -> Op:
    """An event that changes nothing by itself."""
    return {"op": "note", "event": event, "path": path, "data": orjson.dumps(data).decode()}


def end_op(end: End) -> Op:
    """The end of the run. An output that cannot be kept fails it."""
    data: dict[str, Any] = {"status": end.status, "reason": end.reason}
    if end.error is not None:
        data["error"] = dict(end.error)
    output = None
    if end.status == "succeeded":
        try:
            output = dump(end.output)
        except Failure as failure:
            error = {"step": "output", "class": failure.slug, "message": failure.message}
            return end_op(End("failed", failure.slug, error=error))
    return {
        "op": "fate",
        "event": "run.ended",
        "data": orjson.dumps(data).decode(),
        "next": end.status,
        "reason": end.reason[:60],
        "output": output,
        "error": None if end.error is None else orjson.dumps(end.error).decode(),
    }


def ask_line(run: UUID, path: str, ask: Ask) -> tuple[Op, dict[str, Any]]:
    """A question to people: its row in the request table, and what the event says of it."""
    request = new_id()
    title = plain(ask.title, 300)
    line: Op = {
        "id": request,
        "run": run,
        "path": path,
        "kind": ask.kind,
        "title": title,
        "terms": dict(ask.terms),
        "show": None if ask.show is None else dump(ask.show),
        "payload": canonical(ask.payload),
        "hash": sha256_of(ask.payload),
        "due": ask.due,
    }
    return line, {"request": shown("req", request), "kind": ask.kind, "title": title}
