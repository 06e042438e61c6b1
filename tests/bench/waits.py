"""A thousand runs that wait for a model at once, in one engine process."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from django.core.management import call_command

from tests.bench import Row, measure
from tests.bench.memory import resident
from tests.bench.stage import Stage, staged
from tests.faults.flows import catalogue
from tests.faults.harness import Outside
from tests.orchestrator.processes import table

CALLS = 1000
WAIT = 2.0  # seconds until the model's first word
AT_MOST, CPU, MEMORY = 15.0, 13.0, 450.0  # seconds, milliseconds a call, megabytes

ASK = json.dumps(
    {
        "orchestrator": 1,
        "name": "Wait",
        "input": {"type": "object"},
        "steps": {
            "ask": {
                "kind": "model",
                "with": {"route": "loop", "prompt": f"[[serve: slow delay={WAIT:g}]] {{{{ input.n }}}}", "max_output": 50},
            }
        },
        "edges": ["start -> ask"],
        "output": {"said": "{{ steps.ask.output }}"},
    }
)


@measure("concurrent_calls_1000")
def concurrent_calls() -> Row:
    """Seconds from the first claim to the last end. A call is in flight from the commit of its intent until it is settled, and all
    of them must have been so together."""
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-bench-"))
    models, effects = Outside("tests.servers.model_server", folder), Outside("tests.faults.effects", folder)
    os.environ["LOOP_KEY"] = "sk-loopback"
    try:
        with staged() as stage:
            document = folder / "catalogue.yaml"
            document.write_text(catalogue(models.port, effects.port), encoding="utf-8")
            call_command("catalogue", "apply", str(document), verbosity=0, stdout=(folder / "said").open("w"))
            stage.import_flow("wait", ASK)
            stage.start_runs("wait", CALLS, {"n": 1})
            stage.analyze()
            with stage.engines(1, capacity=CALLS + 200) as zygote:
                return _measured(stage, zygote.pid)
    finally:
        models.stop()
        effects.stop()


def _measured(stage: Stage, zygote: int) -> Row:
    stage.wait_for_engines(1)
    (engine,) = [pid for pid, (parent, _) in table().items() if parent == zygote]
    stage.wait_until_ended(CALLS, 120)
    most = stage.most_in_flight()
    seconds, cpu, memory = stage.busy_seconds(), processor_seconds(engine) * 1000 / CALLS, resident(engine)
    ok = most >= CALLS and seconds <= AT_MOST and cpu <= CPU and memory <= MEMORY
    target = f"{most} at once, {cpu:.1f} ms CPU, {memory:.0f} MB; <= {AT_MOST:g} s, {CPU:g} ms, {MEMORY:g} MB"
    return Row(round(seconds, 2), "s", target, ok)


def processor_seconds(pid: int) -> float:
    """What the process has computed since it was forked, by the kernel (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
