"""``manage.py up``: the servers and processes of this machine, until Ctrl-C."""

import asyncio
import os
import socket
import time
from argparse import ArgumentParser
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connections

from orchestrator.embedded.lock import Held, Lock
from orchestrator.embedded.places import places
from orchestrator.embedded.servers import leave, needed_programs
from orchestrator.programs import CannotStart
from orchestrator.supervisor.children import engines_program, receiver_program, tools_program, web_program
from orchestrator.supervisor.supervisor import PATIENCE, Supervisor

PORT, RECEIVER_PORT = 8000, 9100
PORTS_TO_TRY = 20
COMMAND_PATIENCE = 15.0  # seconds that a short command may keep its servers before `up` gives up


class PortTaken(CannotStart):
    """Another program listens on the port."""


class Command(BaseCommand):
    help = "Starts the servers, the pages and the workers on this machine; Ctrl-C stops them all."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, help=f"the port of the pages; without it {PORT} or the next free one")
        parser.add_argument("--no-demo", action="store_true", help="without the demonstration's flows and accounts")
        parser.add_argument("--no-runs", action="store_true", help="with them, but without the runs that the first start brings")
        parser.add_argument("--engines", type=int, default=max(2, min(4, os.cpu_count() or 2)), help="engine processes")

    def handle(self, *args: Any, port: int | None, no_demo: bool, no_runs: bool, engines: int, **options: Any) -> None:
        settings.STATIC_ROOT.mkdir(exist_ok=True)
        lock = Lock(settings.DATA_DIR, "manage.py up")
        take(lock)
        with bound(port, PORT) as pages, receiver_socket(settings.DATA_DIR) as receiver:
            try:
                asyncio.run(self.supervise(lock, pages, receiver, engines, demo=not no_demo, runs=not no_runs))
            finally:
                if lock.is_ours():  # else the data folder was taken away, and what replaced it is not ours to tidy
                    leave(places(settings.DATA_DIR))
                lock.release()

    async def supervise(
        self, lock: Lock, pages: socket.socket, receiver: socket.socket, engines: int, *, demo: bool, runs: bool
    ) -> None:
        async def build(supervisor: Supervisor) -> None:
            self.say("Starting the servers ...")
            await start_servers(supervisor)
            sign_ins, token = await asyncio.to_thread(partial(prepare_database, receiver.getsockname()[1], demo=demo))
            self.say("Starting the pages and the workers ...")
            await supervisor.start([web_program(pages), engines_program(engines), tools_program(), receiver_program(receiver)])
            address = f"http://127.0.0.1:{pages.getsockname()[1]}"
            self.say(f"Orchestrator is at {address}")
            if token:
                self.say(f"  make the first account at {address}/welcome?token={token}")
            for name, password in sign_ins:
                self.say(f"  sign in as {name:<12} with {password}")
            if sign_ins:
                self.say("Begin as operator.")
            if sign_ins and runs:
                await asyncio.to_thread(fill)
                self.say("The demonstration's runs are on their way; the first page shows how far they are.")
            self.say("Ctrl-C stops it.")

        await Supervisor(lock, self.say).run(build)

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def take(lock: Lock) -> None:
    """Takes the lock. Raises `Held` at once where another `up` has it, later where a command does not finish."""
    deadline = time.monotonic() + COMMAND_PATIENCE
    while True:
        try:
            return lock.take()
        except Held as held:
            if held.holder == lock.holder or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def bound(port: int | None, usual: int) -> socket.socket:
    """A listening socket on loopback: on `port`, or on `usual` or the next free one. Raises `PortTaken`."""
    candidates = [port] if port is not None else [*range(usual, usual + PORTS_TO_TRY), 0]
    for candidate in candidates:
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", candidate))
            listening.listen(1024)
        except (OSError, OverflowError) as error:
            listening.close()
            reason = error
            continue
        return listening
    raise PortTaken(f"Port {port} cannot be used ({reason}); --port names another.")


def receiver_socket(data: Path) -> socket.socket:
    """Where the demonstration's tools find their receiver: on the port of the start before, or, where that is taken, on another, to
    which the tools have to follow (`follow_receiver`)."""
    file = data / "receiver.port"
    try:
        listening = bound(int(file.read_text(encoding="ascii")) if file.exists() else None, RECEIVER_PORT)
    except PortTaken:
        listening = bound(None, RECEIVER_PORT)
    file.write_text(str(listening.getsockname()[1]), encoding="ascii")
    return listening


async def start_servers(supervisor: Supervisor) -> None:
    """PostgreSQL first and Redis after it, so that they end the other way round: Redis, then PostgreSQL."""
    at = await asyncio.to_thread(places, settings.DATA_DIR)
    programs = await asyncio.to_thread(needed_programs, at)
    keepers = [keeper for program in programs for keeper in await supervisor.start([program], wait=False)]
    await asyncio.gather(*(keeper.ready(PATIENCE) for keeper in keepers))


def prepare_database(receiver_port: int, *, demo: bool) -> tuple[list[tuple[str, str]], str | None]:
    """Migrates, and seeds the demonstration where one is wanted; the sign-ins that it made, for showing once, and the token that
    opens the first page where nobody can sign in yet."""
    try:
        call_command("migrate", verbosity=0, interactive=False)
        from flows.models import Person
        from orchestrator.demo import follow_receiver, seed
        from orchestrator.welcome import make_token

        sign_ins = seed(receiver_port) if demo else []
        follow_receiver(receiver_port)
        return sign_ins, None if Person.objects.exists() else make_token()
    finally:
        connections.close_all()


def fill() -> None:
    """Has the demonstration's runs made by the tools worker."""
    from orchestrator.seeding.tasks import begin_to_fill

    try:
        begin_to_fill()
    finally:
        connections.close_all()
