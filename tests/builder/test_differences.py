"""What differs between two documents."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flows.builder.comparing import overlay
from flows.builder.differences import MISSING, Differences, differences
from flows.builder.wording import lines_apart, words_apart
from flows.engine.document import FlowDocument, load_document, version_hash
from tests.simulation.flows import documents

BASE: dict[str, Any] = {
    "orchestrator": 1,
    "name": "Refund",
    "limits": {"cost": "0.50"},
    "steps": {
        "ask": {"kind": "model", "label": "Ask it", "with": {"route": "balanced", "prompt": "Refund of {{ input.amount }}"}},
        "each": {
            "kind": "map",
            "with": {
                "over": "input.items",
                "body": {
                    "steps": {"rate": {"kind": "set", "with": {"values": {"x": 1}}}},
                    "edges": ["start -> rate"],
                    "output": "{{ steps.rate.output.x }}",
                },
            },
        },
    },
    "edges": ["start -> ask", "ask -> each"],
    "layout": {"ask": [0, 0]},
}


def changed(act: Any) -> Differences:
    after = copy.deepcopy(BASE)
    act(after)
    return differences(load_document(BASE), load_document(after))


def test_DIF_1_moves_are_no_changes() -> None:
    found = changed(lambda after: after["layout"].update(ask=[50, 60], each=[1, 2]))

    assert not found
    assert found.in_words == "No functional changes"
    assert found.moves == ("ask", "each")


def test_DIF_2_one_word_of_a_prompt_is_one_field_with_one_word_marked() -> None:
    found = changed(lambda after: after["steps"]["ask"]["with"].update(prompt="Refunds of {{ input.amount }}"))

    (change,) = found.changes
    (field,) = change.fields
    assert (change.what, change.sort, change.path, field.name) == ("step", "changed", "ask", "prompt")
    old, new = words_apart(field.before, field.after)
    assert [text for text, marked in old if marked] == ["Refund"]
    assert [text for text, marked in new if marked] == ["Refunds"]


def test_a_step_that_comes_with_its_edges() -> None:
    def act(after: dict[str, Any]) -> None:
        after["steps"]["check"] = {"kind": "set", "with": {"values": {}}}
        after["edges"] = ["start -> ask", "ask -> check", "check -> each"]

    found = changed(act)

    assert [(each.what, each.sort, each.path) for each in found.changes] == [
        ("step", "added", "check"),
        ("edge", "added", "ask -> check"),
        ("edge", "added", "check -> each"),
        ("edge", "removed", "ask -> each"),
    ]
    assert found.in_words == "3 added, 1 removed"
    assert found.by_kind == "1 step, 3 edges"
    assert found.unchanged == 3  # two, and the one within the map


def test_what_stands_in_a_map_is_compared_where_it_stands() -> None:
    def act(after: dict[str, Any]) -> None:
        after["steps"]["each"]["with"]["body"]["steps"]["rate"]["with"]["values"]["x"] = 2

    (change,) = changed(act).changes

    assert (change.path, change.box) == ("each/rate", "each.rate")
    assert [(each.name, each.before, each.after) for each in change.fields] == [("values.x", 1, 2)]


def test_steps_of_the_error_handler_are_steps() -> None:
    def act(after: dict[str, Any]) -> None:
        after["on_error"] = {"steps": {"tell": {"kind": "set", "with": {"values": {"x": 1}}}}, "edges": ["start -> tell"]}

    found = changed(act)

    assert [(each.what, each.sort, each.path) for each in found.changes] == [
        ("step", "added", "error/tell"),
        ("edge", "added", "error/start -> tell"),
    ]
    assert found.in_words == "2 added"


def test_settings_of_the_flow_and_of_a_map_are_named() -> None:
    def act(after: dict[str, Any]) -> None:
        after["limits"] = {"cost": "1.00", "at_limit": "stop"}
        after["steps"]["each"]["with"]["body"]["output"] = "{{ 1 }}"

    flow, each = changed(act).changes

    assert [(field.name, field.sort) for field in flow.fields] == [("limits.cost", "changed"), ("limits.at_limit", "added")]
    assert [(field.name, field.sort) for field in each.fields] == [("body.output", "changed")]


def test_an_order_that_counts_is_a_change() -> None:
    def act(after: dict[str, Any]) -> None:
        after["steps"] = dict(reversed(after["steps"].items()))

    (change,) = changed(act).changes

    assert change.label == "Order of steps"


def test_what_is_gone_is_missing_and_not_null() -> None:
    (change,) = changed(lambda after: after["steps"]["ask"].pop("label")).changes

    assert change.fields[0].after is MISSING
    assert change.fields[0].sort == "removed"


def loaded(document: dict[str, Any]) -> FlowDocument:
    return load_document(json.loads(json.dumps(document)))


@given(documents(), documents())
def test_no_changes_means_the_same_hash_and_the_other_way_round(one: dict[str, Any], other: dict[str, Any]) -> None:
    before, after = loaded(one), loaded(other)

    assert (version_hash(before) == version_hash(after)) == (not differences(before, after))
    assert not differences(before, before)


@given(documents(), st.data())
def test_one_mutation_is_found_and_only_that(document: dict[str, Any], data: st.DataObject) -> None:
    after = copy.deepcopy(document)
    key = data.draw(st.sampled_from(sorted(after["steps"])))
    match data.draw(st.sampled_from(["label", "removed", "edge", "retry"])):
        case "label":
            after["steps"][key]["label"] = "Another"
            expected = {("step", "changed", key)}
        case "retry":
            after["steps"][key]["retry"] = {"attempts": 7}
            expected = {("step", "changed", key)}
        case "removed":
            after["steps"].pop(key)
            expected = {("step", "removed", key)}
        case _:
            after["edges"].pop(0)
            expected = {("edge", "removed", document["edges"][0].replace(".done ->", " ->"))}

    found = differences(loaded(document), loaded(after))

    assert {(each.what, each.sort, each.path) for each in found.changes} == expected
    back = differences(loaded(after), loaded(document))
    assert len(back.changes) >= len(found.changes)


@given(st.text("ab \n", max_size=60), st.text("ab \n", max_size=60))
def test_words_and_lines_lose_nothing(before: str, after: str) -> None:
    old, new = words_apart(before, after)
    assert ("".join(text for text, _ in old), "".join(text for text, _ in new)) == (before, after)

    rows = lines_apart(before, after, whole=True)
    assert ["".join(text for text, _ in row.old) for row in rows if row.old_number] == before.splitlines()
    assert ["".join(text for text, _ in row.new) for row in rows if row.new_number] == after.splitlines()


def test_lines_far_from_a_change_are_folded() -> None:
    lines = [str(number) for number in range(40)]

    rows = lines_apart("\n".join(lines), "\n".join([*lines[:20], "new", *lines[20:]]))

    assert [row.sort for row in rows] == ["folded", "same", "same", "same", "added", "same", "same", "same", "folded"]
    assert rows[0].count == 17


def test_two_large_texts_that_share_nothing_are_compared_at_once() -> None:
    rows = lines_apart("\n".join(f"a{n}" for n in range(9000)), "\n".join(f"b{n}" for n in range(9000)))

    assert len(rows) == 9000


def test_both_are_drawn_with_what_changed_inside_frames_and_in_the_error_handler() -> None:
    def document(prompt: str, inner: dict[str, object], **more: object) -> FlowDocument:
        one = {"kind": "set", "with": {"values": {"a": prompt}}}
        body = {"steps": {"rate": one, **inner}, "edges": ["start -> rate", *(f"rate -> {key}" for key in inner)]}
        steps = {"each": {"kind": "map", "with": {"over": "[1]", "body": body}}, "last": one if "handled" in more else STEP}
        edges = ["start -> each", "each -> last"]
        handler = {"on_error": {"steps": {"tell": STEP}, "edges": ["start -> tell"]}} if more.get("handled") else {}
        return load_document({"orchestrator": 1, "name": "F", "steps": steps, "edges": edges, **handler})

    before, after = document("one", {"old": STEP}), document("two", {"new": STEP}, handled=True)
    shown = overlay(before, after, differences(before, after))

    assert {box.key: mark for box, mark in shown.boxes} == {
        "each": "changed",
        "each.rate": "changed",
        "each.new": "added",
        "each.old": "removed",
        "last": "changed",
        "error": "added",
        "error.tell": "added",
    }
    assert {(line.source, line.target): mark for line, mark in shown.lines} == {
        ("each", "last"): "",
        ("each.rate", "each.new"): "added",
        ("each.rate", "each.old"): "removed",
    }


STEP = {"kind": "set", "with": {"values": {"a": 1}}}
