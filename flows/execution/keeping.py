"""Writing memories: in the transaction of the record whose steps say what is kept, so exactly once, whatever dies.

Of several writes of one name the last that commits counts; each leaves a row of history. Rows are taken in the order of their memories
and names, by every process alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import orjson
from psycopg import AsyncConnection

from flows.access.redaction import redacted
from flows.engine.memories import HISTORY, Keep
from flows.execution.journal import Op
from flows.execution.jsontext import dump
from flows.models.identifiers import new_id

KEEP: Final = """
WITH x AS (
    SELECT * FROM json_to_recordset(%s::json) AS x(stamp uuid, run uuid, path text, place text, scope text, flow uuid, team uuid,
        person uuid, key text, name text, value text, seconds float8, untrusted text)
),
kept AS (
    INSERT INTO flows_memoryentry AS e (id, stamp, place, scope, flow_id, team_id, person_id, key, name, value, revision, untrusted,
        run_id, path, set_at, expires_at)
    SELECT stamp, stamp, place, scope, flow, team, person, key, name, value, 1, untrusted, run, path, clock_timestamp(),
        clock_timestamp() + seconds * interval '1 second'
    FROM x WHERE value IS NOT NULL ORDER BY place, name
    ON CONFLICT (place, name) DO UPDATE SET stamp = excluded.stamp, value = excluded.value, revision = e.revision + 1,
        untrusted = excluded.untrusted, run_id = excluded.run_id, path = excluded.path, set_by_id = NULL, set_at = excluded.set_at,
        expires_at = excluded.expires_at
    RETURNING e.id, e.revision, e.value, e.run_id, e.path, e.set_at
),
noted AS (
    INSERT INTO flows_memorychange (entry_id, revision, value, run_id, path, at) SELECT id, revision, value, run_id, path, set_at FROM kept
),
forgotten AS (
    DELETE FROM flows_memoryentry e USING x WHERE x.value IS NULL AND e.place = x.place AND e.name = x.name RETURNING e.id
)
DELETE FROM flows_memorychange c WHERE c.entry_id IN (SELECT id FROM forgotten)
    OR EXISTS (SELECT 1 FROM kept WHERE kept.id = c.entry_id AND c.revision <= kept.revision - {history})
""".replace("{history}", str(HISTORY))


def keep_line(run: UUID, path: str, keep: Keep) -> Op:
    """The line of a record that makes a memory hold this."""
    memory = keep.memory
    return {
        "stamp": new_id(),
        "run": run,
        "path": path,
        "place": memory.place,
        "scope": memory.scope,
        "flow": memory.flow,
        "team": memory.team,
        "person": memory.person,
        "key": memory.key,
        "name": keep.name,
        "value": None if keep.value is None else dump(keep.value),
        "seconds": keep.seconds,
        "untrusted": keep.untrusted,
    }


async def keep(connection: AsyncConnection[Any], lines: Sequence[Op]) -> None:
    """Writes the lines in their order. Must run in the transaction of their records."""
    rest = sorted(lines, key=lambda line: (line["place"], line["name"]))
    while rest:
        now, rest = _each_name_once(rest)
        await connection.execute(KEEP, (redacted(orjson.dumps(now).decode()),))


def _each_name_once(lines: Sequence[Op]) -> tuple[list[Op], list[Op]]:
    """The first line of each name, for one statement writes a row once; and the others."""
    first: dict[tuple[str, str], Op] = {}
    later = [line for line in lines if first.setdefault((line["place"], line["name"]), line) is not line]
    return list(first.values()), later
