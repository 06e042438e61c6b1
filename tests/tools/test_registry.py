"""The tool box: what it loads, and that nothing is called with arguments that do not fit."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from flows.access.egress import Egress
from flows.engine.failures import BadRequest, Failure, TimedOut
from flows.tools.base import ToolCall, ToolContext
from flows.tools.functions import FUNCTIONS, tool_function
from flows.tools.http import HTTPTool
from flows.tools.python import PythonTool
from flows.tools.registry import ToolBox, UnknownTool, toolbox_from_rows

SPLIT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}, "most": {"type": "integer"}}}


def make_box(*rows: tuple[Any, ...]) -> ToolBox:
    return toolbox_from_rows([(*row, None, "", None, "") for row in rows], [HTTPTool(), PythonTool()])


def make_call(box: ToolBox, slug: str, arguments: Any, timeout: float = 5.0) -> ToolCall:
    return ToolCall(box.spec(slug), arguments, "key", timeout, uuid4())


CONTEXT = ToolContext(Egress(frozenset))


async def test_it_calls_a_function_here_if_it_is_async() -> None:
    box = make_box(
        ("text.split", "python", "read", "freely", SPLIT, {}, None, False, None, {}),
        ("bench.noop", "python", "read", "freely", {}, {}, None, False, None, {}),
    )
    assert await box.call(make_call(box, "text.split", {"text": "a\n\n b "}), CONTEXT) == ["a", "b"]
    assert await box.call(make_call(box, "bench.noop", {"a": 1}), CONTEXT) == {"a": 1}


@pytest.mark.parametrize(
    ("arguments", "place"),
    [({}, "text"), ({"text": 3}, "arguments.text"), ({"text": "x", "most": "y"}, "arguments.most"), ([], "object")],
)
def test_arguments_that_do_not_fit_are_said_with_their_place(arguments: Any, place: str) -> None:
    box = make_box(("text.split", "python", "read", "freely", SPLIT, {}, None, False, None, {}))
    with pytest.raises(BadRequest, match=place):
        box.check("text.split", arguments)


def test_a_tool_that_is_missing_or_broken_says_so() -> None:
    box = make_box(
        ("refunds.create", "http", "write", "keyed", {}, {"url": "http://x/"}, 7.0, False, None, {}),
        ("bad", "http", "write", "never", {}, {"url": "http://x/", "methud": "POST"}, None, False, None, {}),
        ("odd", "soap", "read", "freely", {}, {}, None, False, None, {}),
    )
    with pytest.raises(UnknownTool, match=r"Did you mean `refunds.create`"):
        box.spec("refund.create")
    with pytest.raises(UnknownTool, match="methud"):
        box.spec("bad")
    with pytest.raises(UnknownTool, match="soap"):
        box.spec("odd")
    assert box.timeout_of("refunds.create") == 7.0
    assert box.timeout_of("refunds.create", 2.0) == 2.0


async def test_a_function_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FUNCTIONS, "_by_slug", dict(FUNCTIONS._by_slug))

    @tool_function("test.fails")
    async def fails(how: str, idempotency_key: str, context: ToolContext) -> Any:
        assert idempotency_key == "key"
        assert context is CONTEXT
        raise BadRequest("no") if how == "failure" else ZeroDivisionError("oops")

    @tool_function("test.hangs")
    async def hangs() -> None:
        import asyncio

        await asyncio.Event().wait()

    box = make_box(
        *(
            (slug, "python", "read", "freely", {}, {}, None, False, None, {})
            for slug in ("test.fails", "test.hangs", "test.missing")
        )
    )
    with pytest.raises(BadRequest, match="no"):
        await box.call(make_call(box, "test.fails", {"how": "failure"}), CONTEXT)
    with pytest.raises(Failure, match="ZeroDivisionError: oops") as failure:
        await box.call(make_call(box, "test.fails", {"how": "error"}), CONTEXT)
    assert failure.value.slug == "internal"
    assert not failure.value.retryable
    with pytest.raises(TimedOut):
        await box.call(make_call(box, "test.hangs", {}, timeout=0.05), CONTEXT)
    with pytest.raises(BadRequest, match=r"test\.missing"):
        await box.call(make_call(box, "test.missing", {}), CONTEXT)
    with pytest.raises(ValueError, match="two functions"):
        tool_function("test.hangs")(fails)
