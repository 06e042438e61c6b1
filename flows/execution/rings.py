"""Rings: hints to the engine workers that a run is waiting. Celery carries them; they carry no truth.

A ring that is lost costs a scan period. Sending one costs milliseconds and may hang with Redis, so a thread of its own does it, and
what gathers while it is busy becomes one ring.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
import uuid

from celery import current_app

log = logging.getLogger(__name__)

EXPIRES = 30.0
"""Seconds after which a ring says nothing any more."""

PAUSE = 0.01
"""Seconds between two rings of a process: the first is sent at once, what follows it closely goes together."""

MOST_RUNS = 500
"""Runs that one ring is for."""

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
        runs = {str(_pending.get())}
        while len(runs) < MOST_RUNS:
            try:
                runs.add(str(_pending.get_nowait()))
            except queue.Empty:
                break
        try:
            current_app.send_task("flows.wake", (list(runs),), queue="engine", expires=EXPIRES, retry=False, ignore_result=True)
        except Exception as error:  # noqa: BLE001 - whatever Redis does, a ring is a hint: the workers' scan finds the run
            log.info("rings for %d run(s) not sent: %s", len(runs), error)
        time.sleep(PAUSE)
