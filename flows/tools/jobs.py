"""Plain functions in the tools worker: a row is the job, a ring only says that there is one.

The row is claimed by one conditional update, so that a job whose ring comes twice, or late, runs once or not at all.
"""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

import orjson
from django.db import connection

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
UPDATE flows_tooljob SET state = 'taken', taken_at = now()
WHERE call_id = %s AND state = 'queued' AND NOT {switch} RETURNING function, arguments
""".replace("{switch}", IS_ON)
FINISH = """
UPDATE flows_tooljob SET state = %s, result = %s, error_class = %s, error_message = %s, ended_at = now()
WHERE call_id = %s AND state = 'taken'
"""


def run_job(call_id: UUID) -> bool:
    """Runs the job if it still waits and records what became of it. False where another took it or it was withdrawn."""
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [call_id])
        row = cursor.fetchone()
    if row is None:
        return False
    state, result, error_class, message = _outcome(row[0], orjson.loads(row[1]))
    with connection.cursor() as cursor:
        cursor.execute(FINISH, [state, result, error_class, message, call_id])
    return True


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
