"""The kind `sql`: it reads and cannot write, its arguments are bound and never pasted, and its rows and time are bounded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool

from flows.access.addresses import EgressRefused
from flows.access.egress import Egress
from flows.engine.failures import BadKey, BadRequest, InvalidOutput, TimedOut, Unavailable
from flows.models import AllowedHost, Connection, ToolEntry
from flows.runs.actions.put_connection import check_connection
from flows.tools.base import ToolCall, ToolContext, ToolSpec
from flows.tools.sql import SQLSettings, SQLTool
from orchestrator.engine import dsn
from tests.execution.conftest import Drive
from tests.execution.runs import calls_of, finish, output_of, start, tool
from tests.makers import make_actor, make_person
from tests.servers.database_wire import over_tcp

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def port(transactional_db: None) -> Iterator[int]:
    """A connection `shop` to the tests' own database."""
    there = conninfo_to_dict(dsn())
    with over_tcp(str(there["host"]), int(there["port"])) as port:
        settings = {"host": "127.0.0.1", "port": port, "user": there["user"], "database": there["dbname"], "tls": "disable"}
        Connection.objects.create(slug="shop", kind="postgresql", settings=settings)
        yield port


@pytest.fixture
async def pool() -> AsyncIterator[AsyncConnectionPool[Any]]:
    async with AsyncConnectionPool(dsn(), min_size=0, max_size=2, open=False) as pool:
        yield pool


async def ask(
    pool: AsyncConnectionPool[Any], port: int, query: str, arguments: Any = None, *, timeout: float = 10.0, **more: Any
) -> Any:
    spec = ToolSpec("shop.find", "sql", "read", "freely", {}, SQLSettings(connection="shop", query=query, **more))
    context = ToolContext(Egress(lambda: frozenset({f"127.0.0.1:{port}"})), pool)
    return await SQLTool().call(ToolCall(spec, arguments or {}, "key", timeout, uuid4()), context)


async def test_rows_come_as_objects_with_exact_numbers_and_dates_as_text(pool: AsyncConnectionPool[Any], port: int) -> None:
    found = await ask(pool, port, "SELECT 1 AS n, 'a' AS t, 1.10::numeric AS price, date '2026-01-02' AS day, NULL AS none")

    assert found == {
        "columns": ["n", "t", "price", "day", "none"],
        "rows": [{"n": 1, "t": "a", "price": "1.10", "day": "2026-01-02", "none": None}],
    }


async def test_arguments_are_bound_and_never_become_text_of_the_query(pool: AsyncConnectionPool[Any], port: int) -> None:
    attack = "x'; DELETE FROM flows_person; --"

    found = await ask(pool, port, "SELECT %(name)s::text AS said, length(%(name)s::text) AS long", {"name": attack})

    assert found["rows"] == [{"said": attack, "long": len(attack)}]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("DELETE FROM flows_person", "syntax error"),
        ("WITH gone AS (DELETE FROM flows_person RETURNING id) SELECT * FROM gone", "must not contain data-modifying statements"),
        ("SELECT 1; COMMIT; DELETE FROM flows_person", "multiple commands"),
        ("SELECT lo_create(0)", "read-only transaction"),
        ("SELECT * FROM nowhere", "does not exist"),
    ],
)
async def test_it_cannot_write(pool: AsyncConnectionPool[Any], port: int, query: str, said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        await ask(pool, port, query)


async def test_more_rows_than_it_takes_are_an_error_and_not_cut(pool: AsyncConnectionPool[Any], port: int) -> None:
    assert len((await ask(pool, port, "SELECT generate_series(1, 5)", rows=5))["rows"]) == 5

    with pytest.raises(InvalidOutput, match="more than 5 rows"):
        await ask(pool, port, "SELECT generate_series(1, 100000000)", rows=5)
    with pytest.raises(InvalidOutput, match="1024 KiB"):
        await ask(pool, port, "SELECT repeat('x', 100000) FROM generate_series(1, 100)")


async def test_its_time_is_bounded_by_the_database_too(pool: AsyncConnectionPool[Any], port: int) -> None:
    with pytest.raises(TimedOut, match=r"within 0\.3 s"):
        await ask(pool, port, "SELECT pg_sleep(60)", timeout=0.3)


async def test_a_database_that_nobody_allowed_is_not_reached(pool: AsyncConnectionPool[Any], port: int) -> None:
    with pytest.raises(EgressRefused, match="An owner must add"):
        await ask(pool, port + 1, "SELECT 1")


async def test_one_that_is_gone_says_so(pool: AsyncConnectionPool[Any], transactional_db: None) -> None:
    settings = {"host": "127.0.0.1", "port": 9, "database": "x", "tls": "disable"}
    await Connection.objects.acreate(slug="shop", kind="postgresql", settings=settings)
    with pytest.raises(Unavailable, match="The connection shop cannot be made"):
        await ask(pool, 9, "SELECT 1")

    await Connection.objects.filter(slug="shop").aupdate(secret="SHOP_PASSWORD")
    with pytest.raises(BadKey, match="there is no secret SHOP_PASSWORD"):
        await ask(pool, 9, "SELECT 1")
    await Connection.objects.filter(slug="shop").adelete()
    with pytest.raises(BadRequest, match="there is no connection 'shop'"):
        await ask(pool, 9, "SELECT 1")


def test_checking_it_says_who_it_is_and_keeps_what_is_wrong(port: int) -> None:
    owner = make_actor("owner")
    with pytest.raises(EgressRefused):
        check_connection(owner, "shop")
    assert "An owner must add" in Connection.objects.get().problem

    AllowedHost.objects.create(host=f"127.0.0.1:{port}")

    assert "PostgreSQL" in check_connection(owner, "shop")
    assert Connection.objects.get().problem == ""


def test_a_step_calls_it_in_a_run(port: int, drive: Drive) -> None:
    make_person("viewer", username="ann")
    AllowedHost.objects.create(host=f"127.0.0.1:{port}")
    schema = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
    query = "SELECT username FROM flows_person WHERE username = %(name)s"
    ToolEntry.objects.create(
        slug="people.find",
        kind="sql",
        effect="read",
        repeat="freely",
        arguments=schema,
        settings={"connection": "shop", "query": query},
    )
    drive()

    run = finish(
        start({"a": tool("people.find", {"name": "ann"})}, ["start -> a"], output="{{ steps.a.output.rows }}"), within=30
    )

    assert output_of(run) == [{"username": "ann"}]
    assert [(call.target, call.status) for call in calls_of(run)] == [("people.find", "succeeded")]
