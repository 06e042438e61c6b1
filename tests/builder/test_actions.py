"""Drafts and versions."""

import pytest

from flows.access.actor import Actor
from flows.access.refusals import Forbidden, Invalid, NotFound
from flows.builder.actions.export_flow import export_flow
from flows.builder.actions.import_flow import import_flow
from flows.builder.actions.publish_flow import publish_flow
from flows.builder.actions.save_draft import DraftChanged, SlugTaken, save_draft
from flows.builder.checking import DocumentRefused
from flows.models import AuditRow, Flow, FlowVersion
from tests.makers import DOCUMENT, make_actor, make_flow, make_team

pytestmark = pytest.mark.django_db


@pytest.fixture
def builder() -> Actor:
    return make_actor("builder", username="builder")


def actions() -> list[str]:
    return list(AuditRow.objects.order_by("id").values_list("action", flat=True))


def test_a_draft_is_created_changed_and_left_alone_where_nothing_changed(builder: Actor) -> None:
    first = save_draft(builder, "greet", DOCUMENT)
    same = save_draft(builder, "greet", DOCUMENT, revision=99)
    changed = save_draft(builder, "greet", DOCUMENT.replace("Hello", "Good day"), revision=1)

    assert (first.revision, same.revision, changed.revision) == (1, 1, 2)
    assert "Good day" in Flow.objects.get(slug="greet").draft
    assert actions() == ["flow.create", "flow.save"]


def test_a_stale_tab_overwrites_nothing(builder: Actor) -> None:
    save_draft(builder, "greet", DOCUMENT)
    save_draft(builder, "greet", DOCUMENT.replace("Hello", "Good day"), revision=1)

    with pytest.raises(DraftChanged) as refusal:
        save_draft(builder, "greet", DOCUMENT.replace("Hello", "Hi"), revision=1)

    assert refusal.value.current == 2
    assert "Good day" in Flow.objects.get(slug="greet").draft


@pytest.mark.parametrize(
    ("before", "after", "place"),
    [
        ("orchestrator: 1", "orchestrator: 1\nnonsense: 2", "nonsense"),
        ("kind: set", "kind: sett", "steps.greet.kind"),
        ("{{ input.name }}", "{{ steps.nowhere.output }}", "steps.greet"),
        ("start -> greet", "start -> away", "edges"),
        ("name: Greeting", "name: Greeting\nname: Twice", "name"),
    ],
)
def test_a_document_that_cannot_run_is_refused_at_its_place(builder: Actor, before: str, after: str, place: str) -> None:
    with pytest.raises(DocumentRefused) as refusal:
        save_draft(builder, "greet", DOCUMENT.replace(before, after))

    assert any(place in fault.place for fault in refusal.value.problems)
    assert refusal.value.problems[0].message
    assert not Flow.objects.exists()
    assert not actions()


def test_an_editor_keeps_a_draft_that_does_not_compile_yet(builder: Actor) -> None:
    save_draft(builder, "greet", DOCUMENT.replace("kind: set", "kind: sett"), runnable=False)

    with pytest.raises(DocumentRefused):
        publish_flow(builder, "greet")
    assert not FlowVersion.objects.exists()


def test_publishing_twice_gives_one_version_and_a_change_the_next(builder: Actor) -> None:
    save_draft(builder, "greet", DOCUMENT)

    first, again = publish_flow(builder, "greet"), publish_flow(builder, "greet")
    save_draft(builder, "greet", DOCUMENT + "layout: {greet: [1, 2]}\n")
    moved = publish_flow(builder, "greet")
    save_draft(builder, "greet", DOCUMENT.replace("Hello", "Good day"))
    second = publish_flow(builder, "greet")

    assert first.id == again.id == moved.id
    assert (first.number, second.number) == (1, 2)
    assert Flow.objects.get(slug="greet").published == second
    assert actions().count("flow.publish") == 2


def test_export_and_import_keep_every_byte(builder: Actor) -> None:
    import_flow(builder, "greet", DOCUMENT, publish=True)
    text = export_flow(builder, "greet")
    import_flow(builder, "copy", text)

    assert export_flow(builder, "copy") == text == export_flow(builder, "greet", version=1)
    with pytest.raises(NotFound):
        export_flow(builder, "greet", version=2)


@pytest.mark.parametrize("role", ["viewer", "operator", "approver", "auditor"])
def test_others_may_look_and_not_change(role: str) -> None:
    make_flow("greet")
    actor = make_actor(role)

    with pytest.raises(Forbidden, match=r"flows\.edit"):
        save_draft(actor, "greet", DOCUMENT)
    with pytest.raises(Forbidden):
        save_draft(actor, "fresh", DOCUMENT)
    with pytest.raises(Forbidden, match=r"flows\.publish"):
        publish_flow(actor, "greet")
    assert export_flow(actor, "greet")
    assert not actions()


def test_a_new_flow_belongs_to_the_only_team_there_can_be() -> None:
    team, other = make_team(), make_team()
    actor = make_actor("builder", team=team)

    assert save_draft(actor, "greet", DOCUMENT).team == team
    with pytest.raises(Forbidden):
        save_draft(actor, "more", DOCUMENT, team=other)
    make_flow("hidden", team=other)
    with pytest.raises(SlugTaken):
        save_draft(actor, "hidden", DOCUMENT)


def test_a_bad_name_is_refused(builder: Actor) -> None:
    with pytest.raises(Invalid):
        save_draft(builder, "No Name", DOCUMENT)
