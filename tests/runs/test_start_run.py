"""Starting runs."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection

from flows.access.actor import Actor
from flows.access.refusals import Forbidden, Invalid, NotFound
from flows.models import AuditRow, Event, Run
from flows.runs.actions.start_run import KeyReused, NotPublished, start_run
from flows.runs.beginning import InputRefused
from tests.makers import DOCUMENT, make_actor, make_flow, make_key, make_person, make_team

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> Actor:
    return make_actor("operator", username="operator")


def test_a_run_its_first_event_and_its_audit_row_are_written_together(operator: Actor) -> None:
    flow = make_flow("greet")

    run = start_run(operator, "greet", {"name": "Ann"}, tags=["ops", "ops"], source="api")

    run = Run.objects.get(id=run.id)
    assert (run.status, run.seq, run.flow, run.version, run.started_by) == ("queued", 1, flow, flow.published, operator.person)
    assert json.loads(run.input) == {"name": "Ann"}
    assert run.tags == ["ops"]
    assert [(event.seq, event.type) for event in Event.objects.filter(run=run)] == [(1, "run.created")]
    assert AuditRow.objects.get().action == "run.start"


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({}, "input"),
        ({"name": 3}, "input.name"),
        ({"name": "Ann", "times": 0}, "input.times"),
        ({"name": "Ann", "times": float("nan")}, "input"),
        (None, "input"),
        ("text", "input"),
    ],
)
def test_bad_input_is_refused_at_its_place_and_starts_nothing(operator: Actor, value: object, place: str) -> None:
    make_flow("greet")

    with pytest.raises(InputRefused) as refusal:
        start_run(operator, "greet", value)

    assert refusal.value.problems[0].place.startswith(place)
    assert not Run.objects.exists()
    assert not Event.objects.exists()
    assert not AuditRow.objects.exists()


def test_deep_input_is_refused_and_odd_characters_are_mended(operator: Actor) -> None:
    make_flow("greet")
    deep: object = "x"
    for _ in range(500):
        deep = [deep]

    with pytest.raises(InputRefused, match="does not match"):
        start_run(operator, "greet", {"name": "Ann", "more": deep})
    run = start_run(operator, "greet", {"name": "A\x00n\ud800"})

    kept = json.loads(Run.objects.get(id=run.id).input)["name"]
    assert kept.startswith("An")
    assert "\x00" not in kept
    assert kept.isprintable()


def test_the_same_key_gives_the_same_run(operator: Actor) -> None:
    make_flow("greet")
    make_flow("other")

    first = start_run(operator, "greet", {"name": "Ann"}, key="order-1")
    again = start_run(operator, "greet", {"name": "Ann"}, key="order-1", tags=["late"])

    assert again.id == first.id
    assert Run.objects.count() == 1
    assert AuditRow.objects.count() == 1
    with pytest.raises(KeyReused):
        start_run(operator, "greet", {"name": "Bob"}, key="order-1")
    with pytest.raises(KeyReused):
        start_run(operator, "other", {"name": "Ann"}, key="order-1")


@pytest.mark.django_db(transaction=True)
def test_the_same_key_at_the_same_instant_starts_one_run(operator: Actor) -> None:
    make_flow("greet")

    def start(_: int) -> object:
        try:
            return start_run(operator, "greet", {"name": "Ann"}, key="order-1").id
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(start, range(16)))

    assert len(ids) == 1
    assert Run.objects.count() == 1
    assert Event.objects.count() == 1


def test_of_two_limits_the_lower_holds(operator: Actor) -> None:
    make_flow("greet")

    run = start_run(operator, "greet", {"name": "Ann"}, limits={"cost": 5, "steps": 3, "tokens": 100, "duration": "1h"})

    run = Run.objects.get(id=run.id)
    assert (run.cap_cost, run.cap_steps, run.cap_tokens, run.at_limit) == (Decimal("1.00"), 3, 100, "stop")
    assert run.deadline is not None
    assert abs(run.deadline - run.created_at - timedelta(hours=1)) < timedelta(seconds=5)


@pytest.mark.parametrize(
    ("asked", "place"),
    [
        ({"limits": {"cost": "much"}}, "limits.cost"),
        ({"limits": {"cost": -1}}, "limits.cost"),
        ({"limits": {"speed": 1}}, "limits.speed"),
        ({"limits": {"duration": "soon"}}, "limits.duration"),
        ({"key": ""}, "key"),
        ({"key": "x" * 201}, "key"),
        ({"tags": ["x" * 61]}, "tags[0]"),
        ({"tags": [str(n) for n in range(30)]}, "tags"),
    ],
)
def test_what_cannot_be_used_is_named(operator: Actor, asked: dict, place: str) -> None:
    make_flow("greet")

    with pytest.raises(Invalid) as refusal:
        start_run(operator, "greet", {"name": "Ann"}, **asked)

    assert [fault.place for fault in refusal.value.problems] == [place]
    assert not Run.objects.exists()


def test_it_needs_the_right_the_scope_and_a_published_version(operator: Actor) -> None:
    make_flow("greet")
    make_flow("draft", published=False)
    make_flow("hidden", team=make_team())

    with pytest.raises(Forbidden):
        start_run(make_actor("viewer"), "greet", {"name": "Ann"})
    with pytest.raises(NotFound):
        start_run(make_actor("operator", team=make_team()), "hidden", {"name": "Ann"})
    with pytest.raises(NotFound):
        start_run(operator, "nowhere", {})
    with pytest.raises(NotFound):
        start_run(operator, "greet", {"name": "Ann"}, version=7)
    with pytest.raises(NotPublished):
        start_run(operator, "draft", {"name": "Ann"})
    person = make_person("operator")
    with pytest.raises(Forbidden):
        start_run(Actor(person=person, key=make_key(person, "runs:read")[0]), "greet", {"name": "Ann"})
    assert not Run.objects.exists()


def test_a_flow_without_an_input_schema_takes_any_object(operator: Actor) -> None:
    document = DOCUMENT.replace(
        "input:\n  type: object\n  required: [name]\n  properties:\n    name: {type: string}\n", ""
    ).replace("    times: {type: integer, minimum: 1}\n", "")
    make_flow("free", document=document)

    assert json.loads(start_run(operator, "free").input) == {}
    assert json.loads(start_run(operator, "free", {"anything": [1]}).input) == {"anything": [1]}
