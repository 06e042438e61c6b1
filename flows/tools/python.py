"""A tool that is a Python function of this installation: ``async def`` in the engine, plain ``def`` in the tools worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

import orjson
import psycopg
from kombu.exceptions import OperationalError
from psycopg_pool import PoolTimeout
from pydantic import Field
from redis.exceptions import RedisError

from flows.engine import failures
from flows.engine.failures import BadRequest, Failure, TimedOut, Unavailable
from flows.engine.problems import did_you_mean, shorten
from flows.tools.base import ToolCall, ToolContext, ToolSettings
from flows.tools.functions import FUNCTIONS, ToolFunction
from flows.tools.jobs import INSERT, READ, WITHDRAW
from flows.tools.tasks import ring as ring_by_celery

logger = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 0.01, 0.2  # seconds between two looks at the row
RING_AGAIN = 2.0
BY_SLUG: dict[str, type[Failure]] = {
    known.slug: known
    for known in vars(failures).values()
    if isinstance(known, type) and issubclass(known, Failure) and "slug" in vars(known) and known is not failures.UnknownOutcome
}
"""By the class that each names itself; what shares another's class says more than a worker's words can."""


class PythonSettings(ToolSettings):
    """Which function: its slug, where it is not the tool's own."""

    function: str = Field(
        default="",
        description="a function of this installation; without it that of the tool's name",
        json_schema_extra={"of": "function"},
    )


class PythonTool:
    """A Python function."""

    slug: ClassVar[str] = "python"
    label: ClassVar[str] = "Python function"
    trusted: ClassVar[bool] = True
    arguments: ClassVar[Mapping[str, Any]] = {}
    Settings: ClassVar[type[ToolSettings]] = PythonSettings

    async def call(self, call: ToolCall, context: ToolContext) -> Any:
        """The function's result. A plain function never runs here, whatever its row says."""
        found = _function(call)
        arguments = dict(call.arguments)
        if "idempotency_key" in found.given:
            arguments["idempotency_key"] = call.idempotency_key
        if found.is_async:
            return await _here(found, arguments, call, context)
        return await _in_tools_worker(found, arguments, call, context)

    async def find(self, call: ToolCall, context: ToolContext) -> tuple[bool, Any]:
        """What became of an earlier call with the same key, as the function's own `find` tells it."""
        found = _function(call)
        if found.find is None:
            raise BadRequest(f"{call.spec.slug}: the function {found.slug} has no `find` to ask what became of a call.")
        limit = asyncio.timeout(call.timeout)
        try:
            async with limit:
                return await found.find(call.idempotency_key)
        except Failure:
            raise
        except TimeoutError:
            raise TimedOut(f"{call.spec.slug} did not tell within {call.timeout:g} s what became of the call.") from None
        except Exception as error:  # the function's own fault becomes the step's failure
            raise Failure(f"{call.spec.slug}: {type(error).__name__}: {shorten(str(error), 300)}") from error


def _function(call: ToolCall) -> ToolFunction:
    slug = call.spec.settings.function or call.spec.slug
    found = FUNCTIONS.get(slug)
    if found is None:
        raise BadRequest(f"{call.spec.slug}: there is no function {slug!r}. {did_you_mean(slug, FUNCTIONS)}")
    return found


async def _here(found: ToolFunction, arguments: dict[str, Any], call: ToolCall, context: ToolContext) -> Any:
    if "context" in found.given:
        arguments["context"] = context
    limit = asyncio.timeout(call.timeout)
    try:
        async with limit:
            return await found.function(**arguments)
    except Failure:
        raise
    except TimeoutError as error:
        if limit.expired():
            raise TimedOut(f"{call.spec.slug} did not finish within {call.timeout:g} s.", sent=True) from None
        raise Failure(f"{call.spec.slug}: TimeoutError: {shorten(str(error), 300)}", sent=True) from error
    except Exception as error:  # the function's own fault becomes the step's failure
        raise Failure(f"{call.spec.slug}: {type(error).__name__}: {shorten(str(error), 300)}", sent=True) from error


async def _in_tools_worker(found: ToolFunction, arguments: dict[str, Any], call: ToolCall, context: ToolContext) -> Any:
    if context.connections is None:
        raise Unavailable(f"{call.spec.slug} runs in the tools worker, which needs the database.")
    job = _Job(call, found.slug, orjson.dumps(arguments).decode(), context)
    try:
        async with asyncio.timeout(call.timeout):
            return await job.result()
    except TimeoutError:
        withdrawn = await job.withdraw()
        message = f"{call.spec.slug} did not {'start' if withdrawn else 'finish'} within {call.timeout:g} s."
        raise TimedOut(message, sent=not withdrawn) from None
    except asyncio.CancelledError:
        await asyncio.shield(job.withdraw())
        raise


class _Job:
    """One row of the tools worker's table, from the waiting side."""

    def __init__(self, call: ToolCall, function: str, arguments: str, context: ToolContext) -> None:
        self._id: UUID = call.call_id
        self._name = call.spec.slug
        self._insert = (call.call_id, function, arguments)
        assert context.connections is not None
        self._connections = context.connections
        self._ring = context.ring or ring_by_celery
        self._inserted = False

    async def result(self) -> Any:
        """Puts the job in and waits for its end, through restarts of database and Redis; the caller bounds the time."""
        wait, rung = FIRST_WAIT, 0.0
        loop = asyncio.get_running_loop()
        while True:
            try:
                row = await self._look()
            except (psycopg.OperationalError, PoolTimeout) as error:
                logger.warning("The job of %s cannot be read: %s", self._name, error)
                row = None
            if row is not None:
                state, result, error_class, message = row
                if state == "done":
                    return orjson.loads(result)
                if state == "failed":
                    raise BY_SLUG.get(error_class, Failure)(f"{self._name}: {message}", sent=True)
                if state == "queued" and loop.time() - rung >= RING_AGAIN:
                    rung = loop.time()
                    await self._tell()
            await asyncio.sleep(wait)
            wait = min(wait * 1.5, LONGEST_WAIT)

    async def withdraw(self) -> bool:
        """Whether the job was still waiting and will now never run."""
        try:
            async with self._connections.connection(timeout=2) as connection:
                cursor = await connection.execute(WITHDRAW, (self._id,))
                return await cursor.fetchone() is not None
        except (psycopg.OperationalError, PoolTimeout) as error:
            logger.warning("The job of %s cannot be withdrawn: %s", self._name, error)
            return False

    async def _look(self) -> Any:
        async with self._connections.connection() as connection:
            if not self._inserted:
                await connection.execute(INSERT, self._insert)
                self._inserted = True
            cursor = await connection.execute(READ, (self._id,))
            return await cursor.fetchone()

    async def _tell(self) -> None:
        try:
            await asyncio.to_thread(self._ring, self._id)
        except (OperationalError, RedisError, OSError) as error:  # a lost ring costs a moment: it is rung again
            logger.warning("The tools worker could not be told of a job: %s", error)
