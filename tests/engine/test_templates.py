"""Templates: values whose texts hold expressions."""

from __future__ import annotations

import pytest

from flows.engine.expressions import ExpressionError
from flows.engine.templates import parse_template

NAMES = {"input": {"name": "Ada", "n": 3, "none": None, "list": [1, "x"], "braces": "{{ input.n }}"}}


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ input.n }}", 3),
        ("  {{ input.list }}\n", [1, "x"]),
        ("Hello {{ input.name }}!", "Hello Ada!"),
        ("{{ input.n }}{{ input.n }}", "33"),
        ("a{{ input.none }}b", "ab"),
        ("x {{ input.list }} {{ true }} {{ 1.50 }}", 'x [1, "x"] true 1.5'),
        ("{{ '{{' }} and {{ '}}' }}", "{{ and }}"),
        ("{{ {'a': {'b': 1}}}}", {"a": {"b": 1}}),
        ("no braces } here {", "no braces } here {"),
        (
            {"a": ["{{ input.n }}", {"b": "{{ input.name }}", "{{ x }}": 1}], "c": 5},
            {"a": [3, {"b": "Ada", "{{ x }}": 1}], "c": 5},
        ),
        ("{{\n  input.n\n}}", 3),
    ],
)
def test_it_renders(template, value):
    assert parse_template(template).render(NAMES) == value


def test_what_an_expression_gives_is_never_a_template():
    assert parse_template("{{ input.braces }}").render(NAMES) == "{{ input.n }}"
    assert parse_template("x {{ input.braces }}").render(NAMES) == "x {{ input.n }}"


def test_a_value_without_braces_is_given_as_it_is():
    value = {"a": ["b"]}
    template = parse_template(value)

    assert template.static
    assert template.render({}) == value


def test_rendering_leaves_the_template_untouched():
    template = parse_template({"a": ["{{ input.n }}"]})

    template.render(NAMES)["a"].append("more")

    assert template.render(NAMES) == {"a": [3]}


def test_it_names_the_place_of_what_cannot_be_read():
    errors: list[ExpressionError] = []

    parse_template({"a": ["{{ 1 + }}", "{{ open"], "b": "{{ x._y }}"}, errors)

    assert [error.path for error in errors] == [("a", 0), ("a", 1), ("b",)]
    assert "not closed by" in errors[1].reason


def test_it_bounds_the_text_it_makes():
    with pytest.raises(ExpressionError):
        parse_template("{{ x }}" * 30).render({"x": "a" * 100_000})


def test_it_tells_which_names_it_uses():
    template = parse_template({"a": "{{ input.n }} {{ steps.b.output }}", "c": "{{ input.n }}"})

    assert template.references == (("input", "n"), ("steps", "b", "output"))
    assert (("c",), ("input", "n")) in template.uses
