"""YAML text to plain values."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.engine.problems import DocumentError
from flows.engine.writing import write_yaml
from flows.engine.yamltext import SourceFloat, parse_yaml

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
keys = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=20,
)


def problems_of(source: str | bytes) -> list[str]:
    with pytest.raises(DocumentError) as failure:
        parse_yaml(source)
    return [str(problem) for problem in failure.value.problems]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("no", "no"), ("on", "on"), ("Yes", "Yes"), ("12:30", "12:30"), ("2020-01-01", "2020-01-01"), ("1_000", "1_000"),
        ("0o7", 7), ("0x1F", 31), ("012", 12), ("-3", -3), ("1e3", 1000.0), (".5", 0.5), ("true", True), ("TRUE", True), ("tRue", "tRue"),
        ("~", None), ("", None), ("null", None), ("nUll", "nUll"), ("'true'", "true"), ("=", "="), ("<<", "<<"), ("0b1", "0b1"),
    ],
)  # fmt: skip
def test_it_reads_scalars_by_the_core_schema(written, meant):
    value = parse_yaml(f"a: {written}").value["a"]

    assert value == meant
    assert isinstance(value, type(meant))


def test_it_keeps_the_text_of_numbers_with_a_fraction():
    value = parse_yaml("cost: 0.50").value["cost"]

    assert isinstance(value, SourceFloat)
    assert value.source == "0.50"


def test_it_knows_the_place_of_every_value():
    parsed = parse_yaml("a:\n  b:\n    - x\n    - {c: 1}\n")

    assert parsed.places[("a", "b", 1, "c")] == (4, 8)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("a: 1\na: 2", "line 2, column 1: a: the key `a` stands here twice (first in line 1)"),
        ("a:\n  b: 1\n  b: 2", "a.b: the key `b` stands here twice"),
        ("a: &x 1", "the anchor `x` is not allowed"),
        ("a: *x", "the alias `x` is not allowed"),
        ("a: !!str 1", "the tag `tag:yaml.org,2002:str` is not allowed"),
        ("a: !!python/object/apply:os.system [x]", "is not allowed"),
        ("1: a", "the key `1` is not text"),
        ("true: a", "the key `true` is not text"),
        ("{[a]: b}", "a key is a list or mapping"),
        ("a: 1\n---\nb: 2", "there is a second document"),
        ("a: .nan", "is not a number that can be kept"),
        ("a: -.inf", "is not a number that can be kept"),
        ("a: 1e999", "too large"),
        ("a: 9223372036854775808", "needs more than 64 bits"),
        ('a: "\\0"', "NUL"),
        ("a: [", "line 2, column 1: this is not YAML"),
        ("a:\n\tb: 1", "Indent with spaces"),
        ("", "the document is empty"),
        (b"a: \xff", "is not UTF-8"),
        ("[" * 5000, "nested more than 48 deep"),
        ("{a: " * 5000, "nested more than 48 deep"),
    ],
)
def test_it_refuses_what_a_document_cannot_hold_and_names_the_place(source, said):
    assert any(said in problem for problem in problems_of(source))


def test_it_names_every_problem_of_the_form():
    assert len(problems_of("a: 1\na: 2\n3: x\nb: &c 1\n")) == 3


def test_it_refuses_a_document_of_5_mb_with_one_clear_error():
    (problem,) = problems_of("name: " + "x" * 5_000_000)

    assert "larger than 1 MiB" in problem


def test_it_bounds_the_number_of_values():
    (problem,) = problems_of("[" + "1," * 200_000 + "1]")

    assert "more than 100,000 values" in problem


def test_it_reads_json_with_escaped_characters_beyond_the_first_plane():
    value = {"a": "😀 \\ud83d\\ude00", "b": [1, None, True, "x/y"]}

    assert parse_yaml(json.dumps(value)).value == value


@given(values)
def test_what_it_writes_it_reads_back(value):
    text = write_yaml({"value": value})

    assert parse_yaml(text).value == {"value": value}
    assert write_yaml(parse_yaml(text).value) == text


@given(values)
def test_it_reads_any_json(value):
    assert parse_yaml(json.dumps({"value": value})).value == {"value": value}


@given(st.text(max_size=60) | st.text("ab:-[]{}&*!|>'\"# \n\t,?1.", max_size=60))
def test_no_text_breaks_it(source):
    try:
        parse_yaml(source)
    except DocumentError as error:
        assert error.problems
