"""Rings: hints to the engine workers that a run is waiting. Celery carries them; they carry no truth.

A ring that is lost costs a scan period. Sending one costs milliseconds and may hang with Redis, so a thread of its own does it, and
what gathers while it is busy becomes one ring.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import uuid

from celery import current_app

log = logging.getLogger(__name__)

EXPIRES = 30.0
"""Seconds after which a ring says nothing any more."""

_pending: queue.SimpleQueue[uuid.UUID] = queue.SimpleQueue()
_lock = threading.Lock()
_sender: threading.Thread | None = None
_sender_process = 0


def ring(run_id: uuid.UUID) -> None:
    """Tell the workers that this run can go on. Returns at once and never raises."""
    global _sender, _sender_process
    with _lock:
        if _sender is None or _sender_process != os.getpid():
            _sender_process = os.getpid()
            _sender = threading.Thread(target=_send_for_ever, name="rings", daemon=True)
            _sender.start()
    _pending.put(run_id)


def _send_for_ever() -> None:
    while True:
        newest = _pending.get()
        waiting = 1
        while True:
            try:
                newest = _pending.get_nowait()
                waiting += 1
            except queue.Empty:
                break
        try:
            current_app.send_task("flows.wake", (str(newest),), queue="engine", expires=EXPIRES, retry=False, ignore_result=True)
        except Exception as error:  # noqa: BLE001 - whatever Redis does, a ring is a hint: the workers' scan finds the run
            log.info("%d ring(s) not sent: %s", waiting, error)
