"""Speed of the engine: durable steps a second, pure steps a second, and how long one run takes on an idle system.

Each row runs real engine workers (the zygote's, as `up` starts them) on embedded servers of its own, and measures its limit on the
same servers in the same minute: what PostgreSQL's own `pgbench` commits with the rows of one step a transaction.
"""

import json
import time
from functools import cache
from itertools import pairwise
from statistics import median
from typing import Any

from tests.bench import Row, measure
from tests.bench.stage import staged

RUNS = 1500
STEPS = 10
IN_FLIGHT = 200
ENGINES = 2
REST = 0.05  # seconds in which nothing is to do

ONE_STEP = """
\\set attempt random(1, 2000000000)
BEGIN;
UPDATE flows_run SET seq = seq + 2, steps = steps + 1, spent_tokens = spent_tokens + 1 WHERE number = :client_id + 1000000
    RETURNING id AS run, seq \\gset
INSERT INTO flows_event (run_id, seq, pass, type, path, at, data) VALUES
    (:run::uuid, :seq - 1, 1, 'step.started', 's1', now(), '{{"call":"call_0192","kind":"tool","target":"bench.noop","attempt":1}}'),
    (:run::uuid, :seq, 1, 'step.succeeded', 's1', now(), NULL);
INSERT INTO flows_call (id, run_id, pass, path, attempt, n, epoch, seq, status, kind, target, reason, repeat, idempotency_key,
    request_hash, request, reserved, reserved_tokens, simulated, priced, usage_source, error_class, error_message, provider_id,
    started_at)
    VALUES (gen_random_uuid(), :run::uuid, 1, 's' || :seq, 1, 1, 1, :seq, 'started', 'tool', 'bench.noop', '', 'freely',
    gen_random_uuid(), '', '{{}}', 0, 0, false, true, '', '', '', '', now()) RETURNING id AS call \\gset
UPDATE flows_call SET status = 'succeeded', response = 'null', settled = 0, ended_at = now() WHERE id = :call::uuid;
INSERT INTO flows_attempt (run_id, pass, path, n, kind, status, seq, port, output, started_at, ended_at)
    VALUES (:run::uuid, 1, 's' || :seq, 1, 'tool', 'succeeded', :seq, 'done', 'null', now(), now());
COMMIT;
"""


def document(step: dict[str, Any]) -> str:
    """A chain of ten such steps."""
    keys = [f"s{n}" for n in range(STEPS)]
    edges = ["start -> s0", *(f"{a} -> {b}" for a, b in pairwise(keys))]
    return json.dumps(
        {"orchestrator": 1, "name": "Bench", "steps": dict.fromkeys(keys, step), "edges": edges, "output": {"ok": True}}
    )


EFFECTS = {"kind": "tool", "with": {"tool": "bench.noop", "arguments": {}}}
PURE = {"kind": "set", "with": {"values": {"n": "{{ input.n + 1 }}"}}}


@cache
def pgbench_steps() -> float:
    """Transactions a second of sixteen clients, each with one step's rows."""
    with staged() as stage:
        stage.import_flow("bench", document(EFFECTS))
        stage.start_runs("bench", 16, {"n": 1})
        stage.number_runs_from(1_000_000)
        return stage.pgbench(ONE_STEP.replace("{{", "{").replace("}}", "}"), clients=16, seconds=6)


def steps_a_second(step: dict[str, Any]) -> float:
    """Steps of ten-step runs a second, `IN_FLIGHT` runs at once: started through `start_run`, then driven by the engines."""
    with staged() as stage:
        stage.import_flow("bench", document(step))
        stage.start_runs("bench", RUNS, {"n": 1})
        stage.analyze()
        with stage.engines(ENGINES, capacity=IN_FLIGHT // ENGINES):
            stage.wait_until_ended(RUNS, 120)
        return RUNS * STEPS / stage.busy_seconds()


@measure("durable_steps")
def durable_steps() -> Row:
    figure, limit = steps_a_second(EFFECTS), pgbench_steps()
    return Row(round(figure), "steps/s", "ratio >= 2.0", figure / limit >= 2.0, round(limit), figure / limit)


@measure("pure_steps")
def pure_steps() -> Row:
    figure, limit = steps_a_second(PURE), pgbench_steps()
    return Row(round(figure), "steps/s", "ratio >= 4.0", figure / limit >= 4.0, round(limit), figure / limit)


@measure("idle_latency")
def idle_latency() -> Row:
    """Milliseconds from the run's row to its end; the limit is eleven commits in a row. Each run is followed by such commits, after
    the same rest: the first write after one waits longer for the disk, and what else the machine does falls on both. The medians of
    twenty."""
    with staged() as stage:
        stage.import_flow("bench", document(EFFECTS))
        with stage.engines(ENGINES, capacity=IN_FLIGHT):
            stage.wait_for_engines(ENGINES)
            figures, limits = [], []
            for _ in range(22):
                time.sleep(REST)
                stage.start_runs("bench", 1, {"n": 1})
                stage.wait_until_ended(1, 10, newest=True)
                figures.append(stage.newest_milliseconds())
                time.sleep(REST)
                limits.append(stage.commits_milliseconds(STEPS + 1))
        figure, limit = median(figures[2:]), median(limits[2:])
    return Row(round(figure, 2), "ms", "ratio <= 3", figure / limit <= 3, round(limit, 2), figure / limit)
