"""``python -m tests.orchestrator.supervisor.stand DATA``: the supervisor over real servers and one dummy worker."""

import asyncio
import sys
from pathlib import Path

from orchestrator.embedded.lock import Held, Lock
from orchestrator.embedded.places import places
from orchestrator.embedded.servers import needed_programs
from orchestrator.programs import Program
from orchestrator.supervisor.supervisor import Supervisor

WORKER = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("at work", flush=True)
while True:
    signal.pause()
"""


def say(line: str) -> None:
    print(line, flush=True)


def main(data: Path) -> None:
    lock = Lock(data, "manage.py up")
    try:
        lock.take()
    except Held as held:
        sys.exit(str(held))
    worker = Program("worker", [sys.executable, "-c", WORKER, "dummy-worker"], {}, ready=lambda: True)

    async def build(supervisor: Supervisor) -> None:
        for program in needed_programs(places(data)):
            await supervisor.start([program])
        await supervisor.start([worker])
        say("ready")

    asyncio.run(Supervisor(lock, say).run(build))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
