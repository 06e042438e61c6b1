"""The Celery task of the tools worker: a shell around `flows/tools/jobs.py`."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

from flows.tools.jobs import run_job

QUEUE = "tools"
EXPIRES = 30  # seconds after which a ring says nothing any more; the waiting engine rings again


@shared_task(name="flows.tools.run_job", ignore_result=True, queue=QUEUE)
def run_tool_job(call_id: str) -> None:
    run_job(UUID(call_id))


def ring(call_id: UUID) -> None:
    """Tells the tools worker of a job. Blocks for as long as Redis does: call it in a thread."""
    run_tool_job.apply_async((str(call_id),), queue=QUEUE, expires=EXPIRES, retry=False)
