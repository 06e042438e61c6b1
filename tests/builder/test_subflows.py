"""Flows that run other flows: which they may, and that none runs itself."""

from __future__ import annotations

from typing import Any

import pytest

from flows.builder.actions.import_flow import import_flow
from flows.builder.actions.publish_flow import publish_flow
from flows.builder.actions.save_draft import save_draft
from flows.builder.checking import DocumentRefused, checked
from flows.engine.document import parse_document
from flows.models import Flow, Route, ToolEntry
from tests.engine.flows import source_of
from tests.makers import make_actor, make_flow, make_team

pytestmark = pytest.mark.django_db


def calls(*slugs: str, **settings: Any) -> str:
    """The document of a flow that runs these."""
    steps = {f"s{number}": {"kind": "subflow", "with": {"flow": slug, **settings}} for number, slug in enumerate(slugs)}
    return source_of(steps, [f"start -> {key}" for key in steps])


def plain(**more: Any) -> str:
    return source_of({"v": {"kind": "set", "with": {"values": {"x": 1}}}}, ["start -> v"], **more)


def refused(slug: str, text: str, **how: Any) -> list[str]:
    with pytest.raises(DocumentRefused) as refusal:
        save_draft(make_actor("builder"), slug, text, **how)
    return [f"{problem.place}: {problem.message}. {problem.mend}" for problem in refusal.value.problems]


def test_a_flow_that_is_published_may_be_run_by_another() -> None:
    make_flow("inner", document=plain())

    flow, version = import_flow(make_actor("builder"), "outer", calls("inner"), publish=True)

    assert version is not None
    assert flow.slug == "outer"


def test_a_flow_that_calls_itself_is_refused() -> None:
    make_flow("self", document=plain())

    (said,) = refused("self", calls("self"))

    assert said.endswith("steps.s0.with.flow: the flow would run itself (self -> self). Repeat steps with a `loop`.")


def test_a_circle_through_what_others_have_published_is_named() -> None:
    make_flow("a", document=plain())
    make_flow("b", document=calls("a"))
    inside = {"steps": {"x": {"kind": "subflow", "with": {"flow": "b"}}}, "edges": ["start -> x"]}
    make_flow("c", document=source_of({"m": {"kind": "map", "with": {"over": "[1]", "body": inside}}}, ["start -> m"]))

    (said,) = refused("a", calls("c"))

    assert "the flow would run itself (a -> c -> b -> a)" in said


@pytest.mark.parametrize(
    "step",
    [
        {"kind": "tool", "with": {"tool": "ask.a", "arguments": {}}},
        {"kind": "agent", "with": {"route": "r", "prompt": "p", "tools": [{"tool": "ask.a", "leash": "free"}]}},
    ],
)
def test_a_circle_through_a_tool_that_is_a_flow_is_named(step: dict[str, Any]) -> None:
    make_flow("a", document=plain())
    Route.objects.create(slug="r", candidates=["small"])
    ToolEntry.objects.create(slug="ask.a", kind="flow", effect="read", repeat="freely", settings={"flow": "a"})
    make_flow("b", document=source_of({"x": step}, ["start -> x"]))

    (said,) = refused("a", calls("b"))
    (itself,) = refused("a", source_of({"x": step}, ["start -> x"]))

    assert "the flow would run itself (a -> b -> tool ask.a -> a)" in said
    assert "the flow would run itself (a -> tool ask.a -> a)" in itself


def test_the_report_looks_into_tools_that_are_flows() -> None:
    Route.objects.create(slug="r", candidates=["small"])
    ToolEntry.objects.create(slug="pay.out", kind="python", effect="write", repeat="keyed")
    ToolEntry.objects.create(slug="ask.a", kind="flow", effect="read", repeat="freely", settings={"flow": "a"})
    steps = {"m": {"kind": "model", "with": {"route": "r", "prompt": "p"}}, "p": {"kind": "tool", "with": {"tool": "pay.out"}}}
    make_flow("a", document=source_of(steps, ["start -> m", "m -> p"]))
    caller = source_of({"x": {"kind": "tool", "with": {"tool": "ask.a", "arguments": {}}}}, ["start -> x"])

    report = checked(parse_document(caller), "b", None).report

    assert report is not None
    found = {each.slug: each for each in report.findings}
    assert found["hidden_write"].message == "ask.a counts as reading, but its flow a calls pay.out without anybody’s approval"
    assert "no_cap" in found, "the models inside cost this run"
    said = " ".join(sentence for answer in report.answers for sentence in answer.sentences)
    assert "X goes on as the flow a within this one." in said
    assert "Models are asked inside a, too, which this run pays for." in said
    assert "The flow a, which it calls as a tool, calls pay.out without anybody’s approval." in said
    assert "It changes nothing outside." not in said
    assert "It asks no model" not in said


def test_an_older_version_that_leads_nowhere_may_be_run() -> None:
    make_flow("a", document=plain())

    save_draft(make_actor("builder"), "a", calls("a", version=1))


def test_what_it_cannot_see_it_cannot_run() -> None:
    ours, theirs = make_team("ours"), make_team("theirs")
    make_flow("secret", document=plain(), team=theirs)
    make_flow("everybodys", document=plain())
    make_flow("draft", document=plain(), published=False)
    make_flow("mine", document=plain(), team=ours)

    (said,) = refused("mine", calls("secret"))
    assert "there is no flow `secret` that this one may use" in said
    (said,) = refused("mine", calls("draft"))
    assert "the flow `draft` is not published" in said
    save_draft(make_actor("builder"), "mine", calls("everybodys"))


def test_publishing_looks_again() -> None:
    inner = make_flow("inner", document=plain())
    save_draft(make_actor("builder"), "outer", calls("inner"))
    Flow.objects.filter(id=inner.id).update(published=None)

    with pytest.raises(DocumentRefused):
        publish_flow(make_actor("builder"), "outer")


def test_the_input_of_the_published_version_is_checked() -> None:
    make_flow("inner", document=plain(input={"type": "object", "required": ["topic"]}))

    (said,) = refused("outer", calls("inner"))

    assert "the flow `inner` needs the input `topic`" in said
