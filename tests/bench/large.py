"""A large installation, made from one real run by copying its rows inside PostgreSQL: a minute or two for a hundred thousand runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

MONTHS = 13  # over which the copies are spread
EVENTS_OF_EVERY = 100  # runs: the events of the others would only fill the disk

COPIES = """
CREATE TEMP TABLE copies AS
SELECT n, uuidv7(-age) AS id, now() - age AS at
FROM generate_series(1, {count}) AS n, LATERAL (SELECT interval '1 month' * ({months} * (1 - n / {count}::float8)) AS age) AS x
"""


MODEL_CALL = {  # instead of what the run called: five models, a cost and tokens of its own each
    "kind": "'model'",
    "target": "'model-' || (c.n + t.n) %% 5",
    "settled": "((c.n * 7919 + t.n) %% 100000)::numeric / 1000000",
    "usage_source": "'provider'",
    "input_tokens": "500 + c.n %% 1500",
    "cached_input_tokens": "c.n %% 500",
    "output_tokens": "c.n %% 300",
    "reasoning_tokens": "0",
}


def multiply_run(connection: psycopg.Connection[Any], run: object, count: int, flows: Sequence[object]) -> None:
    """Makes `count` copies of an ended run, its attempts and its calls, which are of these flows in turn and ask models; the oldest is
    thirteen months old. Needs PostgreSQL 18."""
    connection.execute(sql.SQL(COPIES).format(count=sql.Literal(count), months=sql.Literal(MONTHS)))
    times = {name: f"c.at + (t.{name} - r.created_at)" for name in ("created_at", "started_at", "ended_at", "at")}
    listed = ", ".join(f"'{flow}'::uuid" for flow in flows)
    flow = f"(ARRAY[{listed}])[1 + c.n %% {len(flows)}]"
    of_run = {**times, "run_id": "c.id"}
    _copy(
        connection,
        "flows_run",
        "id",
        run,
        {**times, "id": "c.id", "number": "nextval('flows_run_number')", "key": "NULL", "flow_id": flow},
    )
    _copy(connection, "flows_attempt", "run_id", run, of_run)
    _copy(connection, "flows_call", "run_id", run, {**of_run, **MODEL_CALL, "id": "uuidv7(c.at - now())"})
    _copy(connection, "flows_event", "run_id", run, of_run, f"c.n %% {EVENTS_OF_EVERY} = 0")
    connection.execute("DROP TABLE copies")
    connection.execute("VACUUM (ANALYZE)")


def _copy(
    connection: psycopg.Connection[Any], table: str, key: str, run: object, changed: Mapping[str, str], which: str = "true"
) -> None:
    query = """SELECT column_name FROM information_schema.columns
        WHERE table_schema = current_schema() AND table_name = %s AND is_identity = 'NO' ORDER BY ordinal_position"""
    names = [row[0] for row in connection.execute(query, (table,)).fetchall()]
    values = [sql.SQL(changed[name]) if name in changed else sql.Identifier("t", name) for name in names]  # type: ignore[arg-type]
    statement = sql.SQL(
        "INSERT INTO {table} ({names}) SELECT {values} FROM copies c, {table} t, flows_run r WHERE t.{key} = %s AND r.id = %s AND "
        + which  # type: ignore[operator]
    ).format(
        table=sql.Identifier(table),
        names=sql.SQL(", ").join(map(sql.Identifier, names)),
        values=sql.SQL(", ").join(values),
        key=sql.Identifier(key),
    )
    connection.execute(statement, (run, run))
