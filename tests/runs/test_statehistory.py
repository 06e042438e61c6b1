"""The state of a run and who set what, when: on the run's page and over the API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from flows.models import Attempt, Run
from flows.runs.documents import documents_of
from flows.runs.statehistory import MOST, state_of_run
from tests.engine.flows import source_of
from tests.makers import make_flow, make_key, make_person, make_run
from tests.runs.journals import make_attempt

pytestmark = pytest.mark.django_db

STEPS = {"note": {"kind": "set", "with": {"state": {"notes": ["a"]}}}, "child": {"kind": "note", "with": {"text": "x"}}}


def run_with_state(**more: Any) -> Run:
    document = source_of({"note": STEPS["note"]}, ["start -> note"], state={"notes": [], "step": 0})
    run = make_run(make_flow(document=document), status="succeeded", **more)
    for seq, (path, state) in enumerate(
        [("note", {"notes": ["a"]}), ("each[1].note", {"step": 2}), ("sub/note", {"step": 9})], 2
    ):
        attempt = make_attempt(run, path, kind="set")
        Attempt.objects.filter(id=attempt.id).update(state=json.dumps(state), seq=seq)
    return run


def test_the_state_is_what_steps_have_left_of_it_and_each_change_says_who_and_when() -> None:
    run = run_with_state()

    found = state_of_run(run, 1, documents_of([run.version_id])[run.version_id])

    assert found.initial == {"notes": [], "step": 0}
    assert found.now == {"notes": ["a"], "step": 2}, "a sub-flow's state is its own"
    assert [(change.path, dict(change.values), change.flow) for change in found.history] == [
        ("sub/note", {"step": 9}, "sub"),
        ("each[1].note", {"step": 2}, ""),
        ("note", {"notes": ["a"]}, ""),
    ]
    assert all(change.at is not None for change in found.history)


def test_of_many_changes_the_newest_are_shown_and_what_holds_is_still_right() -> None:
    run = run_with_state()
    Attempt.objects.bulk_create(
        Attempt(
            run=run, pass_number=1, path=f"r[{n}].note", n=1, kind="set", status="succeeded", seq=10 + n, state=f'{{"step": {n}}}'
        )
        for n in range(MOST + 5)
    )

    found = state_of_run(run, 1, None)

    assert found.more
    assert len(found.history) == MOST
    assert found.now == {"notes": ["a"], "step": MOST + 4}


def test_the_page_and_the_api_show_it(client: Client) -> None:
    run = run_with_state()
    person = make_person("operator")
    client.force_login(person)

    page = client.get(f"/runs/{run.public_id}?tab=io").content.decode()
    assert page.count('data-testid="state-change"') == 3
    assert f"/runs/{run.public_id}?step=each%5B1%5D.note" in page
    _, secret = make_key(person, "runs:read")
    answer = Client().get(f"/api/v1/runs/{run.public_id}/state", headers={"Authorization": f"Bearer {secret}"}).json()
    assert (answer["now"], answer["complete"]) == ({"notes": ["a"], "step": 2}, True)
    assert [each["path"] for each in answer["history"]] == ["sub/note", "each[1].note", "note"]


def test_a_run_without_state_says_nothing_of_it(client: Client) -> None:
    client.force_login(make_person("operator"))

    assert 'data-testid="state"' not in client.get(f"/runs/{make_run(make_flow()).public_id}?tab=io").content.decode()
