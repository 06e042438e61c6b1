"""``python -m tests.bench.parts [RUNS]``: where the time of a durable step goes, as processor time of each part of the product.

Ten-step runs of effect steps, driven by engine workers as `up` starts them. What the kernel says that each thread and each of
PostgreSQL's processes has run, divided by the steps: a machine that does other things beside makes the figures larger, not their shares.
The table in docs/architecture.md, "Where the time goes", is from here.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

from tests.bench.engine import EFFECTS, ENGINES, IN_FLIGHT, STEPS, document
from tests.bench.stage import Stage, staged

PROC = Path("/proc")
SHOWN = 0.2  # microseconds a step
BACKENDS = """
SELECT pid, CASE WHEN application_name = 'orchestrator journal' THEN 'PostgreSQL: the journal''s statements'
    WHEN backend_type = 'client backend' THEN 'PostgreSQL: claims, leases, reconciler' ELSE 'PostgreSQL: ' || backend_type END
FROM pg_stat_activity WHERE pid <> pg_backend_pid()
"""
WRITTEN = (
    "SELECT pg_current_wal_lsn() - '0/0', (SELECT sum(xact_commit) FROM pg_stat_database WHERE datname = current_database())"
)


def seconds(pid: int, thread: int) -> float:
    """Processor time that the thread has had."""
    return int((PROC / f"{pid}/task/{thread}/schedstat").read_text().split()[0]) / 1e9


def threads(stage: Stage) -> dict[tuple[int, int], tuple[str, float]]:
    """Each thread of engines, PostgreSQL and Redis: whose it is, and its processor time."""
    parts: dict[int, str] = dict(stage.database.execute(BACKENDS).fetchall())
    engines = [row[0] for row in stage.database.execute("SELECT pid FROM flows_worker").fetchall()]
    redis = [int(each.parent.name) for each in PROC.glob("[0-9]*/comm") if each.read_text() == "valkey-server\n" and ours(each)]
    found: dict[tuple[int, int], tuple[str, float]] = {}
    for pid in (*parts, *engines, *redis):
        with suppress(OSError):  # it has ended
            tasks = {int(each.name): seconds(pid, int(each.name)) for each in (PROC / f"{pid}/task").iterdir()}
            loop = max((task for task in tasks if task != pid), key=lambda task: tasks[task], default=0)
            for task, spent in tasks.items():
                part = "engine: the loop" if task == loop else "engine: Celery" if task == pid else "engine: other threads"
                found[pid, task] = (parts.get(pid, "Redis" if pid in redis else part), spent)
    return found


def ours(comm: Path) -> bool:
    """Whether the server stands on this measurement's folder."""
    from django.conf import settings

    return str(settings.DATA_DIR) in (comm.parent / "cmdline").read_text()


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1500
    with staged() as stage:
        stage.import_flow("bench", document(EFFECTS))
        stage.start_runs("bench", runs, {"n": 1})
        stage.analyze()
        with stage.engines(ENGINES, capacity=IN_FLIGHT // ENGINES):
            stage.until("SELECT count(*) > 0 FROM flows_run WHERE started_at IS NOT NULL", (), 60)
            before, written = threads(stage), stage.database.execute(WRITTEN).fetchone()
            stage.wait_until_ended(runs, 300)
            after, then = threads(stage), stage.database.execute(WRITTEN).fetchone()
        steps = runs * STEPS
        spent: defaultdict[str, float] = defaultdict(float)
        for key, (part, now) in after.items():
            spent[part] += (now - before.get(key, ("", 0.0))[1]) / steps * 1e6
        print(f"{steps / stage.busy_seconds():,.0f} steps/s; processor time of a step:")
        for part, microseconds in sorted(spent.items(), key=lambda item: -item[1]):
            if microseconds >= SHOWN:
                print(f"{microseconds:8.1f} µs {microseconds / sum(spent.values()):6.1%}  {part}")
        if written is not None and then is not None:
            wal, commits = (float(last - first) / steps for first, last in zip(written, then, strict=True))
            print(f"{wal:8,.0f} bytes of WAL and {commits:.3f} commits a step")


if __name__ == "__main__":
    main()
