"""What people do to a run by its pages: pausing, resuming, retrying, skipping, editing an input; and dialogs that come too late."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from flows.models import AuditRow, FlowVersion, Intervention, Person, Run, RunPass, ToolEntry
from tests.makers import make_flow, make_person, make_run
from tests.runs.journals import DOCUMENT as HANDLED
from tests.runs.journals import make_attempt, make_call

pytestmark = pytest.mark.django_db
DOCUMENT = HANDLED.replace(", judge.error -> tell", "")  # where a failure of `judge` is the run's


@pytest.fixture
def olga() -> Person:
    return make_person("operator", username="olga")


@pytest.fixture
def client(olga: Person) -> Client:
    client = Client()
    client.force_login(olga)
    return client


def review(status: str = "running", **fields: Any) -> Run:
    return make_run(make_flow(document=DOCUMENT), status=status, **fields)


def failed() -> Run:
    run = review("failed", error=json.dumps({"step": "judge", "class": "rate_limit", "message": "429"}))
    make_attempt(run, "split", kind="set", output={"a": 1})
    make_attempt(run, "rate", kind="map", output=[])
    make_attempt(run, "judge", status="failed", error={"class": "rate_limit", "message": "429"})
    make_call(run, "judge", cost="0.0123", status="failed_final")
    return run


def shown(client: Client, run: Run, rest: str = "", status: int = 200) -> str:
    answer = client.get(f"/runs/{run.public_id}{rest}")
    assert answer.status_code == status, answer.content.decode()[:2000]
    return html.unescape(answer.content.decode())


def sent(client: Client, run: Run, rest: str, **values: Any) -> Any:
    return client.post(f"/runs/{run.public_id}{rest}", values, follow=True)


def text_of(answer: Any) -> str:
    return html.unescape(answer.content.decode())


def offered(page: str) -> set[str]:
    names = ("pause", "resume", "cancel", "retry", "retry-from", "rerun", "retry-from-here", "skip", "edit-input")
    return {name for name in names if f'data-testid="{name}"' in page}


def hidden(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found is not None, name
    return found[1]


@pytest.mark.parametrize(
    ("make", "acts"),
    [
        (lambda: review("running"), {"pause", "cancel", "rerun", "edit-input"}),
        (lambda: review("waiting", paused=True, reason="paused"), {"resume", "cancel", "rerun", "skip", "edit-input"}),
        (lambda: review("running", cancel_requested=True), {"rerun"}),
        (failed, {"retry", "retry-from", "rerun", "retry-from-here", "skip"}),
        (lambda: review("succeeded"), {"retry-from", "rerun"}),
    ],
)
def test_what_is_offered_is_what_the_state_allows(client: Client, make: Any, acts: set[str]) -> None:
    assert offered(shown(client, make())) == acts


def test_who_may_not_control_runs_is_offered_nothing_and_told_why() -> None:
    viewer, run = Client(), failed()
    viewer.force_login(make_person("viewer"))

    assert offered(shown(viewer, run)) == set()
    for rest in ("/pause", "/resumption", "/retry", "/skip?step=judge", "/input?step=judge"):
        assert "runs.control" in shown(viewer, run, rest, 403)


def test_an_earlier_pass_offers_no_act_on_its_steps(client: Client) -> None:
    run = review("failed", pass_number=2)
    make_attempt(run, "split", pass_number=1, status="failed", kind="set")
    make_attempt(run, "split", pass_number=2, status="failed", kind="set")

    assert "retry-from-here" in offered(shown(client, run, "?step=split"))
    assert "retry-from-here" not in offered(shown(client, run, "?step=split&pass=1"))


def test_pausing_and_resuming_work_without_script(client: Client) -> None:
    run = review("waiting", reason="wait")

    asked = shown(client, run, "/pause")
    assert Run.objects.get(id=run.id).paused is False  # looking never acts
    paused = text_of(sent(client, run, "/pause"))
    again = sent(client, run, "/pause")
    resumed = text_of(sent(client, run, "/resumption"))
    late = sent(client, run, "/resumption")

    assert "Nothing new begins until somebody resumes it." in asked
    assert f"Run #{run.number} is paused." in paused
    assert again.status_code == 200
    assert f"Run #{run.number} goes on." in resumed
    assert late.status_code == 409
    assert "The run is not paused, so there is nothing to resume." in text_of(late)
    assert AuditRow.objects.filter(action="run.pause").count() == 1


def test_a_driven_run_is_being_paused(client: Client) -> None:
    run = review("running", open_calls=1)

    assert "is being paused; what is in progress still finishes." in text_of(sent(client, run, "/pause"))


def test_RD_4_a_retry_says_what_is_reused_what_runs_again_and_what_it_would_repeat(client: Client) -> None:
    ToolEntry.objects.create(slug="pay", effect="write", repeat="keyed")
    run = failed()
    make_call(run, "rate[0].assess", kind="tool", target="pay", cost=None)

    plain = shown(client, run, "/retry")
    chosen = shown(client, run, "/retry?from=rate")

    def paths(page: str, what: str) -> list[str]:
        return re.findall(rf'data-testid="{what}" data-path="([^"]+)"', page)

    assert (paths(plain, "again"), paths(plain, "reused")) == (["judge"], ["split", "rate"])
    assert "This run begins pass 2" in plain
    assert 'data-money="0.012300000000"' in plain
    assert 'data-testid="wrote"' not in plain
    assert (paths(chosen, "again"), paths(chosen, "reused")) == (["rate", "judge"], ["split"])
    assert "1 step changed the world and would do so again: <b>rate</b>" in chosen


def test_RD_4_the_new_pass_is_selectable_and_the_old_one_is_as_it_was(client: Client) -> None:
    run = failed()
    form = shown(client, run, "/retry")

    answer = sent(client, run, "/retry", **{"from": "", "pass": hidden(form, "pass"), "key": hidden(form, "key")})

    assert answer.redirect_chain == [(f"/runs/{run.public_id}", 302)]
    assert f"Pass 2 of run #{run.number} has begun." in text_of(answer)
    assert RunPass.objects.get(run=run).number == 2
    old = shown(client, run, "?pass=1&step=judge")
    assert 'data-testid="step-row" data-path="judge" data-state="failed"' in old


def test_a_retry_that_comes_too_late_says_what_happened(client: Client) -> None:
    run = failed()
    form = {"from": "", "pass": "1", "key": "abc"}
    sent(client, run, "/retry", **form)

    again = sent(client, run, "/retry", **form)

    assert again.status_code == 409
    assert "The run is in pass 2 by now" in text_of(again)
    assert RunPass.objects.filter(run=run).count() == 1


def test_another_version_makes_one_new_run_however_often_the_form_is_sent(client: Client) -> None:
    run = failed()
    live = FlowVersion.objects.create(flow=run.flow, number=2, document=DOCUMENT, hash="1" * 64)
    run.flow.published = live
    run.flow.save()
    page = shown(client, run, "/retry?version=live&from=judge")
    form = {"from": "judge", "version": "live", "pass": "1", "key": hidden(page, "key")}

    first, second = sent(client, run, "/retry", **form), sent(client, run, "/retry", **form)

    fork = Run.objects.get(origin=run)
    assert "A new run of v2 begins" in page
    assert first.redirect_chain == second.redirect_chain == [(f"/runs/{fork.public_id}", 302)]
    assert (fork.version_id, fork.origin_path) == (live.id, "judge")


def test_a_run_that_succeeded_is_run_again_from_a_chosen_step(client: Client) -> None:
    run = review("succeeded")
    make_attempt(run, "split", kind="set")

    page = shown(client, run, "/retry")
    assert "Choose the step from which it is to run again." in page
    assert 'data-testid="retry-confirm"' not in page
    assert 'data-testid="retry-confirm"' in shown(client, run, "/retry?from=split")
    assert "has not run in this pass" in shown(client, run, "/retry?from=tell", 409)


def test_a_run_that_goes_on_is_not_retried(client: Client) -> None:
    page = shown(client, review("running"), "/retry", 409)

    assert "The run goes on: it is running." in page
    assert 'data-testid="retry-confirm"' not in page


def test_a_step_is_skipped_with_an_output_a_port_and_a_reason(client: Client) -> None:
    run = failed()
    form = shown(client, run, "/skip?step=judge")

    wrong = sent(client, run, "/skip?step=judge", seen=hidden(form, "seen"), port="done", output="{oops", comment="it is down")
    right = sent(client, run, "/skip?step=judge", seen=hidden(form, "seen"), port="done", output='"fine"', comment="it is down")

    assert wrong.status_code == 422
    assert "This is no JSON: look at line 1, column 2." in text_of(wrong)
    assert "it is down" in text_of(wrong)  # nothing that was typed is lost
    assert "Judge is skipped." in text_of(right)
    row = Intervention.objects.get(run=run, kind="skip")
    assert json.loads(row.after) == {"output": "fine", "port": "done"}
    assert (row.pass_number, row.comment) == (2, "it is down")


def test_a_skip_that_is_sent_twice_is_done_once(client: Client) -> None:
    run = review("waiting", reason="retrying")
    make_attempt(run, "judge", status="failed", next_at=timezone.now())
    form = shown(client, run, "/skip?step=judge")
    values = {"seen": hidden(form, "seen"), "port": "done", "output": '"fine"'}

    sent(client, run, "/skip?step=judge", **values)
    again = sent(client, run, "/skip?step=judge", **values)

    assert again.status_code == 409
    assert "Somebody has decided something else about this step meanwhile" in text_of(again)
    assert Intervention.objects.filter(run=run).count() == 1


def test_an_input_is_edited_field_by_field_with_what_is_wrong_beside_it(client: Client) -> None:
    run = review("running")
    form = shown(client, run, "/input?step=judge")
    seen = hidden(form, "seen")

    wrong = sent(client, run, "/input?step=judge", seen=seen, route="nowhere", prompt="Judge it kindly")
    right = sent(client, run, "/input?step=judge", seen=seen, prompt="Judge it kindly")
    looked_again = shown(client, run, "/input?step=judge")

    assert "The flow says: x" in form
    assert wrong.status_code == 422
    assert "'nowhere' is not in the catalogue. Name a route or a model." in text_of(wrong)
    assert "Judge it kindly" in text_of(wrong)
    assert "Judge begins with the input that you set." in text_of(right)
    assert json.loads(Intervention.objects.get(run=run).after) == {"prompt": "Judge it kindly"}
    assert "Set already by olga" in looked_again


def test_a_field_that_takes_json_says_where_it_is_none(client: Client) -> None:
    run = review("running")

    page = text_of(sent(client, run, "/input?step=split", seen="1.0", values="{"))

    assert "This is no JSON: look at line 1, column 2." in page


def test_steps_that_there_are_not_are_not_found(client: Client) -> None:
    run = review("running")

    shown(client, run, "/skip?step=nothing", 404)
    shown(client, run, "/input", 404)
