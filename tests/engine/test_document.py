"""Reading and writing flow documents."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from flows.engine.document import (
    Edge,
    Retry,
    document_schema,
    dump_document,
    load_document,
    parse_document,
    version_hash,
)
from flows.engine.durations import Duration, parse_duration
from flows.engine.problems import DocumentError
from tests.engine.flows import KINDS

DEMO = Path(__file__).parents[2] / "orchestrator" / "demo_flows"
SHIPPED = sorted(DEMO.glob("*.yaml"))


def problems_of(source: str) -> list[str]:
    with pytest.raises(DocumentError) as failure:
        parse_document(source)
    return [str(problem) for problem in failure.value.problems]


def test_money_is_exact_to_the_last_digit():
    document = parse_document("orchestrator: 1\nname: x\nlimits: {cost: 0.10}\n")

    assert document.limits is not None
    assert document.limits.cost == Decimal("0.10")
    assert str(document.limits.cost) == "0.10"
    assert document.as_json()["limits"]["cost"] == "0.10"
    assert "cost: 0.10" in dump_document(document)


def test_it_names_every_problem_with_place_and_mend():
    source = """orchestrator: 1
name: x
nmae: y
steps:
  classify:
    kind: model
    wiht: {}
    timeout: 30
    retry: {attempts: no, on: [foo]}
edges: [a - b]
limits: {cost: abc, at_limit: explode}
"""
    assert problems_of(source) == [
        "line 3, column 1: nmae: unknown key `nmae`. Did you mean `name`?",
        "line 7, column 5: steps.classify.wiht: unknown key `wiht`. Did you mean `with`?",
        "line 8, column 5: steps.classify.timeout: `30` is not a duration; write it with its unit, like 30s",
        "line 9, column 13: steps.classify.retry.attempts: this must be a whole number",
        "line 9, column 32: steps.classify.retry.on[0]: `foo` is not one of the choices. Choose `rate_limit`, `timeout`, `unavailable`, "  # noqa: ISC004
        "`context_too_long`, `refused`, `invalid_output`, `bad_request`, `bad_key` or `unknown_outcome`.",
        "line 10, column 9: edges[0]: `a - b` is not an edge; write `from -> to` or `from.port -> to`",
        "line 11, column 10: limits.cost: `abc` is not an amount of money; write one such as 0.50",
        "line 11, column 21: limits.at_limit: `explode` is not one of the choices. Choose `pause`, `cheaper`, `finish` or `stop`.",
    ]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("- 1", "a flow is an object"),
        ("name: x", "`orchestrator` is missing"),
        ("orchestrator: 2\nname: x", "orchestrator: `2` is not one of the choices"),
        ("orchestrator: 1\nname: 3", "name: this must be text. Put it in quotes"),
        ("orchestrator: 1\nname: x\nsteps: [a]", "steps: this must be an object"),
        ("orchestrator: 1\nname: x\nsteps: {a: 1}", "steps.a: this must be an object"),
        ("orchestrator: 1\nname: x\nsteps: {a: {with: 1, kind: set}}", "steps.a.with: this must be an object"),
        ("orchestrator: 1\nname: x\nlimits: {cost: -1}", "is not an amount of money"),
        ("orchestrator: 1\nname: x\nlimits: {tokens: 1.5}", "limits.tokens: this must be a whole number"),
        ("name: [", "this is not YAML"),
    ],
)
def test_it_refuses(source, said):
    assert any(said in problem for problem in problems_of(source))


def test_values_from_an_api_are_bounded_too():
    deep: Any = 1
    for _ in range(2000):
        deep = [deep]
    for value in (
        {"orchestrator": 1, "name": "x", "output": deep},
        {"name": "a\0b"},
        {"x": object()},
        {"x": float("nan")},
        {1: 2},
    ):
        with pytest.raises(DocumentError):
            load_document(value)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_flows_round_trip_byte_for_byte(path):
    document = parse_document(path.read_bytes())
    text = dump_document(document)

    assert parse_document(text) == document
    assert dump_document(parse_document(text)) == text
    assert load_document(json.loads(json.dumps(document.as_json()))) == document
    assert parse_document(json.dumps(document.as_json())) == document


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
durations = st.sampled_from(["30s", "1h30m", "2d", "250ms", "1.5s", "0s"])
money = st.decimals(0, 10_000, places=4).map(lambda amount: format(amount, "f"))
keys = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
limits = st.fixed_dictionaries({}, optional={"cost": money, "tokens": st.integers(0, 10**9), "duration": durations})
step = st.fixed_dictionaries(
    {"kind": keys},
    optional={
        "label": texts,
        "with": st.dictionaries(texts, json_values, max_size=3),
        "retry": st.fixed_dictionaries(
            {}, optional={"attempts": st.integers(1, 9), "first": durations, "on": st.just(["timeout"])}
        ),
        "timeout": durations,
        "limits": limits,
        "join": st.sampled_from(["all", "any"]),
    },
)
edge = st.builds("{} -> {}".format, keys, keys) | st.builds("{}.{}->{}".format, keys, keys, keys)
documents = st.fixed_dictionaries(
    {"orchestrator": st.just(1), "name": texts},
    optional={
        "description": texts,
        "limits": limits,
        "state": st.dictionaries(texts, json_values, max_size=2),
        "steps": st.dictionaries(keys, step, max_size=4),
        "edges": st.lists(edge, max_size=4),
        "output": json_values,
        "layout": st.dictionaries(keys, st.lists(st.integers(-9999, 9999), min_size=2, max_size=2), max_size=2),
    },
)


@given(documents)
def test_export_import_export_is_byte_identical(value):
    exported = dump_document(load_document(value))
    imported = parse_document(exported)

    assert dump_document(imported) == exported
    assert version_hash(imported) == version_hash(load_document(value))
    assert load_document(imported.as_json()) == imported


def test_the_hash_ignores_the_layout_and_nothing_else():
    base = {"orchestrator": 1, "name": "x", "steps": {"a": {"kind": "set"}}}
    moved = {**base, "layout": {"a": [1, 2]}}
    renamed = {**base, "name": "y"}

    assert version_hash(load_document(base)) == version_hash(load_document(moved)) != version_hash(load_document(renamed))


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("1h30m", 5400), ("2d", 172800), ("250ms", 0.25), ("1.5s", 1.5), ("1d2h3m4s", 93784)]
)
def test_it_reads_durations(text, seconds):
    assert parse_duration(text) == seconds
    assert Duration(text).seconds == seconds
    assert Duration(text) == text


@pytest.mark.parametrize("text", ["", "s", "30", "-1s", "1m1h", "1 h", "1w", "4000d", "٣s"])
def test_it_refuses_what_is_no_duration(text):
    with pytest.raises(ValueError, match=r"duration|ten years"):
        parse_duration(text)


def test_an_edge_is_written_without_the_port_done():
    edge = Edge("a.done->b")

    assert edge == "a -> b"
    assert (edge.source, edge.port, edge.target) == ("a", "done", "b")


def test_the_pauses_between_attempts_follow_the_policy():
    policy = {"first": Duration("1s"), "max": Duration("5s")}

    assert [Retry(backoff="exponential", **policy).delay(n) for n in (1, 2, 3, 4)] == [1, 2, 4, 5]
    assert [Retry(backoff="linear", **policy).delay(n) for n in (1, 2, 9)] == [1, 2, 5]
    assert [Retry(backoff="fixed", **policy).delay(n) for n in (1, 2)] == [1, 1]


def test_its_json_schema_holds_the_settings_of_the_kinds_and_accepts_the_shipped_flows():
    schema = document_schema(KINDS)
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)

    for path in SHIPPED:
        assert list(validator.iter_errors(yaml.safe_load(path.read_text()))) == []
    wrong = {"orchestrator": 1, "name": "x", "steps": {"a": {"kind": "model", "with": {"rout": "x"}}}}
    assert list(validator.iter_errors(wrong))
