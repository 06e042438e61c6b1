"""The engine's only Celery task: a ring has come."""

from collections.abc import Sequence
from uuid import UUID

from celery import shared_task

from flows.execution.worker import running_engine


@shared_task(name="flows.wake", acks_late=False, ignore_result=True)
def wake(run_ids: list[str], numbers: Sequence[str] = ()) -> None:
    """Rings the engine of this worker process, if it has one; `numbers` tell it whether it has heard all this already."""
    engine = running_engine()
    if engine is not None:
        engine.ring([UUID(run) for run in run_ids], numbers)
