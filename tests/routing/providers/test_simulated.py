"""Simulated models: deterministic, sensitive to the prompt, obedient to schemas, failing on demand."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.access.egress import Egress
from flows.engine.failures import BadKey, ContextTooLong, Failure, InvalidOutput, RateLimited, Refused, TimedOut, Unavailable
from flows.engine.schemas import value_problems
from flows.routing.definitions import ModelInfo
from flows.routing.providers import complete
from flows.routing.providers.base import ModelReply, ModelRequest, ToolDeclaration
from flows.routing.providers.instances import instance_of


async def ask(
    text: str, *, model_settings: dict[str, Any] | None = None, slug: str = "sim-small", on_text: Any = None, **changes: Any
) -> ModelReply:
    model = ModelInfo(slug, "sim/small", simulated=True, settings=model_settings or {})
    request = ModelRequest(**{"model": model, "messages": [{"role": "user", "content": text}], "timeout": 20.0, **changes})
    return await complete(request, on_text, egress=Egress(frozenset))


async def test_the_same_question_gets_the_same_answer() -> None:
    first, second = await ask("Where is my kettle?", seed=7), await ask("Where is my kettle?", seed=7)
    assert first == second
    assert first.usage.source == "provider"
    assert "kettle" in first.text or "Where" in first.text


async def test_prompt_seed_and_model_change_it() -> None:
    texts = {
        (await ask(text, seed=seed, slug=slug)).text
        for text in ("red kettle", "blue bicycle")
        for seed in (1, 2)
        for slug in ("a", "b")
    }
    assert len(texts) == 8


async def test_an_enumeration_follows_the_prompt() -> None:
    schema = {"type": "object", "required": ["topic"], "properties": {"topic": {"enum": ["refund", "other"]}}}
    assert (await ask("I want a refund", output_schema=schema)).output == {"topic": "refund"}
    assert (await ask("Some other thing", output_schema=schema)).output == {"topic": "other"}


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("429", RateLimited),
        ("rate_limit", RateLimited),
        ("timeout", TimedOut),
        ("unavailable", Unavailable),
        ("503", Unavailable),
        ("cut", Unavailable),
        ("refused", Refused),
        ("context_too_long", ContextTooLong),
        ("bad_key", BadKey),
        ("invalid_output", InvalidOutput),
    ],
)
async def test_it_fails_as_the_prompt_says(how: str, expected: type[Failure]) -> None:
    with pytest.raises(expected):
        await ask(f"x [[sim: fail={how}]]", output_schema={"type": "object"})


async def test_settings_make_each_third_call_fail() -> None:
    outcomes = []
    for _ in range(6):
        try:
            outcomes.append(bool(await ask("x", slug="flaky-of-this-test", model_settings={"fail": "rate_limit", "every": 3})))
        except RateLimited as failure:
            outcomes.append(failure.retry_after == 99)
    assert outcomes == [True, True, False, True, True, False]


async def test_it_says_what_it_is_told_and_streams_at_a_rate() -> None:
    heard: list[str] = []
    reply = await ask("[[sim: say=one two three four five six]] [[sim: rate=1000]]", on_text=heard.append)
    assert reply.text == "one two three four five six" == "".join(heard)
    assert len(heard) > 1


async def test_it_is_cut_at_the_limit_of_its_output() -> None:
    reply = await ask("a long story [[sim: tokens=500]]", max_output=20)
    assert reply.finish_reason == "length"
    assert reply.usage.output_tokens <= 20


async def test_it_keeps_the_deadline() -> None:
    with pytest.raises(TimedOut):
        await ask("x [[sim: delay=30]]", timeout=0.2)


async def test_it_asks_for_a_tool_once_and_then_answers() -> None:
    tools = (
        ToolDeclaration(
            "mail.send", "Sends.", {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
        ),
        ToolDeclaration(
            "refunds.create",
            "Pays.",
            {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "integer", "minimum": 5}}},
        ),
    )
    asked = await ask("create the refunds please", tools=tools)
    assert asked.tool_calls[0].name == "refunds.create"
    assert asked.tool_calls[0].arguments["amount"] >= 5
    assert asked.finish_reason == "tool_calls"

    directed = await ask('x [[sim: tool=mail.send {"text": "hi"}]]', tools=tools)
    assert directed.tool_calls[0].name == "mail.send"
    assert directed.tool_calls[0].arguments == {"text": "hi"}

    assert (await ask("create [[sim: tool=none]]", tools=tools)).text

    messages = [
        {"role": "user", "content": "create the refunds please"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "type": "function", "function": {"name": "refunds.create", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "1", "content": "paid"},
    ]
    assert (await ask("", messages=messages, tools=tools)).text


numbers = st.fixed_dictionaries(
    {"type": st.sampled_from(["number", "integer"])}, optional={"minimum": st.integers(-50, 10)}
).flatmap(
    lambda schema: st.builds(
        lambda width: {**schema, **({"maximum": schema.get("minimum", 0) + width} if width else {})}, st.integers(0, 60)
    )
)
texts = st.builds(
    lambda least, more: {"type": "string", "minLength": least, "maxLength": least + more}, st.integers(0, 20), st.integers(0, 60)
)
leaves = st.one_of(
    numbers,
    texts,
    st.just({"type": "boolean"}),
    st.just({"type": ["string", "null"]}),
    st.sampled_from([{"type": "string", "format": name} for name in ("date", "date-time", "email", "uuid")]),
    st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=3, unique=True).map(lambda members: {"enum": members}),
    st.sampled_from(
        [
            {"const": 3},
            {"type": "integer", "multipleOf": 5, "minimum": 3, "maximum": 30},
            {"exclusiveMinimum": 0, "exclusiveMaximum": 1, "type": "number"},
        ]
    ),
)


def _objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def build(properties: dict[str, Any], share: int, closed: bool) -> dict[str, Any]:
        required = sorted(properties)[:share]
        return {
            "type": "object",
            "properties": properties,
            "required": required,
            **({"additionalProperties": False} if closed else {}),
        }

    return st.builds(build, st.dictionaries(st.sampled_from("abcdef"), inner, max_size=4), st.integers(0, 4), st.booleans())


schemas = st.recursive(
    leaves,
    lambda inner: st.one_of(
        _objects(inner),
        st.builds(
            lambda items, least, more: {"type": "array", "items": items, "minItems": least, "maxItems": least + more},
            inner,
            st.integers(0, 3),
            st.integers(0, 3),
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
    ),
    max_leaves=8,
)


@settings(max_examples=300)
@given(schemas, st.integers(0, 5))
def test_it_obeys_any_small_schema(schema: dict[str, Any], seed: int) -> None:
    value = instance_of(schema, str(seed), ["hello", "a", "refund"])
    assert value_problems(value, schema) == []
    assert json.dumps(value) == json.dumps(instance_of(schema, str(seed), ["hello", "a", "refund"]))


@pytest.mark.parametrize(
    "schema",
    [
        {
            "$ref": "#/$defs/a",
            "$defs": {
                "a": {"type": "object", "required": ["b"], "properties": {"b": {"$ref": "#/$defs/c"}}},
                "c": {"type": "integer"},
            },
        },
        {"allOf": [{"type": "object", "required": ["a"]}, {"properties": {"a": {"type": "number", "minimum": 3}}}]},
        {"type": "array", "prefixItems": [{"const": 1}, {"type": "string"}], "minItems": 2},
        {"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True, "minItems": 3},
        {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{3}$"},
        {"type": "object", "minProperties": 2, "additionalProperties": {"type": "integer"}},
        {"oneOf": [{"type": "string"}, {"type": "integer"}]},
        {
            "type": "object",
            "required": ["tree"],
            "properties": {"tree": {"$ref": "#/$defs/n"}},
            "$defs": {"n": {"type": "object", "properties": {"child": {"$ref": "#/$defs/n"}}}},
        },
        True,
        {},
    ],
)
def test_it_obeys_what_schemas_are_made_of(schema: Any) -> None:
    assert value_problems(instance_of(schema, "seed", ["word"]), schema) == []
