"""The Celery app. Workers of the queue `engine` also run the engine, which works whether or not Celery's Redis does."""

import os
from typing import Any

from celery import Celery, signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings")

app = Celery("orchestrator")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.imports = (
    "flows.execution.tasks",
    "flows.tools.tasks",
    "flows.retrieval.tasks",
    "flows.runs.errands.carrying",
    "orchestrator.seeding.tasks",
)
app.set_default()


@signals.worker_init.connect
def start_engine(sender: Any, **_: Any) -> None:
    """Before the worker has met its broker: an engine needs PostgreSQL only."""
    if "engine" in sender.app.amqp.queues.consume_from:
        from orchestrator.engine import make_engine

        make_engine().start()


@signals.worker_shutting_down.connect
def drain_engine(**_: Any) -> None:
    """Runs on the main thread, between signal and shutdown: only says so."""
    from flows.execution.worker import running_engine

    engine = running_engine()
    if engine is not None:
        engine.begin_to_drain()


@signals.worker_shutdown.connect
def stop_engine(**_: Any) -> None:
    """Waits until the engine has handed over what it drove."""
    from flows.execution.worker import running_engine

    engine = running_engine()
    if engine is not None:
        engine.stop()
