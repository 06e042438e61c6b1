"""Copies of one real run, made inside PostgreSQL: a hundred thousand runs with all that belongs to them in a minute or two."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import connection, transaction

MONTHS = 13  # over which the copies are spread
BATCH = 5000
EVENTS_OF_EVERY = 100  # runs: the events of the others would only fill the disk
MODELS = tuple(f"model-{n}" for n in range(5))
FAILED_OF = 25  # runs one has failed, at its last step

COPIES = """
CREATE TEMP TABLE copies ON COMMIT DROP AS
SELECT n, uuidv7(-age) AS id, now() - age AS at, n %% %(failed)s = 0 AS failed
FROM generate_series(%(first)s::int, %(last)s) AS n,
    LATERAL (SELECT interval '1 month' * (%(months)s * (1 - n / %(count)s::float8)) AS age) AS x
"""
COST = "((c.n * 7919 + {call}.seq * 613) %% 100000)::numeric / 1000000"
INPUT, OUTPUT = "(500 + c.n %% 1500)", "(c.n %% 300)"
MODEL_CALL = {  # instead of what the run called: five models, a cost and tokens of its own each
    "kind": "'model'",
    "target": "'model-' || (c.n + t.n) %% 5",
    "simulated": "false",
    "settled": COST.format(call="t"),
    "usage_source": "'provider'",
    "input_tokens": INPUT,
    "cached_input_tokens": "c.n %% 500",
    "output_tokens": OUTPUT,
    "reasoning_tokens": "0",
}
ERROR = """'{"step": "' || (SELECT path FROM flows_attempt a WHERE a.run_id = r.id ORDER BY a.seq DESC LIMIT 1)
    || '", "class": "rate_limit", "message": "Slow down, please."}'"""
LAST = "t.seq = (SELECT max(seq) FROM flows_attempt a WHERE a.run_id = r.id)"


def multiply_run(run: object, count: int, flows: Sequence[object], progress: Callable[[int], None]) -> None:
    """Makes `count` copies of an ended run, its attempts and its calls, which are of these flows in turn and ask models; the oldest is
    thirteen months old, and one of `FAILED_OF` has failed. What a run spent is what its calls come to. `progress` is told after each
    batch, which is a transaction of its own, how many there are. Needs PostgreSQL 18."""
    times = {name: f"c.at + (t.{name} - r.created_at)" for name in ("created_at", "started_at", "ended_at", "at")}
    listed = ", ".join(f"'{each}'::uuid" for each in flows)
    flow = f"(ARRAY[{listed}])[1 + c.n %% {len(flows)}]"
    of_run = {**times, "run_id": "c.id"}
    calls = "FROM flows_call k WHERE k.run_id = r.id"
    run_row = {
        **times,
        "id": "c.id",
        "number": "nextval('flows_run_number')",
        "key": "NULL",
        "flow_id": flow,
        "status": "CASE WHEN c.failed THEN 'failed' ELSE t.status END",
        "error": f"CASE WHEN c.failed THEN {ERROR} ELSE t.error END",
        "spent": f"(SELECT sum({COST.format(call='k')}) {calls})",
        "spent_tokens": f"(SELECT count(*) {calls}) * ({INPUT} + {OUTPUT})",
    }
    attempt = {**of_run, "status": f"CASE WHEN c.failed AND {LAST} THEN 'failed' ELSE t.status END"}
    for first in range(1, count + 1, BATCH):
        last = min(first + BATCH - 1, count)
        with transaction.atomic(), connection.cursor() as cursor:
            named = {"first": first, "last": last, "count": count, "months": MONTHS, "failed": FAILED_OF}
            cursor.execute(COPIES, named)
            copy_rows(cursor, "flows_run", ("id", run), run, run_row)
            copy_rows(cursor, "flows_attempt", ("run_id", run), run, attempt)
            copy_rows(cursor, "flows_call", ("run_id", run), run, {**of_run, **MODEL_CALL, "id": "uuidv7(c.at - now())"})
            copy_rows(cursor, "flows_event", ("run_id", run), run, of_run, f"c.n %% {EVENTS_OF_EVERY} = 0")
        progress(last)


def copy_rows(
    cursor: Any, table: str, of: tuple[str, object], run: object, changed: Mapping[str, str], which: str = "true"
) -> None:
    """Writes each row of the table that is `of` something (a column and its value) once for each row of the temporary table
    `copies`. `changed` gives columns as SQL over the copy `c`, the row `t` and the first run `r`; the others stay as they are."""
    column, value = of
    query = """SELECT column_name FROM information_schema.columns
        WHERE table_schema = current_schema() AND table_name = %s AND is_identity = 'NO' ORDER BY ordinal_position"""
    cursor.execute(query, (table,))
    names = [row[0] for row in cursor.fetchall()]
    values = ", ".join(changed.get(name, f't."{name}"') for name in names)
    listed = ", ".join(f'"{name}"' for name in names)
    statement = f"INSERT INTO {table} ({listed}) SELECT {values} FROM copies c, {table} t, flows_run r"  # noqa: S608 - names of ours
    cursor.execute(f"{statement} WHERE t.{column} = %s AND r.id = %s AND {which} ORDER BY c.n", (value, run))
