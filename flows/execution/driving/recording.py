"""What the planner decided, written into the next record."""

from __future__ import annotations

import orjson

from flows.engine.plan import Record, Retry, Withdraw
from flows.execution.driving.sheet import Sheet
from flows.execution.jsontext import LARGEST, dump

RESULT_LARGEST = 16 * LARGEST
"""Bytes of a step's output, or of a container's checkpoint: each part of it was bounded when it came in."""


def write_end_of_step(sheet: Sheet, record: Record) -> None:
    """The step has succeeded, failed for good, or was skipped."""
    kind = record.node.kind.slug
    if record.done is not None:
        done = record.done
        data = None if done.port == "done" else {"port": done.port}
        op = sheet.result(record.path, record.n, kind, "succeeded", "step.succeeded", data)
        op["port"] = done.port
        op["output"] = dump(done.output, most=RESULT_LARGEST)
        if done.state:
            op["state"] = dump(dict(done.state))
        for keep in done.keeps:
            sheet.keep(record.path, keep)
        return
    event = {"failed": "step.failed", "skipped": "step.skipped"}[record.status]
    op = sheet.result(record.path, record.n, kind, record.status, event, record.error)
    if record.error is not None:
        op["error"] = orjson.dumps(record.error).decode()


def write_opening(sheet: Sheet, record: Record) -> None:
    """A container has opened, or a loop's next round: its row says from where it goes on after a crash."""
    kind, facts = record.node.kind.slug, record.checkpoint or {}
    if "round" in facts:
        op = sheet.result(record.path, record.n, kind, "open", "step.round", {"round": facts["round"]})
    else:
        data = {name: facts[name] for name in ("flow", "number", "version") if name in facts}
        op = sheet.result(record.path, record.n, kind, "open", "step.opened", data)
    if facts:
        op["checkpoint"] = dump(facts, most=RESULT_LARGEST)


def write_retry(sheet: Sheet, retry: Retry) -> None:
    """The attempt failed; another comes after a delay."""
    error = dict(retry.error)
    data = {**error, "delay": round(retry.delay, 3)}
    op = sheet.result(retry.path, retry.n, retry.node.kind.slug, "failed", "step.retrying", data)
    op |= {"error": orjson.dumps(error).decode(), "delay": retry.delay}


def write_withdrawal(sheet: Sheet, withdraw: Withdraw) -> None:
    """The step waited, and is not wanted any more."""
    sheet.result(withdraw.path, withdraw.n, withdraw.node.kind.slug, "skipped", "step.skipped")
    sheet.withdraw(withdraw.path)
