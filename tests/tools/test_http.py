"""The http tool against a real service: what it sends, and which failure each answer is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from flows.access.egress import Egress, EgressRefused
from flows.engine.failures import BadKey, BadRequest, Failure, InvalidOutput, RateLimited, TimedOut, Unavailable
from flows.tools.base import ToolCall, ToolContext, ToolSpec
from flows.tools.http import HTTPSettings, HTTPTool
from tests.servers.effect_server import EffectServer
from tests.servers.loopback import running


@pytest.fixture(scope="module")
def service() -> Iterator[EffectServer]:
    with running(EffectServer()) as server:
        yield server


@pytest.fixture(autouse=True)
def fresh(service: EffectServer) -> None:
    service.program.clear()
    service.asked.clear()
    service.effects.clear()
    service.applied.clear()


def make_call(
    url: str, arguments: dict[str, Any] | None = None, *, repeat: Any = "keyed", timeout: float = 5.0, **settings: Any
) -> ToolCall:
    spec = ToolSpec("refunds.create", "http", "write", repeat, {}, HTTPSettings(url=url, **settings))
    return ToolCall(spec, arguments or {}, "key-1", timeout, uuid4())


async def perform(service: EffectServer, path: str, arguments: dict[str, Any] | None = None, **options: Any) -> Any:
    context = ToolContext(Egress(lambda: frozenset({service.host})))
    return await HTTPTool().call(make_call(f"{service.base}{path}", arguments, **options), context)


async def test_arguments_are_the_body_and_the_key_a_header(service: EffectServer) -> None:
    result = await perform(service, "/refunds", {"amount": 5}, idempotency_header="Idempotency-Key")

    assert result["body"] == {"amount": 5}
    assert result["key"] == "key-1"
    assert len(service.effects) == 1


async def test_arguments_of_a_get_are_its_query(service: EffectServer) -> None:
    seen = await perform(service, "/echo", {"q": "a b&c", "n": 3, "tags": ["x", "y"], "none": None}, method="GET")
    assert seen["path"] == "/echo?q=a+b%26c&n=3&tags=x&tags=y"
    assert seen["body"] == ""


async def test_arguments_can_be_path_segments_and_cannot_leave_them(service: EffectServer) -> None:
    seen = await perform(service, "/echo/{order}", {"order": "a/../b?c#d", "note": "n"})
    assert seen["path"] == "/echo/a%2F..%2Fb%3Fc%23d"
    assert json.loads(seen["body"]) == {"note": "n"}
    for value in ("..", ".", "", None, {"a": 1}):
        with pytest.raises(BadRequest, match=r"arguments\.order"):
            await perform(service, "/echo/{order}", {"order": value})


async def test_what_is_sent_and_what_a_call_gives_are_templates(service: EffectServer) -> None:
    body = {"order": {"lines": "{{ arguments.lines }}", "note": "From {{ arguments.who }}"}, "fixed": 1}
    seen = await perform(service, "/echo/{who}", {"who": "ann", "lines": [1, 2]}, body=body, gives={"was": "{{ answer.path }}"})
    sent = await perform(service, "/echo/{who}", {"who": "ann", "lines": [1, 2]}, body=body, gives="{{ answer.body }}")

    assert seen == {"was": "/echo/ann"}
    assert json.loads(sent) == {"order": {"lines": [1, 2], "note": "From ann"}, "fixed": 1}
    with pytest.raises(BadRequest, match="lines") as early:
        await perform(service, "/echo/{who}", {"who": "ann"}, body=body)
    assert not early.value.sent
    with pytest.raises(InvalidOutput, match="gives") as late:
        await perform(service, "/echo", gives="{{ answer.nothing.here }}")
    assert late.value.sent


@pytest.mark.parametrize(
    "settings",
    [
        {"body": "{{ arguments.__class__ }}"},
        {"body": {"deep": ["{{ arguments.a.format('x') }}"]}},
        {"gives": "{{ answer.x. }}"},
        {"body": {"a": 1}, "method": "GET"},
    ],
)
def test_a_template_that_reaches_for_attributes_or_cannot_be_is_refused_when_it_is_written(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HTTPSettings(url="https://example.com/", **settings)


async def test_a_header_comes_from_the_environment(service: EffectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SERVICE_TOKEN", raising=False)
    with pytest.raises(BadKey, match="SERVICE_TOKEN"):
        await perform(service, "/echo", header_env={"X-Token": "SERVICE_TOKEN"})
    monkeypatch.setenv("SERVICE_TOKEN", "s3cret")
    assert (await perform(service, "/echo", header_env={"X-Token": "SERVICE_TOKEN"}))["headers"]["x-token"] == "s3cret"


@pytest.mark.parametrize("url", ["ftp://x/", "http://{host}/", "http://x/?q={q}", "http://u:p@x/", "nothing", ""])
def test_an_address_that_an_argument_could_bend_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        HTTPSettings(url=url)


@pytest.mark.parametrize(
    ("behave", "expected", "sent"),
    [
        ({"behave": "429", "retry_after": 4}, RateLimited, False),
        ({"behave": "500"}, Unavailable, True),
        ({"behave": "503"}, Unavailable, True),
        ({"behave": "408"}, TimedOut, True),
        ({"behave": "400"}, BadRequest, True),
        ({"behave": "404"}, BadRequest, True),
        ({"behave": "401"}, BadKey, True),
        ({"behave": "403"}, BadKey, True),
        ({"behave": "redirect", "to": "/elsewhere", "status": 307}, BadRequest, True),
        ({"behave": "late"}, Unavailable, True),
        ({"behave": "refuse"}, Unavailable, True),
        ({"behave": "html"}, InvalidOutput, True),
        ({"behave": "large"}, InvalidOutput, True),
    ],
    ids=lambda value: value["behave"] if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("repeat", ["keyed", "never"])
async def test_each_answer_is_its_failure(
    service: EffectServer, behave: dict[str, Any], expected: type[Failure], sent: bool, repeat: str
) -> None:
    service.behaves(behave)

    with pytest.raises(Failure) as failure:
        await perform(service, "/refunds", {"amount": 1}, repeat=repeat)

    assert type(failure.value) is expected
    assert failure.value.sent is sent
    assert failure.value.answered is (behave["behave"] in ("429", "400", "404", "401", "403", "redirect"))
    assert failure.value.retry_after == behave.get("retry_after")
    assert len(service.asked) == 1


@pytest.mark.parametrize("how", ["hang", "drip"])
async def test_a_service_that_does_not_answer_in_time_may_have_acted(service: EffectServer, how: str) -> None:
    service.behaves(how)
    with pytest.raises(TimedOut) as failure:
        await perform(service, "/refunds", timeout=0.3)
    assert failure.value.sent


async def test_a_service_that_is_down_was_sent_nothing() -> None:
    context = ToolContext(Egress(lambda: frozenset({"127.0.0.1:1"})))
    with pytest.raises(Unavailable) as failure:
        await HTTPTool().call(make_call("http://127.0.0.1:1/x"), context)
    assert not failure.value.sent


async def test_a_host_that_nobody_allowed_is_refused(service: EffectServer) -> None:
    with pytest.raises(EgressRefused) as failure:
        await HTTPTool().call(make_call(f"{service.base}/x"), ToolContext(Egress(frozenset)))
    assert not failure.value.sent
    assert not service.asked


async def test_other_statuses_can_be_expected_and_text_taken(service: EffectServer) -> None:
    service.behaves("409")
    assert "status 409" in await perform(service, "/refunds", expected=(409,), response="text")


async def test_it_finds_what_became_of_a_key(service: EffectServer) -> None:
    context = ToolContext(Egress(lambda: frozenset({service.host})))
    call = make_call(
        f"{service.base}/refunds", {"amount": 2}, idempotency_header="Idempotency-Key", find=f"{service.base}/find/{{key}}"
    )

    assert await HTTPTool().find(call, context) == (False, None)
    service.behaves("late")
    with pytest.raises(Unavailable):
        await HTTPTool().call(call, context)
    happened, result = await HTTPTool().find(call, context)
    assert happened
    assert result["body"] == {"amount": 2}
    assert len(service.effects) == 1
