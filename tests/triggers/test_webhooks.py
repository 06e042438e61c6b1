"""Deliveries to webhooks: what starts a run, and what starts nothing."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from django.test import Client

from flows.access.actor import Actor
from flows.access.refusals import Forbidden, Invalid
from flows.models import AuditRow, Firing, Flow, Run, Trigger
from flows.models.identifiers import new_id
from flows.triggers.actions import take_delivery as taking
from flows.triggers.actions.fire_by_hand import fire_now, replay_delivery
from flows.triggers.actions.rotate_secret import rotate_secret
from flows.triggers.actions.save_trigger import change_trigger, create_trigger
from flows.triggers.actions.use_as_sample import use_as_sample
from flows.triggers.secrets import key_of, secret_of, signature
from tests.makers import make_actor, make_flow, make_person, make_trigger

pytestmark = pytest.mark.django_db

BODY = {"name": "Ann"}


def deliver(trigger: Trigger, body: Any = BODY, *, named: str = "", at: float = 0.0, secret: str = "", sign: str = "") -> Any:
    """One delivery as a sender makes it; `at` seconds from now."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    timestamp, delivery = str(int(time.time() + at)), named or new_id().hex
    signed = sign or signature(key_of(secret or secret_of(trigger)), delivery, timestamp, raw)
    headers = {"webhook-id": delivery, "webhook-timestamp": timestamp, "webhook-signature": signed}
    return Client().post(f"/hooks/{trigger.public_id}", raw, content_type="application/json", headers=headers)


@pytest.fixture
def trigger() -> Trigger:
    return make_trigger(make_flow("greet"), "webhook")


def test_a_signed_delivery_starts_a_run_in_the_owners_name(trigger: Trigger) -> None:
    answer = deliver(trigger, named="evt_1")

    run = Run.objects.get()
    assert answer.status_code == 202
    assert answer.json()["id"] == run.public_id
    assert (json.loads(run.input), run.source, run.started_by) == (BODY, "webhook", trigger.owner)
    assert Firing.objects.get().run == run


def test_the_scheme_is_that_of_standard_webhooks() -> None:
    signed = signature(
        key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}'
    )

    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="  # the example of the specification


def test_the_same_delivery_gives_the_same_run_and_another_body_is_refused(trigger: Trigger) -> None:
    first, again = deliver(trigger, named="evt_1"), deliver(trigger, named="evt_1")
    other = deliver(trigger, {"name": "Bob"}, named="evt_1")

    assert (first.status_code, again.status_code, other.status_code) == (202, 200, 409)
    assert again.json()["id"] == first.json()["id"]
    assert Run.objects.count() == 1


@pytest.mark.parametrize(
    ("options", "status", "reason"),
    [
        ({"sign": "v1,AAAA"}, 401, "signature"),
        ({"sign": "nonsense é"}, 401, "signature"),
        ({"secret": "whsec_AAAA"}, 401, "signature"),
        ({"at": -400}, 401, "five minutes"),
        ({"at": 400}, 401, "five minutes"),
        ({"body": b'{"name": "' + b"x" * 300_000 + b'"}'}, 413, "262,144 bytes"),
        ({"body": b"not json"}, 422, "JSON"),
        ({"body": b"[" * 100_000}, 422, "JSON"),
        ({"body": {"name": 3}}, 422, "input.name"),
    ],
)
def test_what_is_refused_starts_nothing_and_is_listed(trigger: Trigger, options: Any, status: int, reason: str) -> None:
    answer = deliver(trigger, **options)

    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    assert not Run.objects.exists()
    row = Firing.objects.get()
    assert row.outcome == "refused"
    assert reason in row.reason


def test_nothing_is_told_about_webhooks_that_there_are_not() -> None:
    schedule = make_trigger(make_flow())
    for address in ("trg_nonsense", f"trg_{new_id().hex}", schedule.public_id):
        assert Client().post(f"/hooks/{address}", BODY, content_type="application/json").status_code == 404


def test_an_inactive_webhook_says_why(trigger: Trigger) -> None:
    Flow.objects.update(archived_at="2026-01-01T00:00Z")

    answer = deliver(trigger)

    assert answer.status_code == 409
    assert "archived" in answer.json()["detail"]
    assert not Run.objects.exists()


def test_more_than_it_takes_in_a_minute_is_told_to_wait(trigger: Trigger) -> None:
    change_trigger(Actor(person=trigger.owner), trigger, {"per_minute": 2})

    answers = [deliver(trigger) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert answers[-1]["Retry-After"]


def test_refusals_do_not_fill_the_table_nor_drive_out_what_was_taken(trigger: Trigger) -> None:
    deliver(trigger)
    for _ in range(taking.SHOWN + 5):
        deliver(trigger, sign="v1,AAAA")

    assert Firing.objects.filter(outcome="refused").count() == taking.SHOWN
    assert Firing.objects.filter(outcome="started").count() == 1


def test_a_mapping_makes_the_input(trigger: Trigger) -> None:
    owner = Actor(person=trigger.owner)
    change_trigger(owner, trigger, {"mapping": {"name": "{{ body.customer.first }}"}, "sample": {"customer": {"first": "Ann"}}})

    assert deliver(trigger, {"customer": {"first": "Bea"}}).status_code == 202
    assert json.loads(Run.objects.get().input) == {"name": "Bea"}
    assert deliver(trigger, {"customer": None}).status_code == 422
    with pytest.raises(Invalid, match="mapped from the sample"):
        change_trigger(owner, trigger, {"sample": {"customer": {"first": 7}}})
    with pytest.raises(Invalid, match="There are body and delivery"):
        change_trigger(owner, trigger, {"mapping": "{{ input.name }}"})
    with pytest.raises(Invalid, match="no setting"):
        change_trigger(owner, trigger, {"colour": "red"})


def test_a_rotated_secret_works_a_day_longer_and_the_one_before_no_more(trigger: Trigger) -> None:
    owner, first = Actor(person=trigger.owner), secret_of(trigger)
    second = rotate_secret(owner, trigger)
    assert deliver(trigger, secret=first).status_code == 202
    assert deliver(trigger, secret=second).status_code == 202

    third = rotate_secret(owner, trigger)
    assert deliver(trigger, secret=first).status_code == 401
    assert deliver(trigger, secret=second).status_code == 202
    Trigger.objects.update(rotated_at="2026-01-01T00:00Z")
    assert deliver(trigger, secret=second).status_code == 401
    assert deliver(trigger, secret=third).status_code == 202


def test_the_secret_is_shown_once_and_stands_nowhere(trigger: Trigger) -> None:
    client, owner = Client(), make_person("owner")
    client.force_login(owner)

    page = client.post(
        "/triggers/new?kind=webhook", {"flow": "greet", "name": "orders", "mapping": "{{ body }}", "per_minute": "5"}
    )

    made = Trigger.objects.get(name="orders")
    secret = secret_of(made)
    assert secret in page.content.decode()
    assert page["Cache-Control"] == "no-store"
    assert secret not in client.get(f"/triggers/{made.public_id}").content.decode()
    key = secret.removeprefix("whsec_")
    rows = [*Trigger.objects.values_list("settings", "salt"), *AuditRow.objects.values_list("data")]
    assert not any(key in str(row) for row in rows)


def test_a_replay_is_a_new_run_linked_to_its_delivery(trigger: Trigger) -> None:
    deliver(trigger)
    delivery = Firing.objects.get()
    operator = make_actor("operator")

    run = replay_delivery(operator, trigger, delivery)

    replay = Firing.objects.get(run=run)
    assert replay.replay_of == delivery
    assert run != delivery.run
    assert run.started_by == operator.person
    assert run.source == "webhook"


def test_a_refused_delivery_can_be_the_sample(trigger: Trigger) -> None:
    change_trigger(Actor(person=trigger.owner), trigger, {"mapping": {"name": "{{ body.who }}"}})
    deliver(trigger, {"wer": "Ann"})
    refused = Firing.objects.get(outcome="refused")

    with pytest.raises(Invalid, match="does not fit the sample"):
        use_as_sample(Actor(person=trigger.owner), trigger, refused)
    change_trigger(Actor(person=trigger.owner), trigger, {"mapping": {"name": "{{ body.wer }}"}})
    assert use_as_sample(Actor(person=trigger.owner), trigger, refused).settings["sample"] == {"wer": "Ann"}
    trigger.refresh_from_db()
    assert json.loads(fire_now(make_actor("operator"), trigger).input) == {"name": "Ann"}


def test_saving_takes_the_rights_to_edit_and_to_start_and_is_audited() -> None:
    make_flow("greet")
    builder = make_actor("builder")
    for actor in (make_actor("viewer"), make_actor("operator")):
        with pytest.raises(Forbidden):
            create_trigger(actor, "greet", "webhook", "orders", {})

    trigger, _ = create_trigger(builder, "greet", "schedule", "daily", {"cron": "0 9 * * *", "input": {"name": "Ann"}})
    other = make_actor("builder")
    change_trigger(other, trigger, {"zone": "Europe/Madrid"})

    trigger.refresh_from_db()
    assert trigger.owner == other.person
    changed = AuditRow.objects.get(action="trigger.change").data
    assert changed["zone"] == {"before": "UTC", "after": "Europe/Madrid"}
    with pytest.raises(Invalid, match="`name` is missing"):
        change_trigger(other, trigger, {"input": {}})
    with pytest.raises(Invalid, match="cron"):
        change_trigger(other, trigger, {"cron": "0 0 30 2 *"})
