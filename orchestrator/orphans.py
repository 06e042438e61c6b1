"""Included by the tools worker: its pool processes die with it, also in the middle of a blocking tool."""

import os
import signal

from celery.signals import worker_process_init

from orchestrator.programs import die_with_parent


@worker_process_init.connect
def die_with_the_worker(**_: object) -> None:
    die_with_parent(os.getppid(), signal.SIGKILL)
