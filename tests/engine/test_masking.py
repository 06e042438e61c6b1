"""Fields that a schema marks are found wherever they stand, and what stands in them is hidden wherever it turns up."""

from __future__ import annotations

from typing import Any

import pytest

from flows.engine.masking import MASK, Mask, has_marks, hidden_in, marked_names, named_in
from flows.engine.schemas import schema_problems

CARD: dict[str, Any] = {
    "type": "object",
    "properties": {"card": {"type": "string", "x-mask": "secret"}, "name": {"type": "string"}},
}


@pytest.mark.parametrize("mark", [{"x-mask": "secret"}, {"x-mask": "personal"}, {"writeOnly": True}, {"format": "password"}])
def test_a_mark_is_one_of_four(mark: dict[str, Any]) -> None:
    schema = {"properties": {"a": {"type": "string", **mark}}}

    assert has_marks(schema)
    assert list(hidden_in({"a": "x", "b": "y"}, schema)) == [("a", "x")]
    assert schema_problems(schema) == []


def test_a_mark_that_there_is_not_is_refused_with_its_place() -> None:
    [(place, message)] = schema_problems({"properties": {"a": {"x-mask": "private"}}})

    assert place == ("properties", "a", "x-mask")
    assert "`secret`, `personal`" in message


@pytest.mark.parametrize(
    ("schema", "value", "found"),
    [
        ({"type": "array", "items": CARD}, [{"card": "4111"}, {"card": "4222"}], {"4111", "4222"}),
        ({"$ref": "#/$defs/c", "$defs": {"c": CARD}}, {"card": "4111"}, {"4111"}),
        ({"anyOf": [{"type": "null"}, CARD]}, {"card": "4111"}, {"4111"}),
        ({"additionalProperties": {"x-mask": "personal"}}, {"any": {"deep": ["v", 7]}}, {"v", 7}),
        ({"properties": {"at": {"x-mask": "personal"}}}, {"at": {"street": "High Street", "no": 1, "flat": True}}, {"High Street", 1}),
        ({"patternProperties": {"^x_": {"writeOnly": True}}}, {"x_a": "hush", "a": "plain"}, {"hush"}),
        (CARD, {"card": None, "name": "Ann"}, set()),
    ],
)  # fmt: skip
def test_what_stands_in_marked_fields_is_found(schema: Any, value: Any, found: set[Any]) -> None:
    assert {each for _, each in hidden_in(value, schema)} == found


def test_places_are_named_from_where_the_value_stands() -> None:
    schema = {"properties": {"cards": {"items": CARD}}}

    assert list(hidden_in({"cards": [{"card": "4111"}]}, schema, "input")) == [("input.cards[0].card", "4111")]


def test_it_is_hidden_alone_within_texts_and_as_addresses_and_json_write_it() -> None:
    mask = Mask([("input.card", 'a b"c'), ("input.pin", 77)])

    assert mask.value({"say": 'It is a b"c.', "url": "?q=a%20b%22c", "json": 'x a b\\"c', "pin": 77, "n": 7}) == {
        "say": f"It is {MASK}.",
        "url": f"?q={MASK}",
        "json": f"x {MASK}",
        "pin": MASK,
        "n": 7,
    }


def test_a_short_value_is_hidden_where_it_stands_alone_and_innocent_text_stays() -> None:
    mask = Mask([("input.sex", "f")])

    assert mask.value(["f", "for fun", True, None]) == [MASK, "for fun", True, None]


def test_who_saw_only_the_mask_changes_nothing_by_sending_it_back() -> None:
    mask, original = Mask([("input.card", "4111")]), {"card": "4111", "note": "for 4111", "n": 1}

    assert mask.restored({**mask.value(original), "n": 2}, original) == {**original, "n": 2}
    assert mask.without(original) == {"note": f"for {MASK}", "n": 1}


def test_json_of_which_no_schema_is_known_is_hidden_by_names() -> None:
    found = named_in({"order": {"card": {"no": "4111"}, "sum": 3}}, marked_names({"properties": {"a": CARD}}))

    assert [value for _, value in found] == ["4111"]
