"""Drafts that are still being written: kept as they are, with what is wrong said."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from flows.access.actor import Actor
from flows.access.refusals import Forbidden
from flows.builder.actions.keep_draft import keep_copy, keep_draft
from flows.builder.actions.publish_flow import publish_flow
from flows.builder.actions.save_draft import DraftChanged
from flows.builder.checking import DocumentRefused
from flows.builder.drafts import NotAFlow, check_draft, draft_of_text, draft_of_value
from flows.engine.document import dump_document, parse_document
from flows.models import Flow
from tests.makers import DOCUMENT, make_actor, make_flow, make_team

pytestmark = pytest.mark.django_db


@pytest.fixture
def builder() -> Actor:
    return make_actor("builder", username="builder")


def value(**changes: Any) -> dict[str, Any]:
    found = copy.deepcopy(draft_of_text(DOCUMENT).value)
    return found | changes


def test_what_validates_is_written_in_its_canonical_form() -> None:
    assert draft_of_value(value()).text == dump_document(parse_document(DOCUMENT))
    assert check_draft(draft_of_value(value()), "greet", None).problems == ()


@pytest.mark.parametrize(
    ("broken", "place"),
    [
        ({"name": ""}, "name"),
        ({"limits": {"cost": "much"}}, "limits.cost"),
        ({"steps": {"greet": {"kind": "set", "retry": {"attempts": 0}}}}, "steps.greet.retry.attempts"),
        ({"steps": {"greet": {"kind": "set", "timeout": "3 fortnights"}}}, "steps.greet.timeout"),
        ({"steps": {"greet": {"kind": "sett"}}}, "steps.greet.kind"),
        ({"edges": ["start => greet"]}, "edges[0]"),
        ({"edges": ["start -> greet", "greet -> nowhere"]}, "edges[1]"),
        ({"output": "{{ steps.nowhere.output }}"}, "output"),
        ({"outputs": 1}, "outputs"),
    ],
)
def test_a_broken_draft_is_kept_as_it_is_and_its_problem_said(builder: Actor, broken: dict[str, Any], place: str) -> None:
    make_flow("greet")

    flow, draft = keep_draft(builder, "greet", value(**broken), 1)

    assert flow.revision == 2
    assert place in [problem.path for problem in check_draft(draft, "greet", None).problems]
    assert draft_of_text(flow.draft).value == draft.value
    assert draft_of_text(flow.draft).text == flow.draft
    with pytest.raises(DocumentRefused):
        publish_flow(builder, "greet")


def test_the_rest_of_a_broken_draft_is_surveyed_all_the_same() -> None:
    broken = value(steps={"greet": {"kind": "set", "with": {"values": {"text": "x"}}, "timeout": "soon"}})

    survey = check_draft(draft_of_value(broken), "greet", None).survey

    assert survey is not None
    assert list(survey.levels[()].settings) == ["greet"]


@pytest.mark.parametrize(
    "other",
    [
        [],
        {"nodes": [], "connections": {}},
        value(orchestrator=2),
        value(steps=["greet"]),
        value(steps={"greet": {"type": "set"}}),
        value(edges={"a": "b"}),
        value(name="x" * 2_000_000),
    ],
)
def test_what_cannot_be_drawn_is_refused(builder: Actor, other: Any) -> None:
    make_flow("greet")

    with pytest.raises(NotAFlow) as refusal:
        keep_draft(builder, "greet", other, 1)

    assert refusal.value.problems[0].message
    assert Flow.objects.get().revision == 1


def test_a_draft_that_has_moved_on_is_not_overwritten_unless_it_says_the_same(builder: Actor) -> None:
    make_flow("greet")
    keep_draft(builder, "greet", value(description="mine"), 1)

    with pytest.raises(DraftChanged) as refusal:
        keep_draft(builder, "greet", value(description="theirs"), 1)
    again, _ = keep_draft(builder, "greet", value(description="mine"), 1)

    assert refusal.value.current == again.revision == 2
    assert Flow.objects.get().description == "mine"


def test_numbers_keep_their_spelling_through_a_browser(builder: Actor) -> None:
    text = DOCUMENT.replace("values: {text:", "values: {share: 1.0, text:")
    make_flow("greet", document=dump_document(parse_document(text)))
    seen = draft_of_text(text).value
    seen["steps"]["greet"]["with"]["values"]["share"] = 1

    flow, _ = keep_draft(builder, "greet", seen, 1)

    assert "share: 1.0" in flow.draft
    assert flow.revision == 1


def test_a_copy_is_a_flow_of_its_own(builder: Actor) -> None:
    make_flow("greet")

    first, second = keep_copy(builder, "greet", value(description="mine")), keep_copy(builder, "greet", value())

    assert [first.slug, second.slug] == ["greet-copy", "greet-copy-2"]
    assert (first.name, first.description, first.published) == ("Greeting (copy)", "mine", None)


def test_only_who_may_edit_keeps_and_copies() -> None:
    viewer = make_actor("viewer")
    make_flow("greet", team=make_team("finance"))

    with pytest.raises(Forbidden):
        keep_draft(viewer, "greet", value(), 1)
    with pytest.raises(Forbidden):
        keep_copy(viewer, "greet", value())
