"""The engines' parent: imports what is heavy once, then forks the Celery workers and forks the dead ones again.

Importing LiteLLM costs seconds and 200 MB. Forked from one process, with the garbage collector frozen so that it never
writes to the shared pages, each engine costs what it changes, and a killed one is back in less than a second. The engine
itself starts after the fork, on Celery's ``worker_init`` (`orchestrator/celery.py`).
"""

import argparse
import gc
import os
import select
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from orchestrator.programs import die_with_parent

GARBAGE = (20_000, 20, 20)
"""When an engine collects garbage, instead of Python's (700, 10, 10): hundreds of runs in memory are no garbage, and looking through
them every few steps finds none."""

FIRST_PAUSE, LONGEST_PAUSE, STEADY = 0.2, 10.0, 10.0  # seconds, as in orchestrator/supervisor/keeper.py


@dataclass(slots=True)
class Engine:
    """One place for a worker: the process that fills it, and when it may be filled again."""

    number: int
    pid: int = 0
    began: float = 0.0
    pause: float = FIRST_PAUSE
    due: float = 0.0


class Zygote:
    def __init__(self, count: int) -> None:
        self.engines = [Engine(number) for number in range(1, count + 1)]
        self.ending = 0  # the signal that ends us, once it came

    def run(self) -> None:
        woken, waker = os.pipe()
        for end in (woken, waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._end)
        while not self.ending:
            self._bury()
            self._fill()
            waits = [engine.due - time.monotonic() for engine in self.engines if not engine.pid]
            select.select([woken], [], [], max(0.0, min(waits)) if waits else None)
            with suppress(BlockingIOError):
                os.read(woken, 4096)
        self._finish()

    def _end(self, number: int, _frame: FrameType | None) -> None:
        self.ending = number

    def _fill(self) -> None:
        for engine in self.engines:
            if engine.pid or engine.due > time.monotonic() or self.ending:
                continue
            parent = os.getpid()
            pid = os.fork()
            if pid == 0:
                work(engine.number, parent)
            engine.pid, engine.began = pid, time.monotonic()

    def _bury(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for engine in self.engines:
                if engine.pid == pid:
                    self._lost(engine, os.waitstatus_to_exitcode(status))

    def _lost(self, engine: Engine, code: int) -> None:
        if time.monotonic() - engine.began >= STEADY:
            engine.pause = FIRST_PAUSE
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"code {code}"
        print(f"engine {engine.number} (pid {engine.pid}) ended ({how}); starting it again in {engine.pause:g} s.", flush=True)
        engine.pid, engine.due = 0, time.monotonic() + engine.pause
        engine.pause = min(engine.pause * 2, LONGEST_PAUSE)

    def _finish(self) -> None:
        """Hands the signal on and waits; whoever stops us kills the whole process group when this takes too long."""
        for engine in self.engines:
            if engine.pid:
                with suppress(ProcessLookupError):
                    os.kill(engine.pid, signal.SIGTERM)
        for engine in self.engines:
            if engine.pid:
                with suppress(ChildProcessError):
                    os.waitpid(engine.pid, 0)


def work(number: int, parent: int) -> NoReturn:
    """In the fresh child: becomes the Celery worker of this number, and never returns."""
    code = 1
    try:
        die_with_parent(parent, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        for name in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(name, signal.SIG_DFL)
        gc.enable()
        gc.set_threshold(*GARBAGE)
        sys.setswitchinterval(0.0005)  # else the engine's loop waits up to 5 ms for Celery's threads to give way
        from orchestrator.celery import app

        app.worker_main(
            f"--quiet worker --pool=threads --concurrency=4 -Q engine -n engine-{number}@%h"
            " --without-gossip --without-mingle --without-heartbeat --loglevel WARNING".split()
        )
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def refuse_threads() -> None:
    """A thread does not survive a fork, but the locks that it holds do: an import that starts one must not go unnoticed."""
    names = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if names:
        sys.exit(f"The engines cannot be forked: an import started {', '.join(names)}.")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m orchestrator.zygote", description=__doc__)
    parser.add_argument("--engines", type=int, default=2)
    arguments = parser.parse_args()
    gc.disable()  # until the fork: nothing imported here is garbage
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings")
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else LiteLLM asks the network while it is imported
    os.environ.setdefault("CELERY_SKIP_CHECKS", "1")  # they import every page: 60 MB that no engine uses
    import django

    django.setup()
    from flows.routing.providers import preload
    from orchestrator.celery import app

    preload()
    app.loader.import_default_modules()
    refuse_threads()
    gc.collect()
    gc.freeze()
    Zygote(arguments.engines).run()


if __name__ == "__main__":
    main()
