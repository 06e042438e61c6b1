"""Many runs at once: the bar of the list, what it asks before it acts, and the list as a file."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from typing import Any

import pytest
from django.test import Client

from flows.models import AuditRow, Person, Run
from tests.makers import make_flow, make_person, make_run, make_team
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


def failed(flow: Any = None, message: str = "429", step: str = "judge") -> Run:
    error = json.dumps({"step": step, "class": "rate_limit", "message": message})
    run = make_run(flow or make_flow(document=DOCUMENT), status="failed", error=error, spent="0.10")
    make_attempt(run, "judge", status="failed", error={"class": "rate_limit", "message": message})
    make_call(run, "judge", cost="0.01", status="failed_final")
    return run


def sent(client: Client, act: str, *runs: Run, **more: Any) -> Any:
    return client.post("/runs/bulk", {"act": act, "run": [run.public_id for run in runs], "back": "state=failed", **more})


def text_of(answer: Any) -> str:
    return html.unescape(answer.content.decode())


def lines(page: str) -> dict[str, str]:
    return dict(re.findall(r'data-testid="bulk-line" data-id="(\w+)" data-eligible="(\w+)"', page))


def rows_of(answer: Any) -> list[dict[str, str]]:
    async def whole() -> bytes:
        return b"".join([each async for each in answer])

    from asgiref.sync import async_to_sync

    return list(csv.DictReader(io.StringIO(async_to_sync(whole)().decode())))


def test_RUN_3_a_bulk_retry_of_three_where_one_is_not_eligible_says_so_and_starts_two(client: Client) -> None:
    one, two, done = failed(), failed(), make_run(status="succeeded")

    asked = text_of(sent(client, "retry", one, two, done))
    untouched = Run.objects.filter(pass_number=2).count()
    answer = sent(client, "retry", one, two, confirmed="1")

    assert lines(asked) == {one.public_id: "yes", two.public_id: "yes", done.public_id: "no"}
    assert "<b>2 of 3</b> can be" in asked
    assert "The run succeeded: no step of it failed." in asked
    assert 'data-money="0.020000000000"' in asked  # what the steps that run again cost before
    assert re.findall(r'name="run" value="(\w+)"', asked) == [one.public_id, two.public_id]
    assert untouched == 0  # looking never acts
    assert answer["Location"] == "/runs?state=failed"
    assert set(Run.objects.filter(pass_number=2)) == {one, two}
    assert AuditRow.objects.filter(action="run.retry").count() == 2


def test_what_moved_on_meanwhile_is_told_line_by_line(client: Client) -> None:
    one, two = failed(), failed()
    Run.objects.filter(id=two.id).update(status="running", ended_at=None)

    answer = sent(client, "retry", one, two, confirmed="1")

    assert answer.status_code == 409
    assert "1 run retried." in text_of(answer)
    assert lines(text_of(answer)) == {one.public_id: "yes", two.public_id: "no"}


def test_running_again_makes_one_new_run_each_however_often_it_is_sent(client: Client) -> None:
    flow = make_flow()
    runs = [make_run(flow, status="succeeded", input='{"name": "Ann"}', spent="0.25") for _ in range(2)]
    asked = text_of(sent(client, "repeat", *runs))
    key = re.search(r'name="key" value="(\w+)"', asked)
    assert key is not None

    for _ in range(2):
        sent(client, "repeat", *runs, confirmed="1", key=key[1])

    assert 'data-money="0.500000000000"' in asked
    assert set(Run.objects.filter(origin__isnull=False).values_list("origin_id", flat=True)) == {run.id for run in runs}
    assert Run.objects.filter(origin__isnull=False).count() == 2


def test_cancelling_many_takes_their_number(client: Client) -> None:
    runs = [make_run(status="waiting") for _ in range(2)]

    without = sent(client, "cancel", *runs, confirmed="1")
    meanwhile = Run.objects.filter(status="cancelled").count()
    sent(client, "cancel", *runs, confirmed="1", count="2")

    assert without.status_code == 422
    assert "Type 2 to go on" in text_of(without)
    assert meanwhile == 0
    assert Run.objects.filter(status="cancelled").count() == 2


def test_a_tag_is_added_to_each_with_a_row_in_the_audit_log(client: Client) -> None:
    one, two = make_run(tags=["eu"]), make_run(tags=["ops"])

    sent(client, "tag", one, two, tag=" ops ")

    assert [run.tags for run in Run.objects.order_by("id")] == [["eu", "ops"], ["ops"]]
    assert AuditRow.objects.filter(action="run.tag").count() == 1  # the other one bore it already


def test_a_tag_that_cannot_be_kept_is_refused(client: Client) -> None:
    run = make_run()

    sent(client, "tag", run, tag="x" * 61)

    assert Run.objects.get(id=run.id).tags == []


def test_nothing_chosen_changes_nothing(client: Client) -> None:
    assert sent(client, "retry")["Location"] == "/runs?state=failed"
    assert sent(client, "nonsense", failed())["Location"] == "/runs?state=failed"


def test_runs_of_others_are_not_found_and_viewers_have_no_bar() -> None:
    hidden = failed(make_flow(team=make_team("theirs"), document=DOCUMENT))
    outsider, viewer = Client(), Client()
    outsider.force_login(make_person("operator", team=make_team("ours")))
    viewer.force_login(make_person("viewer"))

    assert sent(outsider, "retry", hidden).status_code == 404
    assert sent(viewer, "retry", hidden).status_code == 403
    page = text_of(viewer.get("/runs"))
    assert 'data-testid="bulk"' not in page
    assert "data-select" not in page


def test_RUN_7_the_file_has_the_filtered_set_with_exact_costs_and_machine_state_names(client: Client) -> None:
    flow = make_flow("refunds")
    stopped = make_run(flow, status="budget_stopped", spent="0.123456789012", tags=["=1+1"], reason="cost")
    make_run(flow, status="succeeded")

    found = rows_of(client.get("/runs/export.csv?state=budget_stopped"))

    assert [(row["run"], row["state"], row["cost"], row["flow"]) for row in found] == [
        (stopped.public_id, "budget_stopped", "0.123456789012", "refunds")
    ]
    assert found[0]["tags"] == "'=1+1"  # no spreadsheet takes it for a formula


def test_the_chosen_runs_as_a_file(client: Client) -> None:
    one, _ = make_run(), make_run()

    answer = sent(client, "csv", one)

    assert answer["Location"] == f"/runs/export.csv?rows={one.id.hex}"
    assert [row["run"] for row in rows_of(client.get(answer["Location"]))] == [one.public_id]


def test_who_may_not_see_costs_gets_a_file_without() -> None:
    viewer = Client()
    viewer.force_login(make_person("viewer"))
    make_run(spent="0.5")

    assert rows_of(viewer.get("/runs/export.csv"))[0]["cost"] == ""


def test_errors_are_searched_and_grouped_by_class_and_step(client: Client) -> None:
    one, two = failed(message="429 from acme"), failed(message="other")
    elsewhere = failed(message="429 from acme", step="tell")

    def found(query: str) -> set[str]:
        return set(re.findall(r'data-testid="run-row" data-id="(\w+)"', text_of(client.get(f"/runs?{query}"))))

    assert found("error=from+ACME") == {one.public_id, elsewhere.public_id}
    assert found("fingerprint=rate_limit@judge") == {one.public_id, two.public_id}
    page = text_of(client.get(f"/runs/{one.public_id}"))
    link = re.search(r'href="([^"]+)" data-testid="same-error">([^<]+)<', page)
    assert link is not None
    assert link[2] == "Same error in 1 run"  # as many as the list has
    assert found(link[1].partition("?")[2]) == {one.public_id}  # those of this flow
    assert "429 from acme" in text_of(client.get("/runs"))
