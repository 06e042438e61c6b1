"""The expression language."""

# ruff: noqa: E501  (a case is one line)

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flows.engine.expressions import ExpressionError, parse_expression
from flows.engine.failures import ExpressionFailed
from flows.engine.values import measure
from tests.work import calls_made

NAMES: dict[str, Any] = {
    "input": {"message": "Hello", "amount": 120, "note": None, "items": [3, 1, 2], "größe": 7, "class": "gold", "_id": 5},
    "steps": {"a": {"output": {"x": 5, "list": [{"n": 1}, {"n": 2}]}, "outcome": "done"}},
    "error": {"class": "timeout"},
}


def evaluate(source: str, names: dict[str, Any] | None = None) -> Any:
    return parse_expression(source).evaluate(NAMES if names is None else names)


def refusal(source: str, names: dict[str, Any] | None = None) -> str:
    with pytest.raises(ExpressionError) as failure:
        evaluate(source, names)
    return failure.value.reason


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("steps.a.output.x > 3", True),
        ("steps['a'].output['x'] + 1", 6),
        ("steps.a.output.list[1].n", 2),
        ("steps.a.output.list[-1].n", 2),
        ("input.items[1:]", [1, 2]),
        ("input.message[::-1]", "olleH"),
        ("input['größe']", 7),
        ("input.class == 'gold' and error.class == 'timeout'", True),
        ("input['_id']", 5),
        ("[i * 2 for i in input.items if i > 1]", [6, 4]),
        ("[a + b for a in [1, 2] for b in [10, 20]]", [11, 21, 12, 22]),
        ("[k + str(v) for k, v in [['a', 1], ['b', 2]]]", ["a1", "b2"]),
        ("{k: len(k) for k in input if k != 'note'}['amount']", 6),
        ("sum(item.n for item in steps.a.output.list)", 3),
        ("'large' if input.amount > 100 else 'small'", "large"),
        ("input.note is None and input.note is null", True),
        ("input.amount is not None", True),
        ("true and not false", True),
        ("null", None),
        ("1 < 2 <= 2", True),
        ("'ell' in input.message and 9 not in input.items", True),
        ("'amount' in input", True),
        ("7 // 2 + 7 % 2 + 2 ** 3 - 1", 11),
        ("-1.5 + 2", 0.5),
        ("'ab' * 2 + 'c'", "ababc"),
        ("[1] + [2] == [1, 2]", True),
        ("{'a': [1, 2]} == {'a': [1, 2]}", True),
        (r"'a\nb\u00e9\'\d'", "a\nbé'\\d"),
        ("len(input.message) + len(input.items) + len(error)", 9),
        ("lower('AB') + upper('cd') + trim('  x ')", "abCDx"),
        ("split('a,b', ',') + split(' a  b ')", ["a", "b", "a", "b"]),
        ("join(['a', 1, null, true], '-')", "a-1--true"),
        ("replace('aXb', 'X', '-')", "a-b"),
        ("contains('abc', 'b') and contains([1], 1) and contains({'a': 1}, 'a')", True),
        ("starts_with('abc', 'ab') and ends_with('abc', 'bc')", True),
        (r"matches('order 12', '\d+')", True),
        ("round(2.567, 1) + round(2.4) + int('3') + float('0.5')", 8.1),
        ("str(1.5) + str(null) + str([1])", "1.5[1]"),
        ("min(input.items) + max(1, 9)", 10),
        ("sorted(input.items) + sorted(['b', 'a'])", [1, 2, 3, "a", "b"]),
        ("sorted(steps.a.output.list, 'n')[0].n", 1),
        ("unique([1, 1, true, 'a', [1], [1]])", [1, True, "a", [1]]),
        ("[first([]), last([1, 2])]", [None, 2]),
        ("keys({'a': 1}) + values({'a': 1})", ["a", 1]),
        ("[get(input, 'note.deeper', 'none'), get(steps, 'a.output.list.1.n', 0), get(input, '_id')]", ["none", 2, None]),
        ("default(input.note, 'x') + default(input.missing.deeper, 'y')", "xy"),
        ("json({'a': [1, 'é']})", '{"a": [1, "é"]}'),
        ("parse_json('{\"a\": [1]}').a[0]", 1),
        ("  1 +\n 2  ", 3),
    ],
)  # fmt: skip
def test_it_evaluates(source, value):
    assert evaluate(source) == value


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("().__class__", "`__class__` does not exist: names that begin with an underscore"),
        ("input.__class__.__mro__", "does not exist: names that begin with an underscore"),
        ("__import__('os')", "`__import__` does not exist"),
        ("[_ for _ in input.items]", "`_` does not exist"),
        ("input.message.upper()", "values have no methods such as `upper`; write upper(text)"),
        ("input.message.format(1)", "values have no methods"),
        ("(1).real", "there is no `real` in it"),
        ("open('x')", "there is no function `open`"),
        ("lambda: 1", "`lambda` is not part"),
        ("(x := 1)", "`:=` is not part"),
        ("f'{input}'", "no prefix"),
        ("b'x'", "no prefix"),
        ("'a' 'b'", "side by side"),
        ("'''a'''", "side by side"),
        ("{1, 2}", "sets are not JSON"),
        ("{x for x in input.items}", "sets are not JSON"),
        ("(1, 2)", "square brackets"),
        ("len(*input.items)", "one after the other"),
        ("len(value=1)", "one after the other"),
        ("len()", "is written len(value)"),
        ("{**input}", "`**` is not allowed"),
        ("1 | 2", "this operator is not available"),
        ("~1", "not an operator"),
        ("1 is 1", "`is` asks for None"),
        ("await x", "`await` is not part"),
        ("1j", "run together"),
        ("...", "only numbers"),
        ("x # y", "`#` is not part"),
        ("größe", "write such keys in brackets"),
        ("'open", "its quote is missing"),
        ("", "empty"),
        ("1 +", "this is not an expression"),
        ("import os", "this is not an expression"),
        ("[x async for x in input.items]", "async"),
        ("1e999", "too large"),
        ("99999999999999999999", "64 bits"),
        ("9" * 3999, "64 bits"),
    ],
)
def test_it_refuses_to_read(source, said):
    with pytest.raises(ExpressionError) as failure:
        evaluate(source)

    assert said in failure.value.reason


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("input.note.deeper", "`input.note` is null, so there is no `deeper` in it"),
        ("input.amout", "`input` has no `amout`; it has `message`"),
        ("inptu.amount", "there is no name `inptu` here. Did you mean `input`?"),
        ("input.items.first", "`input.items` is a list"),
        ("input.items[9]", "`input.items` has 3 items; there is no [9]"),
        ("input.amount.x", "`input.amount` is a number"),
        ("input[true]", "must be a text or a whole number"),
        ("1 / 0", "division by zero"),
        ("1 + 'a'", "`+` joins two numbers, two texts or two lists"),
        ("1 < 'a'", "cannot compare a number with text"),
        ("len", "is a function; write len(value)"),
        ("sum(['a'])", "each item must be a number"),
        ("sorted([1, 'a'])", "numbers only or texts only"),
        ("int('x')", "is not a whole number"),
        ("float('nan')", "too large or none at all"),
        ("parse_json('NaN')", "not JSON"),
        ("parse_json('1e999')", "too large or none at all"),
        ("2 ** 0.5 ** -999", "too large"),
        ("(-8) ** 0.5", "too large or none"),
        ("1e308 * 10", "too large or none at all"),
        ("[x for x in 'abc']", "not over text"),
        ("matches('a', '(?=a)')", "the pattern `(?=a)` cannot be used"),
        ("{1: 2}", "the keys of an object are texts"),
    ],
)
def test_it_says_what_went_wrong(source, said):
    assert said in refusal(source)


@pytest.mark.parametrize(
    "source",
    [
        "9 ** 9 ** 9",
        "2 ** 64",
        "'a' * 10 ** 9",
        "[0] * 10 ** 9",
        "'a' * 999999 + 'a' * 999999",
        "replace('a' * 1000, 'a', 'b' * 100000)",
        "join(['a' * 100000 for x in list], 'b' * 100000)",
        "[a for a in list for b in list for c in list for d in list]",
        "[[[[1 for a in list] for b in list] for c in list] for d in list]",
        "sum([sum([sum([d for d in list]) for c in list]) for b in list])",
        "[upper(text) for a in list for b in list]",
        "[1 for a in list for b in list if matches(text, '(x+x+)+y')]",
        "[1 for a in list for b in list if nested == other]",
        "[json(nested) for a in list for b in list]",
        "[sorted(list) for a in list for b in list]",
        "[unique(list) for a in list for b in list]",
        "[replace(text, 'a', 'b') for a in list for b in list]",
        "[text + 'a' for a in list for b in list]",
        "[text[1:] for a in list for b in list]",
        "[round(a / 3, 2) for b in list for a in list for c in list]",
        "[default(a.b, get(nested, '0.1.2', 1)) for b in [1] for a in list * 1000]",
        "{str(a) + str(b) + str(c): a for a in list for b in list for c in list}",
        "[[[[[[[[[x, x] for x in [y, y]] for y in [z, z]] for z in list] for a in list] for b in list] for c in list] for d in list] for e in list]",
    ],
)
def test_it_stops_what_would_run_for_ever_or_grow_without_end(source):
    many = list(range(300))
    names = {"list": many, "text": "ab" * 50_000, "nested": [many] * 30, "other": [list(many)] * 30}

    with pytest.raises(ExpressionError):  # without its bounds it would not come back
        evaluate(source, names)


def test_it_refuses_a_result_that_is_large_only_because_its_parts_are_shared():
    names = {"x": list(range(1000))}

    assert "too large" in refusal("[[x for a in x] for b in [1, 2, 3]]", names)


def test_it_refuses_to_compare_shared_parts_for_ever():
    one: Any = [1]
    for _ in range(40):
        one = [one, one]
    other: Any = [1]
    for _ in range(40):
        other = [other, other]

    assert "too much work" in refusal("a == b", {"a": one, "b": other})


@pytest.mark.parametrize(
    "source",
    [
        "(" * 4000, "[" * 31 + "]" * 31, "-" * 3999 + "1", "not " * 900 + "1", "1 if 1 else " * 300 + "1", "a" + ".b" * 1990, "1" + "+1" * 1990,
        "x" * 5000, "lambda:" * 500 + "1", "2**" * 1000 + "2", "a[" * 40, "'" + "\\" * 3990 + "'", "1" + " < 1" * 300, "len(" * 29 + "1" + ")" * 29,
        "-" * 120 + "1", "1" + "+1" * 300,
    ],
)  # fmt: skip
def test_deep_or_long_sources_are_refused_and_break_nothing(source):
    try:
        evaluate(source)
    except ExpressionError as error:
        assert error.reason


def test_a_pattern_that_stalls_other_engines_comes_back():
    assert evaluate("matches(text, '^(a+)+$')", {"text": "a" * 100_000 + "b"}) is False


def test_it_tells_which_names_it_uses():
    expression = parse_expression(
        "steps.a.output.x > 3 and [i.q for i in input.items if i.z == state['k']] and get(run, 'id', item)"
    )

    assert set(expression.references) == {("steps", "a", "output", "x"), ("input", "items"), ("state", "k"), ("run",), ("item",)}


def test_a_failed_expression_is_a_failure_that_no_retry_helps():
    with pytest.raises(ExpressionFailed) as failure:
        evaluate("input.note.x")

    assert failure.value.slug == "expression"
    assert not failure.value.retryable
    assert failure.value.position == 0
    assert "input.note.x" in failure.value.message


def test_it_never_gives_the_inner_mapping_of_the_planner():
    class Lazy(dict):  # type: ignore[type-arg]
        pass

    assert "not a JSON value" in refusal("steps", {"steps": Lazy()})


def test_a_simple_expression_is_little_work():
    expression = parse_expression("steps.a.output.x > 3")
    expression.evaluate(NAMES)

    assert calls_made(lambda: expression.evaluate(NAMES)) <= 12


ATOMS = st.sampled_from(
    [
        "1",
        "0",
        "2.5",
        "-3",
        "'a'",
        "''",
        "'x,y'",
        "true",
        "null",
        "x",
        "n",
        "l",
        "d",
        "l[0]",
        "d.a",
        "d['b']",
        "steps.a.output",
        "input.note",
        "[]",
        "{}",
        "[1,2]",
        "{'a':1}",
        "1e300",
        "99999999999",
        "__class__",
    ]
)


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(["+", "-", "*", "/", "//", "%", "**", "<", "==", "in", "and", "or", "is", "not in", "!=", ">="])
    functions = st.sampled_from(
        [
            "len",
            "lower",
            "upper",
            "trim",
            "split",
            "join",
            "replace",
            "contains",
            "starts_with",
            "ends_with",
            "matches",
            "round",
            "int",
            "float",
            "str",
            "min",
            "max",
            "sum",
            "sorted",
            "unique",
            "first",
            "last",
            "keys",
            "values",
            "get",
            "default",
            "json",
            "parse_json",
            "open",
        ]
    )
    return st.one_of(
        st.builds("({} {} {})".format, inner, operators, inner),
        st.builds("{}({})".format, functions, st.lists(inner, min_size=1, max_size=3).map(", ".join)),
        st.builds("[{} for x in {} if {}]".format, inner, inner, inner),
        st.builds("{{'k': {}, 'm': {}}}".format, inner, inner),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("{}[{}]".format, inner, inner),
        st.builds("{}[{}:{}]".format, inner, inner, inner),
        st.builds("{}.a".format, inner),
        st.builds("not {}".format, inner),
    )


FUZZ_NAMES = {
    "x": 3,
    "n": None,
    "l": [1, 2, [3]],
    "d": {"a": 1, "b": "t"},
    "steps": {"a": {"output": "y"}},
    "input": {"note": None},
}


@settings(max_examples=400, deadline=2000)
@given(st.recursive(ATOMS, grown, max_leaves=15))
def test_random_expressions_give_a_json_value_or_an_expression_error(source):
    try:
        value = evaluate(source, FUZZ_NAMES)
    except ExpressionError:
        return
    measure(value)


@settings(max_examples=300, deadline=2000)
@given(st.text(max_size=80) | st.text("abx_.()[]{}'\"\\,:+-*/<>=! 0123456789eEjforinltusnd", max_size=80))
@example("\ud800")
@example("'\\ud800'")
@example("0x10 + 0o7")
@example("1.if")
@example("1_0")
def test_random_texts_never_break_it(source):
    try:
        value = evaluate(source, FUZZ_NAMES)
    except ExpressionError:
        return
    measure(value)
