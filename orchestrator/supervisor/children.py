"""The product's own processes on one machine: web, engines, tools worker, and the demo's receiver."""

import http.client
import os
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial

from django.conf import settings

from orchestrator.programs import Program

QUIET = "ignore:You're running the worker with superuser"  # a bare container has no other account; nothing here unpickles
ENDINGS = ((signal.SIGTERM, 4.0), (signal.SIGKILL, 0.5))  # with the servers' own, everything ends within 10 seconds


def web_program(listening: socket.socket) -> Program:
    """The pages, on a socket that is bound already: while it starts again, browsers wait instead of failing."""
    port = listening.getsockname()[1]
    return _python(
        "web",
        f"uvicorn orchestrator.asgi:application --fd {listening.fileno()} --lifespan off --timeout-graceful-shutdown 2"
        " --ws-per-message-deflate false --log-level warning --no-access-log",
        ready=partial(answers, port, "/healthz"),
        pass_fds=(listening.fileno(),),
    )


def engines_program(count: int) -> Program:
    return _python("engine", f"orchestrator.zygote --engines {count}")


def tools_program() -> Program:
    return _python(
        "tools",
        "celery --quiet -A orchestrator.celery worker --pool=prefork --concurrency=2 -Q tools -n tools@%h"
        " --without-gossip --without-mingle --without-heartbeat --loglevel WARNING --include orchestrator.orphans",
    )


def receiver_program(listening: socket.socket) -> Program:
    return _python(
        "receiver",
        f"orchestrator.receiver --fd {listening.fileno()}",
        ready=partial(answers, listening.getsockname()[1], "/healthz"),
        pass_fds=(listening.fileno(),),
    )


def answers(port: int, path: str) -> bool:
    """Whether an HTTP server on this machine answers `path` with success."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2.0)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def at_once() -> bool:
    """Ready as soon as it runs: nobody waits for the workers, their work waits for them."""
    return True


def _python(name: str, module: str, ready: Callable[[], bool] = at_once, pass_fds: tuple[int, ...] = ()) -> Program:
    environment = dict(os.environ, PYTHONUNBUFFERED="1", LITELLM_LOCAL_MODEL_COST_MAP="True", PYTHONWARNINGS=QUIET)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # compiling LiteLLM anew costs each worker five seconds
    return Program(
        name=name,
        command=[sys.executable, "-m", *module.split()],
        environment=environment,
        folder=str(settings.BASE_DIR),
        ready=ready,
        endings=ENDINGS,
        pass_fds=pass_fds,
    )
