"""The records of a batch as the journal's statement takes them."""

from __future__ import annotations

import json
import uuid
from typing import Any

from flows.execution.batch import parameters_of
from flows.execution.journal import Op, Record
from flows.models.identifiers import keys_of, new_id

DONE: Op = {
    "op": "result",
    "event": "step.succeeded",
    "path": "a",
    "data": None,
    "attempt": 1,
    "kind": "tool",
    "status": "succeeded",
}


def begun(reserve: str, tokens: int) -> Op:
    return {"op": "begin", "event": "step.started", "path": "b", "data": "{}", "reserve": reserve, "reserve_tokens": tokens}


def given(*ops: Op) -> dict[str, list[dict[str, Any]]]:
    lists = parameters_of([Record(new_id(), 1, 1, 0, 1, []), Record(new_id(), 3, 7, 0, 2, list(ops))])
    return dict(zip(("heads", "settle", "begin", "event", "result"), map(json.loads, lists), strict=True))


def test_a_line_has_its_record_its_place_and_the_number_of_events_up_to_it_and_no_event_of_its_own() -> None:
    lists = given({"op": "settle", "path": "a", "call": "x", "status": "succeeded"}, DONE, begun("0", 0))

    assert lists["settle"] == [{"r": 1, "i": 0, "k": 0, "path": "a", "call": "x", "status": "succeeded"}]
    assert [(line["r"], line["i"], line["k"]) for line in lists["result"] + lists["begin"]] == [(1, 1, 1), (1, 2, 2)]
    assert not {"op", "event", "data"} & {*lists["result"][0], *lists["begin"][0]}
    assert [(line["i"], line["k"], line["event"], line["data"]) for line in lists["event"]] == [
        (1, 1, "step.succeeded", None),
        (2, 2, "step.started", "{}"),
    ]
    assert (lists["heads"][1]["record"], lists["heads"][1]["events"], lists["heads"][1]["progress"]) == (7, 2, True)


def test_calls_of_a_record_are_summed_up_to_each_exactly() -> None:
    lists = given(begun("0.1", 1), begun("0.2", 2), begun("0.000000000001", 3))

    assert [(line["upto"], line["tokens_upto"]) for line in lists["begin"]] == [("0.1", 1), ("0.3", 3), ("0.300000000001", 6)]
    assert (lists["heads"][1]["reserve"], lists["heads"][1]["reserve_tokens"], lists["heads"][1]["begins"]) == (
        "0.300000000001",
        6,
        3,
    )
    assert (lists["heads"][0]["reserve"], lists["heads"][0]["begins"], lists["heads"][0]["progress"]) == ("0", 0, False)


def test_where_a_run_goes_stands_in_its_head() -> None:
    lists = given(DONE, {"op": "fate", "event": "run.ended", "data": "{}", "next": "succeeded", "reason": "", "output": "1"})

    head = lists["heads"][1]
    assert (head["fate"], head["k"], head["next"], head["output"]) == (1, 2, "succeeded", "1")
    assert [line["event"] for line in lists["event"]] == ["step.succeeded", "run.ended"]


def test_a_key_is_the_uuid5_of_its_name_as_everybody_makes_it() -> None:
    run = new_id()

    assert keys_of(run)("each[3].s\u00fc\u00df/0") == uuid.uuid5(run, "each[3].s\u00fc\u00df/0")
