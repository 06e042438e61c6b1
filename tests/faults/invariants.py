"""What must hold whatever broke: I1 to I7 of the engine's protocol, from the database and from what the outside world noted.

To be called when nothing is being driven, or at any time with the exceptions that the tests know of: it reads only.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg

from flows.models.identifiers import parsed
from tests.servers.model_server import _directive, _message, _usage

Lines = Sequence[dict[str, Any]]

ENDED = ("succeeded", "failed", "cancelled", "budget_stopped")
BREAKS_OFF_WITHIN = 3.0  # seconds after a cancel

QUERIES = {
    "I1: {0}, {1}: {2} attempts succeeded": """
        SELECT run_id, path, count(*) FROM flows_attempt WHERE status = 'succeeded' GROUP BY run_id, pass, path HAVING count(*) > 1""",
    "I1: {0}, {1}: {2} calls succeeded": """
        SELECT run_id, path, count(*) FROM flows_call WHERE status = 'succeeded' GROUP BY run_id, pass, path HAVING count(*) > 1""",
    "I2: {0}: {1} events, numbered {2} to {3}; the run counts {4}": """
        SELECT r.id, count(e.seq), min(e.seq), max(e.seq), r.seq FROM flows_run r LEFT JOIN flows_event e ON e.run_id = r.id
        GROUP BY r.id HAVING count(e.seq) <> r.seq OR min(e.seq) IS DISTINCT FROM 1 OR max(e.seq) <> r.seq""",
    "I2: {0} is {1} and has {2} ends": """
        SELECT r.id, r.status, count(e.seq) FROM flows_run r
        LEFT JOIN flows_event e ON e.run_id = r.id AND e.pass = r.pass AND e.type = 'run.ended'
        GROUP BY r.id HAVING count(e.seq) <> (r.status = ANY(%(ended)s))::int""",
    "I2: {0}: event {1} ({2}) after the end": """
        SELECT e.run_id, e.seq, e.type FROM flows_event e
        JOIN flows_event t ON t.run_id = e.run_id AND t.pass = e.pass AND t.type = 'run.ended' WHERE e.seq > t.seq""",
    "I4: {0}: {1} spent and {2} reserved of {3}": """
        SELECT id, spent, reserved, cap_cost FROM flows_run WHERE spent + reserved > cap_cost""",
    "I4: {0}: {1} spent, {2} settled": """
        SELECT r.id, r.spent, coalesce(sum(c.settled), 0) FROM flows_run r LEFT JOIN flows_call c ON c.run_id = r.id
        GROUP BY r.id HAVING r.spent <> coalesce(sum(c.settled), 0)""",
    "I4: {0}: {1} reserved for {2} open calls, which reserved {3} and are {4}": """
        SELECT r.id, r.reserved, r.open_calls, coalesce(sum(c.reserved), 0), count(c.id) FROM flows_run r
        LEFT JOIN flows_call c ON c.run_id = r.id AND c.status = 'started'
        GROUP BY r.id HAVING r.reserved <> coalesce(sum(c.reserved), 0) OR r.open_calls <> count(c.id)""",
    "I4: {0} is {1} with {2} reserved and {3} open calls": """
        SELECT id, status, reserved, open_calls FROM flows_run
        WHERE status = ANY(%(ended)s) AND (reserved <> 0 OR reserved_tokens <> 0 OR open_calls <> 0)""",
    "I4: budget {0}: {1} spent and {2} reserved of {3}": """
        SELECT b.scope || ' ' || b.subject, s.spent, s.reserved, b.cost FROM flows_budgetperiod s JOIN flows_budget b ON b.id = s.budget_id
        WHERE s.spent + s.reserved > b.cost""",
    "I4: budget {0}: {1} reserved for {2} calls, held are {3} for {4}": """
        SELECT b.scope || ' ' || b.subject, s.reserved, s.reserved_calls, coalesce(sum(h.reserved), 0), count(h.id)
        FROM flows_budgetperiod s JOIN flows_budget b ON b.id = s.budget_id LEFT JOIN flows_budgethold h ON h.period_id = s.id
        GROUP BY b.id, s.id HAVING s.reserved <> coalesce(sum(h.reserved), 0) OR s.reserved_calls <> count(h.id)""",
    "I4: budget {0}: counts {1} for {2} calls, the ledger has {3} for {4}": """
        SELECT b.scope || ' ' || b.subject, s.spent, s.spent_calls, coalesce(sum(c.settled), 0), count(c.id)
        FROM flows_budgetperiod s JOIN flows_budget b ON b.id = s.budget_id
        LEFT JOIN (flows_call c JOIN flows_run r ON r.id = c.run_id JOIN flows_flow f ON f.id = r.flow_id)
            ON (b.scope = 'all' OR b.scope = 'flow' AND b.subject = f.slug) AND c.kind = 'model' AND NOT c.simulated
            AND c.status <> 'started' AND c.started_at >= greatest(s.begins, b.created_at) AND c.started_at < s.ends
            AND NOT EXISTS (SELECT 1 FROM flows_budgethold h WHERE h.call_id = c.id AND h.period_id = s.id)
        WHERE b.scope IN ('all', 'flow')
        GROUP BY b.id, s.id HAVING s.spent <> coalesce(sum(c.settled), 0) OR s.spent_calls <> count(c.id)""",
    "I4: budget {0}: {1} is held for a call that {2}": """
        SELECT b.scope || ' ' || b.subject, h.reserved, coalesce('is ' || c.status, 'never began') FROM flows_budgethold h
        JOIN flows_budgetperiod s ON s.id = h.period_id JOIN flows_budget b ON b.id = s.budget_id JOIN flows_run r ON r.id = h.run_id
        LEFT JOIN flows_call c ON c.id = h.call_id
        WHERE r.ended_at < clock_timestamp() - 2 * %(lease)s * interval '1 second'""",
    "I5: {0}, {1}: call {2} began after the cancel": """
        SELECT c.run_id, c.path, c.id FROM flows_call c
        JOIN flows_event e ON e.run_id = c.run_id AND e.pass = c.pass AND e.type = 'run.cancel_requested' WHERE c.seq > e.seq""",
    "I5: {0}, {1}: went on for {2:.1f} s after the cancel": """
        SELECT c.run_id, c.path, extract(epoch FROM coalesce(c.ended_at, clock_timestamp()) - e.at)::float8 FROM flows_call c
        JOIN flows_event e ON e.run_id = c.run_id AND e.pass = c.pass AND e.type = 'run.cancel_requested'
        WHERE coalesce(c.ended_at, clock_timestamp()) > e.at + %(breaks_off)s * interval '1 second'""",
    "I6: {0} is {1} and driven by nobody": """
        SELECT r.id, r.status FROM flows_run r LEFT JOIN flows_worker w ON w.id = r.owner
        WHERE r.status = 'running' AND (w.id IS NULL OR w.beat < clock_timestamp() - 2 * %(lease)s * interval '1 second')""",
    "I6: {0} is {1} and owned": """
        SELECT id, status FROM flows_run WHERE status <> 'running' AND owner IS NOT NULL""",
    "I6: {0} is {1}, and nothing will wake it": """
        SELECT r.id, r.status FROM flows_run r
        WHERE r.status IN ('waiting_approval', 'waiting', 'retrying') AND r.wake_at IS NULL AND NOT r.paused
            AND NOT EXISTS (SELECT 1 FROM flows_request q WHERE q.run_id = r.id AND q.state IN ('pending', 'info_requested'))
            AND NOT EXISTS (SELECT 1 FROM flows_attempt a WHERE a.run_id = r.id AND a.kind = 'wait' AND a.status = 'waiting')""",
    "I7: {0}, {1}: decided ({2}), and the run sleeps on": """
        SELECT r.id, q.path, q.state FROM flows_run r JOIN flows_request q ON q.run_id = r.id AND q.pass = r.pass
        JOIN flows_attempt a ON a.run_id = r.id AND a.pass = r.pass AND a.path = q.path AND a.status = 'waiting'
        WHERE r.status IN ('waiting_approval', 'waiting', 'retrying') AND NOT r.paused
            AND q.state NOT IN ('pending', 'info_requested', 'withdrawn')
            AND NOT EXISTS (SELECT 1 FROM flows_request n WHERE n.run_id = q.run_id AND n.pass = q.pass AND n.path = q.path
                AND n.round > q.round)""",
    "I7: {0}, {1}: {2} answers": """
        SELECT q.run_id, q.path, count(e.seq) FROM flows_request q
        LEFT JOIN flows_event e ON e.run_id = q.run_id AND e.path = q.path AND e.type = 'request.answered'
            AND e.data::json ->> 'request' = 'req_' || replace(q.id::text, '-', '')
        GROUP BY q.id HAVING count(e.seq) <> (q.state IN ('approved', 'rejected', 'changes_requested', 'expired'))::int""",
    "I7: {0}, {1}: answered {2}, went on at {3}": """
        SELECT q.run_id, q.path, q.outcome, a.port FROM flows_request q
        JOIN flows_attempt a ON a.run_id = q.run_id AND a.pass = q.pass AND a.path = q.path AND a.status = 'succeeded'
        WHERE q.kind = 'approval' AND a.port <> q.outcome""",
}


def violations(
    connection: psycopg.Connection[Any], *, models: Lines | None = None, effects: Lines | None = None, lease: float = 15.0
) -> list[str]:
    """One line for each thing that is not as it must be. `models` and `effects` are the journals of the servers outside, where
    these have seen everything that was sent to them."""
    found = [line for name, query in QUERIES.items() for line in _asked(connection, name, query, lease)]
    if models is not None:
        found += _models(connection, models)
    if effects is not None:
        found += _effects(connection, effects)
    return found


def served_usage(line: dict[str, Any]) -> dict[str, Any]:
    """What the model server said was used, by its own count."""
    body = line["body"]
    behave = {**line["behave"], **_directive(body)}
    name = str(behave.get("behave", ""))
    return _usage(body, _message(body, behave, name)[0], name) or {}


def _asked(connection: psycopg.Connection[Any], name: str, query: str, lease: float) -> Iterator[str]:
    values = {"ended": list(ENDED), "lease": lease, "breaks_off": BREAKS_OFF_WITHIN}
    for row in connection.execute(query, values):
        yield name.format(*row)


def _models(connection: psycopg.Connection[Any], lines: Lines) -> Iterator[str]:
    """The ledger against the model server: each request has a call that was recorded before it, each success is one request, and
    what the ledger says was used is what was served."""
    query = """SELECT run_id, path, status, request, provider_id, input_tokens, output_tokens, settled, reserved
               FROM flows_call WHERE kind = 'model' AND NOT simulated"""
    calls = connection.execute(query).fetchall()
    by_number = {f"chatcmpl-{line['n']}": line for line in lines}
    sent = Counter(_key(line["body"]["messages"]) for line in lines)
    recorded = Counter(_key(json.loads(call[3])["messages"]) for call in calls)
    for key, count in (sent - recorded).items():
        yield f"I3: {count} request(s) to a model that no call recorded: {key[:200]}"
    used: Counter[str] = Counter()
    for run, path, status, request, number, read, written, settled, reserved in calls:
        if status == "unknown" and settled != reserved:
            yield f"ledger: {run}, {path}: unknown, settled {settled} of {reserved}"
        if status != "succeeded":
            continue
        line = by_number.get(number)
        used[number] += 1
        if line is None or line["body"]["messages"] != json.loads(request)["messages"]:
            yield f"ledger: {run}, {path}: answer {number} is not the server's answer to this call"
            continue
        usage = served_usage(line)
        if (read, written) != (usage["prompt_tokens"], usage["completion_tokens"]):
            yield f"ledger: {run}, {path}: {read} and {written} tokens, served {usage}"
    for number, count in used.items():
        if count > 1:
            yield f"ledger: answer {number} is booked {count} times"


def _effects(connection: psycopg.Connection[Any], lines: Lines) -> Iterator[str]:
    """Every request to the effect server has a call that was recorded before; a key is one step's; a tool that may not be repeated
    was asked once, and once more where people said so or had a step that succeeded done again."""
    query = """SELECT c.run_id, c.path, array_agg(DISTINCT c.idempotency_key::text), min(c.repeat),
                   extract(epoch FROM min(c.started_at))::float8, count(*),
                   (SELECT count(*) FROM flows_request q WHERE q.run_id = c.run_id AND q.path = c.path AND q.outcome = 'repeat')
               FROM flows_call c WHERE c.kind = 'tool' GROUP BY c.run_id, c.path"""
    calls = {(row[0], row[1]): row[2:] for row in connection.execute(query)}
    asked: Counter[tuple[UUID, str]] = Counter()
    users: dict[str, tuple[UUID, str]] = {}
    for line in lines:
        if line["method"] == "GET":
            continue  # only asks what became of a key
        step = (parsed("run", line["body"]["run"]), line["body"]["step"])
        asked[step] += 1
        if step not in calls or calls[step][2] > line["at"]:
            yield f"I3: {step}: an effect without an earlier call"
            continue
        keys, repeat = calls[step][:2]
        if (line["key"] is not None and line["key"] not in keys) or (repeat == "keyed" and line["key"] is None):
            yield f"I3: {step}: sent with key {line['key']}, recorded with {' and '.join(keys)}"
        if line["key"] is not None and users.setdefault(line["key"], step) != step:
            yield f"I3: key {line['key']} is used by {users[line['key']]} and {step}"
    for step, count in asked.items():
        if step in calls:
            keys, repeat, _, made, repeated = calls[step]
            if count > (len(keys) + repeated if repeat == "never" else made):
                yield f"I3: {step} ({repeat}): asked {count} times for {made} call(s)"


def settled_of(connection: psycopg.Connection[Any], run: UUID) -> Decimal:
    row = connection.execute("SELECT coalesce(sum(settled), 0) FROM flows_call WHERE run_id = %s", (run,)).fetchone()
    assert row is not None
    return Decimal(row[0])


def _key(messages: Any) -> str:
    return json.dumps(messages, sort_keys=True)
