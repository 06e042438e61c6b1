"""Tells open pages that there is something new. A doorbell carries no truth: a page that misses one finds out by its own poll.

Sent from a thread of its own, so that no verb ever waits for Redis.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from typing import Any
from uuid import UUID

from channels.layers import get_channel_layer
from django.dispatch import receiver

from flows.access.changes import rights_changed

log = logging.getLogger(__name__)

INBOX = "inbox"
RIGHTS = "rights"
ERRANDS = "errands"
PATIENCE = 2.0  # seconds that Redis gets
MOST_WAITING = 1000  # doorbells; further ones are dropped

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_pid = 0
_waiting = 0


def run_group(run_id: UUID) -> str:
    """The group of the channel layer that hears of this run."""
    return f"run.{run_id.hex}"


def doorbell(run_id: UUID, seq: int) -> None:
    """There are events up to `seq`. Never raises, never waits."""
    _send(run_group(run_id), {"type": "doorbell", "run": run_id.hex, "seq": seq})


def inbox_changed() -> None:
    """Something was asked, answered or withdrawn. Never raises, never waits."""
    _send(INBOX, {"type": "doorbell", "topic": INBOX})


def errands_group(person: UUID) -> str:
    """The group of the channel layer that hears of this person's errands."""
    return f"{ERRANDS}.{person.hex}"


def errand_moved(person: UUID) -> None:
    """An errand of this person began, went on or ended. Never raises, never waits."""
    _send(errands_group(person), {"type": "doorbell", "topic": ERRANDS})


@receiver(rights_changed)
def rights_bell(person: UUID | None, **_: Any) -> None:
    """Every socket of this person (None: every socket) looks again at what it may show. Never raises, never waits."""
    _send(RIGHTS, {"type": "rights", "person": person.hex if person is not None else None})


def _send(group: str, message: dict[str, Any]) -> None:
    global _waiting
    with _lock:
        if _waiting >= MOST_WAITING:
            return
        _waiting += 1
        loop = _running_loop()
    try:
        asyncio.run_coroutine_threadsafe(_deliver(group, message), loop)
    except RuntimeError:  # the interpreter is going down
        _done()


async def _deliver(group: str, message: dict[str, Any]) -> None:
    try:
        layer = get_channel_layer()
        if layer is not None:
            await asyncio.wait_for(layer.group_send(group, message), PATIENCE)
    except Exception as error:  # noqa: BLE001 - the edge: whatever Redis does, a doorbell is only a hint
        log.info("a doorbell was not delivered: %s", error)
    finally:
        _done()


def _done() -> None:
    global _waiting
    with _lock:
        _waiting -= 1


def _running_loop() -> asyncio.AbstractEventLoop:
    """This process's loop for doorbells; a forked child starts its own."""
    global _loop, _pid, _waiting
    if _loop is None or _pid != os.getpid():
        _loop, _pid, _waiting = asyncio.new_event_loop(), os.getpid(), 1
        threading.Thread(target=_loop.run_forever, name="doorbells", daemon=True).start()
    return _loop
