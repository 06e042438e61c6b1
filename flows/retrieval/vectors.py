"""Vectors that a model of the catalogue made: which passages lack one, and storing them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import orjson
from psycopg import AsyncConnection

from flows.engine.failures import BadRequest
from flows.retrieval.embedding import as_sql
from flows.retrieval.searching import BASE

UNEMBEDDED: Final = """
SELECT id, text FROM flows_passage WHERE base_id = %s AND embedded_by <> %s ORDER BY document_id, n LIMIT %s
"""

STORE: Final = """
UPDATE flows_passage p SET vector = x.vector::vector, embedded_by = %s
FROM json_to_recordset(%s::json) AS x(id uuid, vector text) WHERE p.id = x.id
"""


@dataclass(frozen=True, slots=True)
class Base:
    """A base as a run sees it. `embedding` is the model that makes its vectors; empty: they come with the product."""

    id: UUID
    language: str
    has_vectors: bool
    embedding: str


async def base_of(connection: AsyncConnection[Any], slug: str, run: UUID) -> Base:
    """The base of this name that the run's flow may search. Raises `BadRequest` where there is none."""
    row = await (await connection.execute(BASE, {"base": slug, "run": run})).fetchone()
    if row is None:
        raise BadRequest(f"There is no knowledge base {slug!r} that this flow may search. It was removed, or is another team's.")
    return Base(*row)


async def unembedded(connection: AsyncConnection[Any], base: Base, most: int) -> list[tuple[UUID, str]]:
    """Passages without a vector of the base's model, with their texts."""
    rows = await (await connection.execute(UNEMBEDDED, (base.id, base.embedding, most))).fetchall()
    return [(row[0], row[1]) for row in rows]


async def store_vectors(
    connection: AsyncConnection[Any], base: Base, ids: Sequence[UUID], vectors: Sequence[list[float]]
) -> None:
    """A passage that was removed meanwhile stays removed."""
    lines = [{"id": id_, "vector": as_sql(vector)} for id_, vector in zip(ids, vectors, strict=True)]
    await connection.execute(STORE, (base.embedding, orjson.dumps(lines).decode()))
