"""Puts the engine together from what the catalogue lists and the settings say."""

from __future__ import annotations

from django.conf import settings
from django.db import connections
from psycopg.conninfo import make_conninfo

from flows.access.sealing import seal_audit
from flows.costs.folding import fold_days
from flows.engine.document import parse_document
from flows.engine.graph import Flow, compile_flow
from flows.execution.errands import tend_errands
from flows.execution.worker import Engine
from flows.memory.expiring import forget_expired
from flows.retrieval.tasks import ring_for_lost
from flows.runs.actions.change_budget import go_on_in_a_new_period
from flows.runs.drills.tending import tend_drills
from flows.runs.embedding import embed_waiting
from flows.steps.services import StepServices
from flows.tools.jobs import reclaim_jobs
from flows.triggers.actions.fire_due import fire_due
from orchestrator.catalogue import step_kinds, tool_kinds


def dsn() -> str:
    """The database's address for connections beside Django's."""
    parameters = connections["default"].get_connection_params()
    known = {key: value for key, value in parameters.items() if isinstance(value, (str, int)) and key != "prepare_threshold"}
    return make_conninfo("", **known)


def compile_document(text: str) -> Flow:
    """The flow behind a version's document. What its catalogue lacks by now is found out by the step that needs it."""
    return compile_flow(parse_document(text), step_kinds())


def make_engine() -> Engine:
    """This process's engine, not yet started."""
    from approvals.hooks import HOOKS
    from approvals.policies.ruling import rule_on
    from orchestrator.retention.purge import purge_due

    return Engine(
        dsn=dsn(),
        redis_address=settings.REDIS_ADDRESS,
        compile_document=compile_document,
        services=StepServices(tool_kinds(), settings.REDIS_ADDRESS, rule_on),
        lease=settings.LEASE,
        scan_period=settings.SCAN_PERIOD,
        capacity=settings.ENGINE_CAPACITY,
        hooks=[
            *HOOKS,
            reclaim_jobs,
            fire_due,
            tend_drills,
            ring_for_lost,
            tend_errands,
            embed_waiting,
            forget_expired,
            seal_audit,
            go_on_in_a_new_period,
            fold_days,
            purge_due,
        ],
    )
