"""What a run finds in a memory, and whether there is room for more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection

from flows.engine.failures import BadRequest
from flows.engine.memories import LARGEST, LARGEST_VALUE, LONGEST_KEY, MOST_NAMES, Memory, Scope
from flows.execution.jsontext import dump, load

RUN: Final = "SELECT r.flow_id, f.team_id, r.started_by_id FROM flows_run r JOIN flows_flow f ON f.id = r.flow_id WHERE r.id = %s"

RECALL: Final = """
SELECT name, value, untrusted FROM flows_memoryentry
WHERE place = %(place)s AND (expires_at IS NULL OR expires_at > clock_timestamp())
    AND (cardinality(%(names)s::text[]) = 0 OR name = ANY(%(names)s::text[]))
ORDER BY name
"""

HELD: Final = """
SELECT count(*), coalesce(sum(octet_length(value)), 0)::bigint FROM flows_memoryentry
WHERE place = %s AND name <> ALL(%s::text[]) AND (expires_at IS NULL OR expires_at > clock_timestamp())
"""


@dataclass(frozen=True, slots=True)
class Recalled:
    """Values by name; `untrusted` names a tool by which others may have written one of them, if one did."""

    values: Mapping[str, Any]
    untrusted: str = ""


async def memory_of(connection: AsyncConnection[Any], run: UUID, scope: Scope, key: str) -> Memory:
    """The memory of this scope that steps of the run use. Raises `BadRequest` where it has none."""
    row = await (await connection.execute(RUN, (run,))).fetchone()
    if row is None:
        raise BadRequest("The run is gone.")
    flow, team, person = row
    if scope == "flow":
        return Memory("flow", flow=flow)
    if scope == "person":
        if person is None:
            raise BadRequest("Nobody started this run by name, so there is no person whose memory it could use.")
        return Memory("person", team=team, person=person)
    key = key.strip()
    if not key or len(key) > LONGEST_KEY:
        raise BadRequest(f"The key of a memory has 1 to {LONGEST_KEY} characters; this one has {len(key):,}.")
    return Memory("key", team=team, key=key)


async def recall(connection: AsyncConnection[Any], memory: Memory, names: Sequence[str]) -> Recalled:
    """What it holds now under these names, null where there is nothing; without names, all of it."""
    rows = await (await connection.execute(RECALL, {"place": memory.place, "names": list(names)})).fetchall()
    held = {name: load(value) for name, value, _ in rows}
    values = {name: held.get(name) for name in names} if names else held
    return Recalled(values, next((untrusted for _, _, untrusted in rows if untrusted), ""))


async def require_room(connection: AsyncConnection[Any], memory: Memory, values: Mapping[str, Any]) -> None:
    """Raises `BadRequest` where a value, or the memory with these values in it, would be too large. Runs that write at the same moment
    may pass the bounds together, by what each of them writes."""
    sizes = {name: len(dump(value).encode()) for name, value in values.items() if value is not None}
    for name, size in sizes.items():
        if size > LARGEST_VALUE:
            raise BadRequest(f"{name} has {size:,} bytes of JSON; a memory keeps at most {LARGEST_VALUE:,} under one name.")
    row = await (await connection.execute(HELD, (memory.place, list(values)))).fetchone()
    count, size = row or (0, 0)
    if count + len(sizes) > MOST_NAMES:
        raise BadRequest(
            f"This memory holds {count:,} other names; at most {MOST_NAMES:,} are kept. Let some expire, or forget them."
        )
    if size + sum(sizes.values()) > LARGEST:
        raise BadRequest(f"This memory would hold more than {LARGEST // 1024:,} KiB. Let something expire, or forget it.")
