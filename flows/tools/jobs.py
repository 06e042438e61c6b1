"""Plain functions in the tools worker: a row is the job, a ring only says that there is one.

The row is claimed by one conditional update, so that a job whose ring comes twice, or late, runs once or not at all.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import DatabaseError, connection

from flows.engine.failures import Failure
from flows.engine.problems import shorten
from flows.execution.killswitch import IS_ON
from flows.tools.functions import FUNCTIONS

logger = logging.getLogger(__name__)

INSERT = """
INSERT INTO flows_tooljob (call_id, function, arguments, state, error_class, error_message, created_at)
VALUES (%s, %s, %s, 'queued', '', '', now()) ON CONFLICT (call_id) DO NOTHING
"""
READ = "SELECT state, result, error_class, error_message FROM flows_tooljob WHERE call_id = %s"
WITHDRAW = """
UPDATE flows_tooljob SET state = 'failed', error_class = 'timeout', error_message = 'withdrawn', ended_at = now()
WHERE call_id = %s AND state = 'queued' RETURNING call_id
"""
CLAIM = """
UPDATE flows_tooljob j SET state = 'taken', taken_at = clock_timestamp(), beat = clock_timestamp()
WHERE j.call_id = %s AND j.state = 'queued' AND NOT {switch}
    AND NOT EXISTS (SELECT 1 FROM flows_call c WHERE c.id = j.call_id AND c.status <> 'started')
RETURNING j.function, j.arguments, j.taken_at
""".replace("{switch}", IS_ON)
FINISH = """
UPDATE flows_tooljob SET state = %s, result = %s, error_class = %s, error_message = %s, ended_at = now()
WHERE call_id = %s AND state = 'taken' AND taken_at = %s
"""
SHOW_LIFE = "UPDATE flows_tooljob SET beat = clock_timestamp() WHERE call_id = %s AND state = 'taken' AND taken_at = %s"
RECLAIM = """
UPDATE flows_tooljob j SET
    state = CASE WHEN c.repeat IN ('never', 'lookup') OR c.status <> 'started' THEN 'failed' ELSE 'queued' END,
    error_class = CASE WHEN c.repeat IN ('never', 'lookup') THEN 'unavailable' ELSE '' END,
    error_message = CASE WHEN c.repeat IN ('never', 'lookup') THEN 'The tools worker died while it ran.' ELSE '' END,
    ended_at = CASE WHEN c.repeat IN ('never', 'lookup') OR c.status <> 'started' THEN clock_timestamp() END,
    taken_at = NULL, beat = NULL
FROM flows_call c
WHERE c.id = j.call_id AND j.state = 'taken'
    AND greatest(j.beat, pg_postmaster_start_time()) < clock_timestamp() - %s * interval '1 second'
RETURNING j.call_id
"""

GIVE_UP = """
UPDATE flows_tooljob j SET state = 'failed', error_class = 'timeout', error_message = 'withdrawn', ended_at = clock_timestamp()
FROM flows_call c WHERE c.id = j.call_id AND j.state = 'queued' AND c.status <> 'started'
"""

BEAT = 3.0  # seconds between two signs of life of a running job
LEASE = 15.0
"""Seconds of silence after which a job's process is taken for dead: a function in C may hold up its signs of life for a while."""


def run_job(call_id: UUID) -> bool:
    """Runs the job if it still waits and records what became of it. False where another took it or it was withdrawn."""
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [call_id])
        row = cursor.fetchone()
    if row is None:
        return False
    function, arguments, taken_at = row
    with _signs_of_life(call_id, taken_at):
        state, result, error_class, message = _outcome(function, orjson.loads(arguments))
    with connection.cursor() as cursor:
        cursor.execute(FINISH, [state, result, error_class, message, call_id, taken_at])
    return True


def reclaim_jobs() -> list[UUID]:
    """Looks after the jobs of tools workers that have died: one that may be repeated waits again, of another the outcome is unknown.
    A job that still waits although its call is over, since its engine could not take it back, is withdrawn.

    Gives the calls. The engines that wait for them see it, ring again, or fail the call.
    """
    with connection.cursor() as cursor:
        cursor.execute(GIVE_UP)
        cursor.execute(RECLAIM, [LEASE])
        calls = [row[0] for row in cursor.fetchall()]
    if calls:
        logger.warning("%d job(s) of dead tools workers were taken back", len(calls))
    return calls


@contextmanager
def _signs_of_life(call_id: UUID, taken_at: datetime) -> Iterator[None]:
    """Says now and then, from a thread with a connection of its own, that the job is still being done."""
    done = threading.Event()

    def beat() -> None:
        try:
            while not done.wait(BEAT):
                try:
                    with connection.cursor() as cursor:
                        cursor.execute(SHOW_LIFE, [call_id, taken_at])
                except DatabaseError as error:
                    logger.warning("A job could not show that it lives: %s", type(error).__name__)
                    connection.close()
        finally:
            connection.close()

    thread = threading.Thread(target=beat, name="job", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(2.0)


def _outcome(slug: str, arguments: dict[str, Any]) -> tuple[str, str | None, str, str]:
    if slug not in FUNCTIONS:
        return "failed", None, "bad_request", f"The tools worker knows no function {slug!r}."
    try:
        result = orjson.dumps(FUNCTIONS[slug].function(**arguments)).decode()
    except Failure as failure:
        return "failed", None, failure.slug, failure.message
    except Exception as error:  # the worker's edge: whatever a function raises ends its job, not the worker
        logger.exception("The function %s failed.", slug)
        return "failed", None, "internal", f"{type(error).__name__}: {shorten(str(error), 300)}".replace("\x00", "")
    return "done", result.replace("\\u0000", ""), "", ""
