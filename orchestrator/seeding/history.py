"""Telling runs again: copies of runs that were carried out, spread over the days before, made inside PostgreSQL.

What a model of the simulation answered is told as an answer of the made-up providers, at the prices of its day: so the past has money
that is no simulation's, and its ledger, sums and prices agree to the last digit.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import fastuuid
from django.db import connection, transaction
from django.utils import timezone

from flows.models import Request, Run
from flows.models.identifiers import shown
from orchestrator.seeding.copies import copy_rows

DAYS = 45
UNPRICED = 214  # calls whose price nobody knows
WORKING_HOURS = (7, 19)

COPIES = """
CREATE TEMP TABLE copies ON COMMIT DROP AS
SELECT n::int, id, request, at, 0.6 + (n * 37 %% 100) / 60.0 AS pace
FROM unnest(%(ids)s::uuid[], %(requests)s::uuid[], %(moments)s::timestamptz[]) WITH ORDINALITY AS x(id, request, at, n)
"""
TARGET = "CASE t.target WHEN 'sim-large' THEN 'large-1' WHEN 'sim-down' THEN 'large-1' ELSE 'small-1' END"
OF_A_MODEL = "CASE WHEN t.kind = 'model' THEN {told} ELSE t.{column} END"
LONGER = (40, 6)
"""So many times as long as the simulation's were the prompts and answers of the past: theirs would cost next to nothing."""

CALL_ID = "(left(c.id::text, 13) || substr(t.id::text, 14))::uuid"
"""Of a copied call: the moment of its run, then what tells the calls of a run apart."""

RENAMED = (("sim-small", "small-1"), ("sim-large", "large-1"))
NUMBER = "nextval('flows_run_number')"
UNKNOWN = """
UPDATE flows_call SET target = 'mini-x', priced = false WHERE id IN (
    SELECT id FROM flows_call WHERE run_id = ANY(%(runs)s) AND kind = 'model' AND status = 'succeeded'
    ORDER BY idempotency_key LIMIT %(most)s)
"""
PRICED = """
UPDATE flows_call c SET price_id = p.id,
    settled = CASE WHEN c.settled IS NULL THEN NULL ELSE ((c.input_tokens - coalesce(c.cached_input_tokens, 0)) * p.input
        + coalesce(c.cached_input_tokens, 0) * p.cached_input + c.output_tokens * p.output) / 1000000 END
FROM flows_call k LEFT JOIN LATERAL (SELECT * FROM flows_price q
    WHERE q.model_id = k.target AND q.above = 0 AND q.valid_from <= k.started_at ORDER BY q.valid_from DESC LIMIT 1) p ON true
WHERE k.id = c.id AND c.run_id = ANY(%(runs)s) AND c.kind = 'model'
"""
SPENT = """
UPDATE flows_run r SET spent = s.cost, spent_tokens = s.tokens, unpriced = s.unknown FROM (
    SELECT run_id, coalesce(sum(settled), 0) AS cost, coalesce(sum(input_tokens + output_tokens), 0) AS tokens,
        count(*) FILTER (WHERE kind = 'model' AND settled IS NULL AND status = 'succeeded') AS unknown
    FROM flows_call WHERE run_id = ANY(%(runs)s) GROUP BY run_id) s WHERE s.run_id = r.id
"""


def moments(count: int, seed: str) -> list[datetime]:
    """So many moments of the last `DAYS` days, most of them in working hours, the oldest first. The same seed gives the same."""
    source, now = random.Random(seed), timezone.now()  # noqa: S311 - it must be repeatable
    found: set[datetime] = set()
    while len(found) < count:
        back = timedelta(seconds=source.uniform(2 * 3600, DAYS * 86400))
        moment = (now - back).replace(microsecond=source.randrange(1000) * 1000)
        busy = WORKING_HOURS[0] <= moment.hour < WORKING_HOURS[1] and moment.weekday() < 5
        if busy or source.random() < 0.15:
            found.add(moment)
    return sorted(found)


def id_at(moment: datetime) -> UUID:
    """A fresh UUIDv7 of that moment."""
    fresh = fastuuid.uuid7().int
    return UUID(int=(int(moment.timestamp() * 1000) << 80) | (fresh & ((1 << 80) - 1)))


def retell(run: Run, count: int) -> list[UUID]:
    """Makes `count` copies of an ended run with its steps, calls, events, requests and votes; gives their identifiers. One transaction."""
    request = Request.objects.filter(run=run).first()
    at = moments(count, f"{run.flow.slug} {run.input}")
    ids = [id_at(moment) for moment in at]
    requests = [id_at(moment + timedelta(seconds=1)) for moment in at]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(COPIES, {"ids": ids, "requests": requests, "moments": at})
        times = {
            name: f"c.at + (t.{name} - r.created_at) * c.pace"
            for name in ("created_at", "started_at", "ended_at", "at", "decided_at", "due")
        }
        of_run = {**times, "run_id": "c.id"}
        copy_rows(cursor, "flows_run", ("id", run.id), run.id, {**times, "id": "c.id", "number": NUMBER, "key": "NULL"})
        copy_rows(cursor, "flows_attempt", ("run_id", run.id), run.id, of_run)
        copy_rows(cursor, "flows_call", ("run_id", run.id), run.id, {**of_run, **told()})
        copy_rows(cursor, "flows_event", ("run_id", run.id), run.id, {**of_run, "data": said(run, request)})
        if request is not None:
            asked = {**of_run, "id": "c.request"}
            copy_rows(cursor, "flows_request", ("run_id", run.id), run.id, asked)
            copy_rows(cursor, "approvals_vote", ("request_id", request.id), run.id, {**times, "request_id": "c.request"})
    return ids


def told() -> dict[str, str]:
    """The columns of a call as it is told: another model, other token counts, and, of some, an estimate in place of a report."""
    share = "(60 + (c.n * 31 + t.seq * 7) %% 130) / 100.0"
    asked, answered = f"(t.input_tokens * {share} * {LONGER[0]})::int", f"(t.output_tokens * {share} * {LONGER[1]})::int"
    values = {
        "target": TARGET,
        "simulated": "false",
        "input_tokens": asked,
        "cached_input_tokens": f"CASE WHEN c.n %% 3 = 0 THEN {asked} / 2 ELSE t.cached_input_tokens END",
        "output_tokens": answered,
        "usage_source": "CASE WHEN t.usage_source = 'provider' AND c.n %% 13 = 5 THEN 'estimated' ELSE t.usage_source END",
        "reserved": "0",
        "reported": "NULL",
    }
    columns = {name: OF_A_MODEL.format(told=value, column=name) for name, value in values.items()}
    return {**columns, "id": CALL_ID, "idempotency_key": "gen_random_uuid()", "request_hash": "''"}


def said(run: Run, request: Request | None) -> str:
    """The data of an event, with the identifiers and the models of the copy in place of the first run's."""
    text = f"replace(t.data, '{run.public_id}', 'run_' || replace(c.id::text, '-', ''))"
    if request is not None:
        text = f"replace({text}, '{shown('req', request.id)}', 'req_' || replace(c.request::text, '-', ''))"
    text = f"regexp_replace({text}, 'call_[0-9a-f]{{12}}', 'call_' || left(replace(c.id::text, '-', ''), 12), 'g')"
    for old, new in RENAMED:
        text = f"replace({text}, '{old}', '{new}')"
    return text


def settle(runs: Sequence[UUID]) -> None:
    """What the calls of these runs cost by the price book, and the runs with them; of `UNPRICED` of them nobody knows."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(UNKNOWN, {"runs": list(runs), "most": UNPRICED})
        cursor.execute(PRICED, {"runs": list(runs)})
        cursor.execute(SPENT, {"runs": list(runs)})
