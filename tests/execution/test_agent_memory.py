"""An agent's conversation within its window: what the model is sent once it has grown beyond it, and what stands in the record."""

from __future__ import annotations

import itertools
import json
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Sum

from flows.costs.reports import PURPOSES
from flows.models import Attempt, Call, Run
from flows.runs.conversation import conversation_at
from flows.steps.agent.conversation import conversation
from tests.execution.conftest import AddTool, Drive
from tests.execution.runs import calls_of, finish, make_model
from tests.execution.services import Pair
from tests.execution.test_agents import LOOKUP, agent, bounded

LONG = "The archive says: " + "the fox sleeps under the old oak by the river; " * 8
TASK = "Find the fox [[sim: turns=ever]]"


@pytest.fixture
def archive(add_tool: AddTool) -> None:
    """A tool that answers at length; a model that works with it, and one that sums up."""
    counter = itertools.count(1)

    async def look_up(page: int) -> dict[str, Any]:
        return {"page": page, "text": f"{LONG} ({next(counter)})"}

    add_tool("look.up", look_up, arguments=LOOKUP)
    make_model(capabilities=["tools", "json"])
    make_model("sim-notes")


def ran(**memory: Any) -> Run:
    return finish(bounded(agent(TASK, max_turns=6, memory=memory)), 30)


def turns_of(run: Run) -> list[tuple[dict[str, Any], list[Call]]]:
    """The record of each turn, and its calls of models."""
    rows = Attempt.objects.filter(run=run, path__endswith=".model", status="succeeded").order_by("seq")
    return [(json.loads(row.output or ""), calls_of(run, row.path)) for row in rows]


def sent(call: Call) -> list[dict[str, Any]]:
    return list(json.loads(call.request or "")["messages"])


def test_beyond_its_window_the_model_is_sent_a_summary_and_the_newest_turns(drive: Drive, archive: None) -> None:
    drive()
    run = ran(window=500, summarise="sim-notes", keep=1)

    assert run.status == "succeeded", run.error
    turns = turns_of(run)
    summed = [(number, record, calls) for number, (record, calls) in enumerate(turns) if record.get("summary")]
    assert summed
    number, record, (notes, question) = summed[0]
    assert record["summary"]["turns"] == number - 1
    assert (notes.target, question.target) == ("sim-notes", "sim-a")
    summary = json.loads(notes.response or "")["text"]
    assert record["summary"]["text"] == summary
    assert LONG in sent(notes)[1]["content"], "what is summed up is sent to the one that sums up"
    told = sent(question)
    assert summary in told[1]["content"]
    assert told[1]["content"].startswith(f"Your first {number - 1} turns are not shown any more.")
    assert sum(message["role"] == "assistant" for message in told) == 1, "only the newest turn is sent as it was"
    assert run.spent == sum((call.settled or Decimal(0) for call in calls_of(run)), Decimal(0))


def test_what_a_summary_costs_stands_in_the_ledger_as_production(drive: Drive, archive: None, pair: Pair) -> None:
    pair[0].program += [{"say": "The_fox_is_by_the_river."}] * 10
    drive()
    run = ran(window=500, summarise="pair", keep=1)

    notes = [call for call in calls_of(run) if call.target == "primary"]
    assert notes
    assert all((call.kind, call.simulated, call.route) == ("model", False, "pair") for call in notes)
    for call in notes:
        assert call.settled == (call.input_tokens * 1 + call.output_tokens * 10) / Decimal(1_000_000)  # type: ignore[operator]
    assert Call.objects.filter(PURPOSES["production"], run=run).aggregate(sum=Sum("settled"))["sum"] == sum(
        (call.settled or Decimal(0) for call in notes), Decimal(0)
    )
    assert "The_fox_is_by_the_river." in sent(calls_of(run)[-1])[1]["content"]


def test_the_record_of_the_turns_stays_as_it_was_and_the_page_says_what_was_left_out(drive: Drive, archive: None) -> None:
    drive()
    run = ran(window=500, summarise="sim-notes", keep=1)

    turns = turns_of(run)
    assert [len(record["calls"]) for record, _ in turns] == [1] * 6
    tools = [call for call in calls_of(run) if call.kind == "tool"]
    assert len(tools) == len(turns) - 1
    assert all(LONG in (call.response or "") for call in tools)
    shown = conversation_at(run, 1, "research").turns
    assert [turn.summed_up for turn in shown] == [(record.get("summary") or {}).get("turns", 0) for record, _ in turns]
    assert any(turn.summary for turn in shown)


def test_without_a_route_older_turns_are_left_out_and_cost_nothing(drive: Drive, archive: None) -> None:
    drive()
    run = ran(window=500, keep=1)

    models = [call for call in calls_of(run) if call.kind == "model"]
    assert {call.target for call in models} == {"sim-a"}
    told = sent(models[-1])
    assert told[1]["content"].startswith("Your first ")
    assert len(told) == 4  # what it was asked, that turns are left out, and the newest turn: its words and what its call gave


def test_within_its_window_everything_is_sent(drive: Drive, archive: None) -> None:
    drive()
    run = ran(window=100_000, summarise="sim-notes")

    models = [call for call in calls_of(run) if call.kind == "model"]
    assert {call.target for call in models} == {"sim-a"}
    assert len(sent(models[-1])) == 1 + 2 * (len(models) - 1)


def test_where_nobody_can_sum_up_the_conversation_is_sent_as_it_is(drive: Drive, archive: None) -> None:
    drive()
    run = ran(window=500, summarise="gone", keep=1)

    assert run.status == "succeeded", run.error
    assert not any("not shown any more" in json.dumps(sent(call)) for call in calls_of(run) if call.kind == "model")


def test_a_conversation_is_told_with_the_newest_summary() -> None:
    turn = {"asked": True, "text": "I look.", "calls": [], "results": {}}
    first = {**turn, "summary": {"turns": 1, "text": "old"}}
    turns = [turn, turn, first, {**turn, "summary": {"turns": 3, "text": "new"}}, {**turn, "text": "last"}]

    told = conversation({"prompt": "Go"}, turns)

    assert [message["content"] for message in told] == [
        "Go",
        "Your first 3 turns are not shown any more. What they came to:\n\nnew",
        "I look.",
        "last",
    ]
