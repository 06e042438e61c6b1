"""Fire drills on a real engine: which path of a flow handles an outage, a rate limit, bad output, a dead worker and a slow person."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import redis
from django.conf import settings

from approvals.deadlines import expire_due
from flows.access.refusals import Forbidden
from flows.execution.handling import FAULTS
from flows.models import AuditRow, Call, Drill, Event, Flow, Request, Run
from flows.routing.figures import figures_by_model
from flows.runs.actions.start_drill import DrillUnderWay, start_drill
from flows.runs.drills.reading import Chapter, DrillReport, drill_report
from flows.runs.drills.tending import tend_drills
from tests.engine.flows import source_of
from tests.execution.conftest import AddTool, Drive
from tests.execution.runs import approval, finish, make_model, make_route, model, tool, until
from tests.execution.services import TOPIC
from tests.makers import make_actor, make_flow

CHAIN = ("rate_limit", "timeout", "unavailable")


def a_flow(steps: dict[str, Any], edges: list[str], *, published: bool = True, **more: Any) -> Flow:
    more.setdefault("input", {"type": "object"})
    return make_flow(document=source_of(steps, edges, **more), published=published)


def drilled(drive: Drive, flow: Flow, **more: Any) -> DrillReport:
    """The report of a drill of this flow, once it has ended."""
    drive(hooks=[expire_due, tend_drills])
    drill = start_drill(make_actor("builder"), flow.slug, **more)
    until(lambda: Drill.objects.get(id=drill.id).ended_at, within=30)
    report = drill_report(Drill.objects.get(id=drill.id))
    for chapter in report.chapters:
        finish(chapter.run)
    return report


def chapter(report: DrillReport, fault: str) -> Chapter:
    return next(each for each in report.chapters if each.fault == fault)


def hows(report: DrillReport, fault: str) -> list[tuple[str, str]]:
    return [(line.path, line.how) for line in chapter(report, fault).lines]


def two_models() -> None:
    make_model("first", capabilities=["json"])
    make_model("second", capabilities=["json"])
    make_route("pair", "first", "second", fall_back_on=CHAIN)


def test_each_fault_is_told_with_the_path_that_handled_it(drive: Drive) -> None:
    two_models()
    steps = {
        "classify": model("Which topic?", "pair", with_={"output": TOPIC}),
        "ask": approval(due="4h", at_deadline="reject"),
        "write": model("Write it", "pair"),
    }
    report = drilled(drive, a_flow(steps, ["start -> classify", "classify -> ask", "ask.approve -> write"]))

    assert [each.fault for each in report.chapters] == list(FAULTS)
    assert hows(report, "outage") == [("classify", "fallback"), ("write", "fallback")]
    assert hows(report, "rate_limit") == [("classify", "fallback"), ("write", "fallback")]
    assert hows(report, "bad_json") == [("classify", "repair")]
    assert hows(report, "dead_worker") == [("", "recovery"), ("classify", "recovery")]
    assert hows(report, "slow_person") == [("ask", "deadline")]
    assert "fell back to second" in chapter(report, "outage").lines[0].text
    assert "0 finished steps were kept" in chapter(report, "dead_worker").lines[0].text
    assert "reject" in chapter(report, "slow_person").lines[0].text
    assert {each.verdict for each in report.chapters} == {"handled"}
    assert report.in_words == "Each of the 5 faults that it met was handled."


def test_a_fault_that_nothing_handles_is_said_so(drive: Drive) -> None:
    make_model("only", capabilities=["json"])
    steps = {"classify": model("Which topic?", "only", with_={"output": TOPIC, "repair": 0})}
    report = drilled(drive, a_flow(steps, ["start -> classify"]))

    assert [each.fault for each in report.unhandled] == ["outage", "rate_limit", "bad_json"]
    assert hows(report, "outage") == [("classify", "nothing")]
    assert chapter(report, "outage").run.status == "failed"
    assert chapter(report, "slow_person").verdict == "untouched"
    assert chapter(report, "slow_person").untouched == "Nobody is asked on this path."
    assert report.in_words == "Nothing handles: outage, rate limit, bad output."


def test_retries_and_error_paths_are_told_apart_from_fallbacks(drive: Drive) -> None:
    make_model("only")
    steps = {
        "patient": model("Say it", "only", retry={"attempts": 3, "first": "20s"}),
        "after": {"kind": "set", "with": {"values": {"n": 1}}},
    }
    flow = a_flow(steps, ["start -> patient", "patient.error -> after"], on_error=None)
    report = drilled(drive, flow)

    assert hows(report, "rate_limit") == [("patient", "retry")]
    assert hows(report, "outage") == [("patient", "error path")]
    assert "tried again as attempt 2, then tried again as attempt 3, in vain" in chapter(report, "outage").lines[0].text
    assert chapter(report, "bad_json").untouched.startswith("No step on this path asks for JSON")


def test_a_slow_person_finds_the_run_parked_or_escalated(drive: Drive) -> None:
    steps = {"plain": approval(), "late": approval(due="2d", at_deadline="escalate")}
    report = drilled(drive, a_flow(steps, ["start -> plain", "plain.approve -> late"]))

    assert hows(report, "slow_person") == [("plain", "parked"), ("late", "escalation")]
    run = chapter(report, "slow_person").run
    assert run.status == "succeeded"
    assert Event.objects.filter(run=run, type="run.parked").exists()
    assert not Request.objects.exclude(kind="test").exists(), "no inbox shows what a drill asks"


def test_a_call_that_may_not_be_repeated_is_asked_about_when_its_worker_dies(drive: Drive, add_tool: AddTool) -> None:
    sent: list[int] = []
    add_tool("send", lambda: sent.append(1), effect="write", repeat="never")
    report = drilled(drive, a_flow({"send": tool("send")}, ["start -> send"]))

    assert hows(report, "dead_worker") == [("", "recovery"), ("send", "question")]
    assert chapter(report, "dead_worker").run.status == "cancelled"
    assert sent == [], "tools that change the world are dry"


def test_it_costs_nothing_and_says_nothing_of_the_real_models(drive: Drive) -> None:
    make_model("real-1", model="openai/real-1", api_base="http://127.0.0.1:9/v1", api_key_env="NO_SUCH_KEY")
    make_model("real-2", model="openai/real-2", api_base="http://127.0.0.1:9/v1", api_key_env="NO_SUCH_KEY")
    make_route("real", "real-1", "real-2", fall_back_on=CHAIN)
    report = drilled(drive, a_flow({"a": model("Say it", "real")}, ["start -> a"]))

    assert report.real == Decimal(0)
    assert "it cost nothing" in report.cost_in_words
    calls = Call.objects.filter(run__purpose="drill")
    assert calls.exists()
    assert set(calls.values_list("simulated", flat=True)) == {True}
    assert Run.objects.exclude(purpose="drill").count() == 0
    assert figures_by_model()["real-1"].calls == 0
    with redis.Redis.from_url(settings.REDIS_ADDRESS) as store:
        assert list(store.scan_iter("health:*")) == []


def test_a_draft_can_be_drilled_and_one_drill_goes_on_at_a_time(drive: Drive) -> None:
    make_model()
    flow = a_flow({"a": model("Say it")}, ["start -> a"], published=False)
    actor = make_actor("builder")

    drill = start_drill(actor, flow.slug)

    assert drill.version.number is None
    with pytest.raises(DrillUnderWay):
        start_drill(actor, flow.slug)
    with pytest.raises(Forbidden):
        start_drill(make_actor("viewer"), flow.slug)
    assert AuditRow.objects.filter(action="flow.drill", subject=flow.slug).count() == 1
    drive(hooks=[tend_drills])
    until(lambda: Drill.objects.get(id=drill.id).ended_at, within=30)
