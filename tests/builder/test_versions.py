"""New versions: going back, bringing back, the second person; what a flow is set to."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from approvals.actions.decide import decide
from approvals.reads import requests_in
from approvals.rules import SelfApproval
from flows.access.actor import Actor
from flows.access.refusals import Forbidden, Invalid, NotFound
from flows.builder.actions.archive_flow import archive_flow
from flows.builder.actions.ask_to_publish import AlreadyAsked, NothingToPublish, ask_to_publish
from flows.builder.actions.change_settings import change_settings
from flows.builder.actions.create_flow import create_flow
from flows.builder.actions.pause_flow import pause_flow
from flows.builder.actions.publish_as_approved import LiveMovedOn
from flows.builder.actions.publish_flow import publish_flow
from flows.builder.actions.restore_draft import NothingReplaced, restore_draft
from flows.builder.actions.roll_back import LiveChanged, roll_back
from flows.builder.actions.save_draft import DraftChanged, save_draft
from flows.builder.publishing import FlowArchived, NeedsSecondPerson
from flows.engine.document import dump_document, parse_document
from flows.execution.requests import answer
from flows.models import AuditRow, Flow, FlowVersion, Request
from flows.runs.actions.start_run import FlowArchived as NothingStarts
from flows.runs.actions.start_run import FlowPaused, start_run
from tests.makers import DOCUMENT, make_actor, make_team

pytestmark = pytest.mark.django_db


def _apart(act: Any, *given: Any, **named: Any) -> Any:
    """With a connection of its own."""
    try:
        return act(*given, **named)
    finally:
        connection.close()


def _until_somebody_waits_for_a_lock() -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
        time.sleep(0.02)
    raise AssertionError("nobody waits")


@pytest.fixture
def builder() -> Actor:
    return make_actor("builder", username="builder")


def saved(builder: Actor, word: str) -> Flow:
    return save_draft(builder, "greeting", DOCUMENT.replace("Hello", word))


def two_versions(builder: Actor) -> Flow:
    for word in ("One", "Two"):
        saved(builder, word)
        publish_flow(builder, "greeting", note=f"Say {word}")
    return Flow.objects.get()


def test_a_version_keeps_why_it_was_published(builder: Actor) -> None:
    flow = two_versions(builder)

    assert list(flow.versions.order_by("number").values_list("note", flat=True)) == ["Say One", "Say Two"]


def test_publishing_the_same_twice_makes_one_version(builder: Actor) -> None:
    saved(builder, "One")

    assert publish_flow(builder, "greeting", revision=1) == publish_flow(builder, "greeting", revision=1)
    assert FlowVersion.objects.count() == 1


def test_FP_1_going_back_adds_a_version_that_equals_the_old_one(builder: Actor) -> None:
    flow = two_versions(builder)

    version = roll_back(builder, "greeting", 1, live=2)

    one = flow.versions.get(number=1)
    assert (version.number, version.document, version.hash, version.note) == (3, one.document, one.hash, "Rolled back to v1")
    assert list(flow.versions.order_by("number").values_list("number", flat=True)) == [1, 2, 3]
    assert Flow.objects.get().published == version
    assert "Two" in Flow.objects.get().draft, "the draft stays"
    assert AuditRow.objects.get(action="flow.roll_back").data["rolled_back_to"] == 1
    with pytest.raises(LiveChanged):
        roll_back(builder, "greeting", 1, live=2)


def test_restoring_keeps_the_draft_that_it_replaces(builder: Actor) -> None:
    two_versions(builder)
    draft = saved(builder, "Three").draft

    flow = restore_draft(builder, "greeting", 1, revision=3)

    assert "One" in flow.draft
    assert flow.revision == 4
    assert flow.replaced_draft == draft
    with pytest.raises(DraftChanged):
        restore_draft(builder, "greeting", None, revision=3)
    flow = restore_draft(builder, "greeting", None)
    assert flow.draft == draft
    with pytest.raises(NothingReplaced):  # what it replaced is version 1, which is not lost
        restore_draft(builder, "greeting", None)


class TestTheSecondPerson:
    @pytest.fixture
    def flow(self, builder: Actor) -> Flow:
        two_versions(builder)
        change_settings(make_actor("owner", username="owner"), "greeting", {"needs_second": True})
        return saved(builder, "Three")

    def test_nobody_publishes_alone(self, builder: Actor, flow: Flow) -> None:
        for act in (publish_flow, lambda actor, slug: roll_back(actor, slug, 1)):
            with pytest.raises(NeedsSecondPerson):
                act(builder, "greeting")

    def test_only_an_owner_lifts_the_rule(self, builder: Actor, flow: Flow) -> None:
        with pytest.raises(Forbidden):
            change_settings(builder, "greeting", {"needs_second": False})

    def test_what_was_asked_is_what_is_published(self, builder: Actor, flow: Flow) -> None:
        request = ask_to_publish(builder, "greeting", revision=flow.revision, note="Three is better")
        saved(builder, "Four")
        approver = make_actor("approver", username="approver")
        assert request in requests_in(approver, "mine")

        decide(approver, request.id, "approve", 1)

        version = Flow.objects.get().published
        assert version is not None
        assert (version.number, version.note, "Three" in version.document) == (3, "Three is better", True)
        assert AuditRow.objects.get(action="flow.publish", data__version=3).actor == approver.person

    def test_nobody_who_wrote_on_it_approves_it(self, flow: Flow) -> None:
        writer = make_actor("owner", username="writer")
        save_draft(writer, "greeting", DOCUMENT.replace("Hello", "Five"))
        asker = make_actor("owner", username="asker")
        request = ask_to_publish(asker, "greeting")

        for actor in (writer, asker, Actor(person=flow.created_by)):
            with pytest.raises(Forbidden):
                decide(actor, request.id, "approve", 1)
            assert request not in requests_in(actor, "mine")
        with pytest.raises(SelfApproval):
            decide(writer, request.id, "approve", 1)
        assert Flow.objects.get().published.number == 2  # type: ignore[union-attr]

    def test_a_rejected_one_is_not_published_and_can_be_asked_again(self, builder: Actor, flow: Flow) -> None:
        request = ask_to_publish(builder, "greeting")
        with pytest.raises(AlreadyAsked):
            ask_to_publish(builder, "greeting")

        decide(make_actor("approver"), request.id, "reject", 1)

        assert FlowVersion.objects.count() == 2
        assert ask_to_publish(builder, "greeting", version=1).payload.count("greeting") == 1

    def test_what_is_live_need_not_be_asked_for(self, builder: Actor, flow: Flow) -> None:
        with pytest.raises(NothingToPublish):
            ask_to_publish(builder, "greeting", version=2)

    def test_it_stays_open_where_another_version_came_between(self, builder: Actor, flow: Flow) -> None:
        request = ask_to_publish(builder, "greeting")
        Flow.objects.update(needs_second=False)
        roll_back(builder, "greeting", 1)

        with pytest.raises(LiveMovedOn):
            decide(make_actor("approver"), request.id, "approve", 1)
        assert Request.objects.get().state == "pending"

    @pytest.mark.django_db(transaction=True)
    def test_one_may_ask_anew_in_the_moment_of_the_decision(
        self, builder: Actor, flow: Flow, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Both take the flow first: neither waits for what the other holds."""
        request = ask_to_publish(builder, "greeting")
        approver = make_actor("approver", username="approver")
        asked: list[Future[Request]] = []

        def asked_meanwhile(*given: Any, **named: Any) -> Any:
            decided = answer(*given, **named)
            asked.append(pool.submit(_apart, ask_to_publish, builder, "greeting", version=1, note="Back"))
            _until_somebody_waits_for_a_lock()
            return decided

        monkeypatch.setattr("approvals.actions.decide.answer", asked_meanwhile)
        with ThreadPoolExecutor(1) as pool:
            decide(approver, request.id, "approve", 1)

        assert asked[0].result().state == "pending"
        version = Flow.objects.get().published
        assert version is not None
        assert version.number == 3

    def test_those_of_another_team_do_not_see_it(self, builder: Actor, flow: Flow) -> None:
        Flow.objects.update(team=make_team("theirs"))
        request = ask_to_publish(builder, "greeting")

        with pytest.raises(NotFound):
            decide(make_actor("approver", team=make_team("ours")), request.id, "approve", 1)
        decide(make_actor("approver", team=make_team("theirs")), request.id, "approve", 1)


def test_FP_4_a_change_of_settings_is_audited_with_before_and_after() -> None:
    owner = make_actor("owner", username="owner")
    saved(owner, "One")
    finance = make_team("finance")
    given: dict[str, Any] = {"owner": "owner", "team": "finance", "tags": ["ops", "ops"], "ceiling": {"cost": "0.50", "steps": 9}}

    flow = change_settings(owner, "greeting", given)

    assert (flow.owner, flow.team, flow.tags, flow.ceiling) == (owner.person, finance, ["ops"], {"cost": "0.50", "steps": 9})
    data = AuditRow.objects.get(action="flow.settings").data
    assert data["tags"] == {"before": [], "after": ["ops"]}
    assert data["owner"] == {"before": None, "after": "owner"}
    change_settings(owner, "greeting", given)
    assert AuditRow.objects.filter(action="flow.settings").count() == 1, "nothing changed, so nothing is said"


def test_each_wrong_setting_is_named() -> None:
    owner = make_actor("owner")
    saved(owner, "One")

    with pytest.raises(Invalid) as failure:
        change_settings(owner, "greeting", {"owner": "nobody", "tags": ["a,b"], "ceiling": {"cost": "much"}, "colour": "red"})

    assert [fault.place for fault in failure.value.problems] == ["owner", "tags[0]", "ceiling.cost", "colour"]


def test_a_run_gets_the_flows_tags_and_no_more_than_its_ceiling() -> None:
    owner = make_actor("owner")
    saved(owner, "One")
    publish_flow(owner, "greeting")
    change_settings(owner, "greeting", {"tags": ["ops"], "ceiling": {"cost": "0.20", "steps": 5}})

    run = start_run(owner, "greeting", {"name": "Ann"}, tags=["mine"], limits={"steps": 7})

    assert (str(run.cap_cost), run.cap_steps, run.tags) == ("0.20", 5, ["ops", "mine"])


def test_a_paused_flow_starts_nothing_and_says_who_paused_it() -> None:
    operator = make_actor("operator", "builder")
    saved(operator, "One")
    publish_flow(operator, "greeting")

    flow = pause_flow(operator, "greeting")

    assert (flow.paused_by, flow.paused_at is not None) == (operator.person, True)
    with pytest.raises(FlowPaused):
        start_run(operator, "greeting", {"name": "Ann"})
    pause_flow(operator, "greeting", paused=False)
    assert start_run(operator, "greeting", {"name": "Ann"})
    with pytest.raises(Forbidden):
        pause_flow(make_actor("viewer"), "greeting")


def test_an_archived_flow_is_read_only(builder: Actor) -> None:
    two_versions(builder)
    archive_flow(builder, "greeting")

    for act in (
        lambda: saved(builder, "Three"),
        lambda: roll_back(builder, "greeting", 1),
        lambda: restore_draft(builder, "greeting", 1),
        lambda: change_settings(builder, "greeting", {"tags": ["x"]}),
        lambda: pause_flow(builder, "greeting"),
    ):
        with pytest.raises(FlowArchived):
            act()
    with pytest.raises(NothingStarts):
        start_run(builder, "greeting", {"name": "Ann"})
    archive_flow(builder, "greeting", archived=False)
    assert saved(builder, "Three").revision == 3


def test_a_new_flow_gets_a_slug_of_its_own(builder: Actor) -> None:
    first, second = create_flow(builder, "Überprüfung <b>1</b>"), create_flow(builder, "Überprüfung <b>1</b>")

    assert (first.slug, second.slug) == ("uberprufung-b-1-b", "uberprufung-b-1-b-2")
    assert create_flow(builder, "Copy", text=DOCUMENT).draft == dump_document(
        parse_document(DOCUMENT.replace("Greeting", "Copy"))
    )
    with pytest.raises(Invalid):
        create_flow(builder, "  ")
