"""Schemas that no JSON can match are refused, with the place and the reason; those that some value matches never are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.engine.contradictions import contradiction
from flows.engine.document import load_document
from flows.engine.graph import compile_flow
from flows.engine.problems import DocumentError, path_text
from flows.engine.schemas import schema_problems, value_problems
from flows.steps import known_kinds


@pytest.mark.parametrize(
    ("schema", "place", "said"),
    [
        (False, "", "`false` matches nothing"),
        ({"enum": []}, "enum", "empty"),
        ({"type": "string", "enum": [1, 2]}, "enum", "none of its values"),
        ({"type": "integer", "const": "a"}, "const", "does not match"),
        ({"type": "integer", "minimum": 5, "maximum": 4}, "minimum", "leaves nothing"),
        ({"type": "number", "exclusiveMinimum": 4, "maximum": 4}, "exclusiveMinimum", "leaves nothing"),
        ({"type": "integer", "minimum": 1.2, "maximum": 1.8}, "minimum", "no whole number"),
        ({"type": "string", "minLength": 5, "maxLength": 2}, "minLength", "more than"),
        ({"type": "array", "minItems": 1, "items": False}, "items", "`false`"),
        ({"type": "array", "minItems": 3, "maxItems": 2}, "minItems", "more than"),
        ({"type": "object", "required": ["a"], "properties": {"b": {}}, "additionalProperties": False}, "required", "`a` is needed"),
        ({"type": "object", "required": ["a", "b"], "maxProperties": 1}, "required", "needs 2 fields"),
        ({"type": "object", "required": ["a"], "properties": {"a": {"type": "number", "minimum": 2, "maximum": 1}}}, "properties.a.minimum",
         "leaves"),
        ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "allOf[1].type", "it must be integer here"),
        ({"anyOf": [False, {"type": "string", "enum": [1]}]}, "anyOf[0]", "`false`"),
        ({"type": "object", "anyOf": [{"type": "string"}]}, "anyOf[0].type", "it must be string here"),
        ({"not": {}}, "not", "excludes everything"),
        ({"$ref": "#/$defs/a", "$defs": {"a": False}}, "$ref", "`false`"),
    ],
)  # fmt: skip
def test_it_is_found_with_its_place_and_reason(schema: Any, place: str, said: str) -> None:
    assert schema_problems(schema) == []

    found = contradiction(schema)

    assert found is not None
    assert path_text(found[0]) == place
    assert said in found[1]


@pytest.mark.parametrize(
    "schema",
    [
        True,
        {},
        {"type": "object", "properties": {"a": False}},
        {"type": ["string", "integer"], "minLength": 3, "maxLength": 1},
        {"type": "array", "items": False},
        {"type": "number", "minimum": 4, "maximum": 4},
        {"type": "object", "required": ["a1"], "patternProperties": {"^a": {}}, "additionalProperties": False},
        {"anyOf": [False, {"type": "string"}]},
        {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]},
        {"allOf": [{"type": "number"}, {"type": "integer"}]},
        {"enum": [1, "a"], "type": "string"},
    ],
)
def test_what_some_value_matches_or_nobody_can_tell_passes(schema: Any) -> None:
    assert contradiction(schema) is None


BOUND = st.integers(-3, 3)
LEAVES = st.one_of(
    st.booleans(),
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["string", "integer", "number", "object", "array", "null", "boolean"]),
            "minimum": BOUND,
            "maximum": BOUND,
            "exclusiveMinimum": BOUND,
            "exclusiveMaximum": BOUND,
            "minLength": st.integers(0, 3),
            "maxLength": st.integers(0, 3),
            "enum": st.lists(st.sampled_from([1, "a", None, True, []]), max_size=3),
            "required": st.lists(st.sampled_from(["a", "b"]), unique=True),
            "additionalProperties": st.booleans(),
            "minItems": st.integers(0, 2),
            "maxItems": st.integers(0, 2),
        },
    ),
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["object", "array", "string", ["object", "null"]]),
            "properties": st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
            "required": st.lists(st.sampled_from(["a", "b"]), unique=True),
            "items": inner,
            "minItems": st.integers(0, 2),
            "allOf": st.lists(inner, min_size=1, max_size=2),
            "anyOf": st.lists(inner, min_size=1, max_size=2),
        },
    ),
    max_leaves=6,
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-4, 4), st.sampled_from([0.5, "", "a", "abc"])),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=2)),
    max_leaves=4,
)


@given(schema=SCHEMAS, value=VALUES)
def test_a_schema_that_a_value_matches_is_never_called_impossible(schema: Any, value: Any) -> None:
    if not value_problems(value, schema):
        assert contradiction(schema) is None


def test_a_flow_that_asks_a_model_for_the_impossible_is_refused_with_its_place() -> None:
    output = {"type": "object", "required": ["topic"], "properties": {}, "additionalProperties": False}
    step = {"kind": "model", "with": {"route": "r", "prompt": "x", "output": output}}
    document = load_document({"orchestrator": 1, "name": "F", "steps": {"a": step}, "edges": ["start -> a"]})

    with pytest.raises(DocumentError) as refused:
        compile_flow(document, known_kinds(), None, lenient=True)

    (problem,) = refused.value.problems
    assert problem.path == "steps.a.with.output"
    assert "no JSON can match this schema: at required: `topic` is needed" in problem.message


def test_a_flow_whose_input_nothing_matches_is_refused_with_its_place() -> None:
    wanted = {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "integer", "minimum": 5, "maximum": 4}}}
    step = {"kind": "set", "with": {"values": {"x": 1}}}
    source = {"orchestrator": 1, "name": "F", "input": wanted, "steps": {"a": step}, "edges": ["start -> a"]}

    with pytest.raises(DocumentError) as refused:
        compile_flow(load_document(source), known_kinds(), None, lenient=True)

    (problem,) = refused.value.problems
    assert problem.path.startswith("input.properties.amount")
    assert "no JSON can match this schema" in problem.message


def test_a_check_by_a_schema_that_nothing_matches_is_refused() -> None:
    rules = [{"type": "schema", "schema": {"type": "string", "enum": []}}]
    step = {"kind": "check", "with": {"value": "{{ 1 }}", "rules": rules}}
    document = load_document({"orchestrator": 1, "name": "F", "steps": {"a": step}, "edges": ["start -> a"]})

    with pytest.raises(DocumentError, match="no JSON can match this schema"):
        compile_flow(document, known_kinds(), None, lenient=True)
