"""The check of a run's input."""

from __future__ import annotations

import subprocess
import sys

import pytest

from flows.engine.inputs import input_problems

SCHEMA = {
    "type": "object",
    "required": ["amount"],
    "properties": {
        "amount": {"type": "number", "minimum": 0},
        "kind": {"enum": ["a", "b"]},
        "code": {"type": "string", "pattern": "^[A-Z]+$"},
        "when": {"format": "date-time"},
        "list": {"type": "array", "items": {"type": "integer"}, "uniqueItems": True},
    },
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"amount": -3}, "input.amount: -3 is less than the minimum of 0"),
        ({}, "input: `amount` is missing"),
        ({"amount": "3"}, 'input.amount: "3" is not a number'),
        ({"amount": 1, "kind": "c"}, 'input.kind: "c" is not one of'),
        ({"amount": 1, "code": "a"}, 'input.code: "a" does not match the pattern `^[A-Z]+$`'),
        ({"amount": 1, "when": "soon"}, 'input.when: "soon" is not a valid date-time'),
        ({"amount": 1, "list": [1, "x"]}, 'input.list[1]: "x" is not a whole number'),
        ({"amount": 1, "list": [1, 1]}, "input.list: a list has the same item twice"),
        ({"amount": 1, "kin": "a"}, "input.kin: this key is unknown. Did you mean `kind`?"),
        ([], "input: a list is not an object"),
    ],
)
def test_it_says_what_is_wrong_and_where(value, said):
    assert any(said in str(problem) for problem in input_problems(value, SCHEMA))


def test_it_accepts_what_matches():
    assert input_problems({"amount": 3, "kind": "a", "code": "AB", "when": "2030-01-01T00:00:00Z", "list": [1, 2]}, SCHEMA) == []
    assert input_problems({"anything": 1}, None) == []


def test_a_pattern_never_stalls_it():
    assert input_problems({"x": "a" * 100_000 + "!"}, {"properties": {"x": {"pattern": "^(a+)+$"}}})
    assert input_problems({"a" * 10_000 + "!": 1}, {"patternProperties": {"^(a+)+$": False}, "additionalProperties": False})


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {
            "$ref": "#/$defs/a0",
            "$defs": {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 4} for n in range(30)} | {"a30": {}},
        },
    ],
)
def test_a_schema_that_turns_in_circles_or_explodes_is_stopped(schema):
    assert input_problems("x", schema)


def test_nothing_is_fetched_for_a_schema_that_was_never_checked():
    problems = input_problems("x", {"$ref": "http://127.0.0.1:9/schema.json"})

    assert "the schema cannot be applied" in problems[0].message


def test_the_engine_loads_no_framework():
    code = "import sys, flows.engine.graph, flows.engine.inputs; print({name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    for name in ("django", "celery", "psycopg", "redis", "litellm", "httpx"):
        assert f"'{name}'" not in loaded
