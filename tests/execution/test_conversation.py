"""The conversation of an agent on its run's page, and what it asks in the queue of approvals."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from flows.models import Run
from flows.runs.conversation import LONGEST, conversation_at
from tests.execution.conftest import AddTool, Drive
from tests.execution.runs import decided, finish, make_model, request_of, start
from tests.execution.test_agents import EDGES, FINANCE, PAY, agent, counted, paid  # noqa: F401 - fixtures
from tests.makers import make_person, make_team


def page_of(run: Run, step: str = "research", *roles: str) -> str:
    client = Client()
    client.force_login(make_person(*(roles or ("owner",))))
    answer = client.get(f"/runs/{run.public_id}", {"step": step})
    assert answer.status_code == 200, answer.content.decode()[:1000]
    return answer.content.decode()


def test_it_shows_turns_calls_arguments_results_effects_and_cost(drive: Drive, counted: itertools.count) -> None:  # noqa: F811
    drive()
    run = finish(start({"research": agent('Look [[sim: tool=look.up {"page": 7}]]')}, EDGES))

    page = page_of(run)

    assert page.count('data-testid="turn"') == 2
    assert 'data-tool="look.up"' in page
    assert "page 7" in page
    assert "reads" in page
    seen = conversation_at(run, 1, "research")
    assert [turn.state for turn in seen.turns] == ["succeeded", "succeeded"]
    (tool,) = seen.turns[0].tools
    assert (tool.arguments, tool.result, tool.effect) == ({"page": 7}, {"found": "page 7", "time": 1}, "read")
    assert tool.seconds is not None
    assert sum((turn.cost for turn in seen.turns if turn.cost), start=type(run.spent)(0)) == run.spent


def test_paths_inside_an_agent_lead_to_its_conversation(drive: Drive, counted: itertools.count) -> None:  # noqa: F811
    drive()
    run = finish(start({"research": agent()}, EDGES))

    assert 'data-testid="conversation"' in page_of(run, "research.turn[0].call[0]")


def test_a_call_that_is_asked_about_shows_the_question_and_then_the_refusal(drive: Drive, paid: list[int]) -> None:  # noqa: F811
    drive()
    run = start({"research": agent(PAY, "pay.out", **FINANCE)}, EDGES)
    asked = request_of(run)

    page = page_of(run)
    client = Client()
    client.force_login(make_person("approver", team=make_team("finance")))
    question = client.get(f"/approvals/{asked.public_id}").content.decode()

    assert f"/approvals/{asked.public_id}" in page
    assert "changes the world" in page
    assert "research wants to call pay.out" in question
    assert "It changes the world and cannot be undone." in question
    decided(asked, "reject", comment="Not this month.")
    finish(run)
    assert "Not this month." in page_of(run)


@pytest.mark.parametrize("turns", [3, 40])
def test_a_long_conversation_takes_no_more_queries(drive: Drive, counted: itertools.count, turns: int) -> None:  # noqa: F811
    drive()
    run = finish(start({"research": agent(f"Look [[sim: turns={turns}]]", max_turns=60)}, EDGES), within=60)

    with CaptureQueriesContext(connection) as queries:
        seen = conversation_at(run, 1, "research")

    assert len(seen.turns) == turns + 1
    assert len(queries) == 5
    assert all('"flows_call"."request"' not in query["sql"] for query in queries)


def test_markup_and_instructions_in_a_result_are_shown_as_text(drive: Drive, add_tool: AddTool) -> None:
    async def fetch() -> dict[str, Any]:
        return {"html": "<img src=x onerror=alert(1)><div hx-get='/'>", "long": "y" * 10}

    async def much() -> str:
        return "z" * (LONGEST + 1)

    add_tool("web.fetch", fetch)
    add_tool("web.much", much)
    make_model(capabilities=["tools"])
    drive()

    run = finish(start({"research": agent("Read [[sim: tool=web.fetch {}]]", "web.fetch")}, EDGES))
    other = finish(start({"research": agent("Read [[sim: tool=web.much {}]]", "web.much")}, EDGES))

    page = page_of(run)
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page
    assert "hx-get='/'>" not in page
    assert f"({LONGEST + 1:,} characters)" in page_of(other)
