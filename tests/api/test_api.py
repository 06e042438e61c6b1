"""The REST API: what it promises to programs."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from flows.models import Attempt, Call, Event, Flow, Person, Run
from flows.models.identifiers import new_id
from tests.makers import DOCUMENT, make_flow, make_key, make_person, make_request, make_run, make_team

pytestmark = pytest.mark.django_db


class Api:
    """A client with one key."""

    def __init__(self, person: Person, *scopes: str) -> None:
        self.person = person
        self.headers = {"Authorization": f"Bearer {make_key(person, *(scopes or ('admin',)))[1]}"}
        self.client = Client()

    def __call__(self, method: str, path: str, body: Any = None, *, text: str | None = None, **headers: str) -> Any:
        content = text if text is not None else ("" if body is None else json.dumps(body))
        kind = "application/yaml" if text is not None else "application/json"
        return self.client.generic(
            method,
            f"/api/v1{path}",
            content,
            content_type=kind,
            headers=self.headers | {k.replace("_", "-"): v for k, v in headers.items()},
        )


@pytest.fixture
def builder() -> Api:
    return Api(make_person("builder", username="builder"))


def assert_problem(response: Any, status: int, slug: str) -> dict[str, Any]:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["type"] == f"/problems/{slug}"
    assert body["title"]
    assert body["detail"]
    return body


def test_a_flow_goes_from_draft_to_run(builder: Api) -> None:
    created = builder("PUT", "/flows/greet", text=DOCUMENT)
    assert created.status_code == 201
    assert created["ETag"] == '"1"'
    assert created.json()["version"] is None
    published = builder("POST", "/flows/greet/publication")
    assert published.status_code == 200
    assert published.json()["version"] == 1
    started = builder("POST", "/flows/greet/runs", {"input": {"name": "Ann"}, "key": "k-1", "tags": ["ops"]})
    again = builder("POST", "/flows/greet/runs", {"input": {"name": "Ann"}, "key": "k-1"})

    assert started.status_code == 202
    assert started["Location"] == started.json()["url"]
    assert started.json() == again.json()
    assert started.json()["id"].startswith("run_")
    assert started.json()["state"] == "queued"
    run = builder.client.get(started.json()["url"], headers=builder.headers).json()
    assert (run["state"], run["cost"], run["tokens"], run["steps"], run["input"]) == ("queued", "0", 0, [], {"name": "Ann"})
    assert run["limits"]["cost"] == "1"
    assert run["pass"] == 1
    assert run["created_at"].endswith("Z")
    events = builder("GET", f"/runs/{run['id']}/events").json()
    assert [event["type"] for event in events["items"]] == ["run.created"]
    assert events["next"] is None
    assert builder("GET", "/flows/greet?version=1").json()["hash"] == published.json()["hash"]


def test_a_stale_draft_is_refused_and_the_newer_one_kept(builder: Api) -> None:
    builder("PUT", "/flows/greet", text=DOCUMENT)
    newer = DOCUMENT.replace("Hello", "Hi")
    assert builder("PUT", "/flows/greet", text=newer, If_Match='"1"').status_code == 200

    for headers in ({}, {"If_Match": '"1"'}, {"If_Match": "7"}):
        body = assert_problem(builder("PUT", "/flows/greet", text=DOCUMENT, **headers), 409, "stale-revision")
        assert body["revision"] == 2
    assert "Hi" in Flow.objects.get(slug="greet").draft
    assert builder("PUT", "/flows/greet", text=newer).status_code == 200


def test_a_bad_document_names_each_place_and_mend(builder: Api) -> None:
    response = builder("PUT", "/flows/greet", text=DOCUMENT.replace("kind: set", "kind: sett"))

    body = assert_problem(response, 422, "document-refused")
    assert "steps.greet.kind" in body["problems"][0]["place"]
    assert "set" in body["problems"][0]["mend"]
    assert not Flow.objects.exists()


def test_bad_input_and_bad_bodies_are_named(builder: Api) -> None:
    make_flow("greet")

    body = assert_problem(builder("POST", "/flows/greet/runs", {"input": {"name": 1}}), 422, "input-refused")
    assert body["problems"][0]["place"] == "input.name"
    body = assert_problem(builder("POST", "/flows/greet/runs", {"inptu": {}}), 422, "invalid")
    assert body["problems"] == [{"place": "inptu", "message": "is unknown", "mend": "Remove it."}]
    assert_problem(builder("POST", "/flows/greet/runs", text="{not json"), 400, "unreadable")
    assert_problem(builder("GET", "/runs?state=flying"), 422, "invalid")
    assert_problem(builder("GET", "/runs?limit=100000"), 422, "invalid")
    assert_problem(builder("GET", "/runs?after=nonsense"), 422, "invalid")
    assert_problem(builder("GET", "/runs/run_nonsense"), 404, "not-found")
    assert_problem(builder("GET", "/nowhere"), 404, "not-found")
    refused = builder("DELETE", "/runs")
    assert_problem(refused, 405, "method-not-allowed")
    assert refused["Allow"] == "GET"
    assert not Run.objects.exists()


def test_a_body_that_is_too_large_is_refused(builder: Api, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000

    assert_problem(builder("PUT", "/flows/greet", text="#" * 2000), 413, "too-large")
    assert_problem(builder("POST", "/flows/greet/runs", {"input": "x" * 2000}), 413, "too-large")


def ledger(run: Run) -> None:
    """A step that failed once and then succeeded, with a call whose cost is not known, and one that is skipped."""
    now = timezone.now()
    common = {"run": run, "pass_number": 1, "path": "draft", "kind": "model", "target": "small-1", "epoch": 1, "repeat": "freely"}
    for n, (status, settled) in enumerate([("failed_retryable", None), ("succeeded", Decimal("0.0421"))], start=1):
        Attempt.objects.create(
            run=run,
            pass_number=1,
            path="draft",
            n=n,
            kind="model",
            status="failed" if n == 1 else "succeeded",
            seq=n * 2,
            error=json.dumps({"class": "rate_limit", "message": "slow"}) if n == 1 else None,
            output='{"text":"hi"}' if n == 2 else None,
            ended_at=now,
        )
        Call.objects.create(
            **common,
            attempt=n,
            n=1,
            seq=n,
            status=status,
            settled=settled,
            idempotency_key=new_id(),
            input_tokens=10,
            output_tokens=5,
        )
    Call.objects.create(**common | {"path": "more"}, attempt=1, n=1, seq=5, status="succeeded", idempotency_key=new_id())
    Attempt.objects.create(run=run, pass_number=1, path="other", n=1, kind="set", status="skipped", seq=6)


def test_a_run_shows_its_steps_with_attempts_calls_and_costs(builder: Api) -> None:
    run = make_run(status="running", output=None)
    ledger(run)

    steps = {step["path"]: step for step in builder("GET", f"/runs/{run.public_id}").json()["steps"]}

    draft = steps["draft"]
    assert (draft["state"], draft["cost"], draft["tokens"], draft["output"]) == ("succeeded", "0.0421", 30, {"text": "hi"})
    assert [(each["n"], each["status"], len(each["calls"])) for each in draft["attempts"]] == [
        (1, "failed", 1),
        (2, "succeeded", 1),
    ]
    assert draft["attempts"][0]["error"]["class"] == "rate_limit"
    assert draft["unpriced"] == 0
    assert (steps["more"]["unpriced"], steps["more"]["cost"]) == (1, "0")
    assert steps["other"]["state"] == "skipped"
    calls = builder("GET", f"/runs/{run.public_id}/calls?limit=2").json()
    assert len(calls["items"]) == 2
    assert calls["items"][0]["id"].startswith("call_")
    rest = builder("GET", f"/runs/{run.public_id}/calls?after={calls['next']}").json()
    assert len(rest["items"]) == 1
    assert rest["next"] is None
    assert rest["items"][0]["cost"] is None
    assert rest["items"][0]["unpriced"]


def test_costs_are_summed_from_the_ledger_and_unknown_ones_counted_apart(builder: Api) -> None:
    flow = make_flow("greet")
    run = make_run(flow, status="running")
    ledger(run)
    Call.objects.create(
        run=run, pass_number=1, path="sim", kind="model", target="sim-small", epoch=1, repeat="freely", attempt=1, n=1, seq=9,
        status="succeeded", settled=Decimal(9), simulated=True, idempotency_key=new_id(),
    )  # fmt: skip

    report = builder("GET", "/costs?by=model").json()

    assert (report["total"]["cost"], report["total"]["simulated"], report["total"]["unpriced"]) == ("0.0421", "9", 1)
    assert [(row["name"], row["cost"]) for row in report["items"]] == [("small-1", "0.0421"), ("sim-small", "0")]
    for by in ("flow", "day", "person", "run", "source", "tool"):
        assert builder("GET", f"/costs?by={by}&from=2020-01-01T00:00:00Z").status_code == 200
    assert builder("GET", "/costs?by=day&to=2020-01-01T00:00:00Z").json()["items"] == []
    assert_problem(builder("GET", "/costs?by=moon"), 422, "invalid")
    assert_problem(Api(make_person("viewer"))("GET", "/costs"), 403, "forbidden")


@pytest.mark.parametrize(
    ("moment", "status"), [("2020-01-01T00:00:00-23:59", 200), ("2020-01-01", 200), ("0001-01-01T00:00:00+01:00", 422)]
)
@pytest.mark.parametrize("path", ["/costs?from=", "/costs/per-run?to=", "/runs?since=", "/prices?at="])
def test_a_time_is_taken_at_any_offset_and_within_reason(path: str, moment: str, status: int, builder: Api) -> None:
    assert builder("GET", path + moment.replace("+", "%2B")).status_code == status


def test_lists_are_paged_by_key_and_filtered(builder: Api) -> None:
    flow, other = make_flow("greet"), make_flow("other")
    runs = [make_run(flow, status="failed" if n % 2 else "queued", tags=["odd"] if n % 2 else []) for n in range(5)]
    make_run(other)

    first = builder("GET", "/runs?flow=greet&limit=2").json()
    make_run(flow)
    second = builder("GET", f"/runs?flow=greet&limit=2&after={first['next']}").json()
    third = builder("GET", f"/runs?flow=greet&limit=2&after={second['next']}").json()

    shown = [item["id"] for page in (first, second, third) for item in page["items"]]
    assert shown == [run.public_id for run in reversed(runs)]
    assert third["next"] is None
    assert len(builder("GET", "/runs?state=failed,cancelled").json()["items"]) == 2
    assert len(builder("GET", "/runs?state=!failed").json()["items"]) == 5
    assert len(builder("GET", "/runs?tag=odd").json()["items"]) == 2
    assert builder("GET", "/runs?since=2100-01-01T00:00:00Z").json()["items"] == []
    assert [item["slug"] for item in builder("GET", "/flows?limit=1").json()["items"]] == ["greet"]
    assert [item["slug"] for item in builder("GET", "/flows?after=greet").json()["items"]] == ["other"]


@pytest.mark.parametrize("path", ["/runs", "/flows", "/approvals?box=all"])
def test_a_list_takes_the_same_queries_however_long_it_is(builder: Api, path: str, django_assert_max_num_queries: Any) -> None:
    def queries() -> int:
        with django_assert_max_num_queries(20) as taken:
            assert builder("GET", path).status_code == 200
        return len(taken)

    make_request()
    builder("GET", path)
    few = queries()
    for _ in range(5):
        make_request()
    builder("GET", path)  # documents of published versions are read once in a process
    assert queries() == few


def test_a_request_is_decided_once(builder: Api) -> None:
    approver = Api(make_person("approver", username="ann", team=make_team("finance")))
    request = make_request()
    listed = approver("GET", "/approvals").json()["items"]
    assert [item["id"] for item in listed] == [request.public_id]
    assert listed[0]["payload"]["amount"] == 420
    path = f"/approvals/{request.public_id}"

    assert approver("GET", path).json()["state"] == "pending"
    body = assert_problem(approver("POST", f"{path}/decisions", {"outcome": "approve", "revision": 9}), 409, "stale-revision")
    assert body["revision"] == 1
    bad = {"outcome": "approve", "revision": 1, "payload": {"amount": 1, "reason": "x"}}
    assert assert_problem(approver("POST", f"{path}/decisions", bad), 422, "invalid")["problems"][0]["place"] == "payload.reason"
    decided = approver(
        "POST", f"{path}/decisions", {"outcome": "approve", "revision": 1, "payload": {"amount": 1, "reason": "double"}}
    )
    assert decided.status_code == 200
    assert decided.json()["closed"]
    assert decided.json()["request"]["answer"]["amount"] == 1
    body = assert_problem(approver("POST", f"{path}/decisions", {"outcome": "reject", "revision": 1}), 409, "already-decided")
    assert (body["by"], body["outcome"]) == ("ann", "approve")
    assert_problem(builder("POST", f"{path}/decisions", {"outcome": "reject", "revision": 1}), 403, "forbidden")


def test_starters_cannot_decide(builder: Api) -> None:
    person = make_person("owner")
    request = make_request(make_run(status="waiting_approval", started_by=person))

    body = assert_problem(
        Api(person)("POST", f"/approvals/{request.public_id}/decisions", {"outcome": "approve", "revision": 1}),
        403,
        "self-approval",
    )
    assert body["right"] == "requests.decide"


def test_runs_are_cancelled_and_get_events(builder: Api) -> None:
    run = make_run(status="waiting")

    sent = builder("POST", f"/runs/{run.public_id}/deliveries", {"event": "order.paid", "payload": {"n": 1}, "key": "d-1"})
    assert sent.status_code == 202
    assert sent.json()["taken_by"] == ""
    assert builder("POST", f"/runs/{run.public_id}/cancellation").json()["state"] == "cancelled"
    assert_problem(builder("POST", f"/runs/{run.public_id}/deliveries", {"event": "order.paid"}), 409, "run-ended")
    assert [event.type for event in Event.objects.filter(run=run).order_by("seq")] == [
        "run.created",
        "event.delivered",
        "run.ended",
    ]


def test_a_session_acts_only_with_its_csrf_token() -> None:
    make_flow("greet")
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_person("operator"))

    assert client.get("/api/v1/runs").status_code == 200
    refused = client.post("/api/v1/flows/greet/runs", '{"input": {"name": "Ann"}}', content_type="application/json")
    assert_problem(refused, 403, "forbidden")
    client.cookies["csrftoken"] = "a" * 32
    passed = client.post(
        "/api/v1/flows/greet/runs",
        '{"input": {"name": "Ann"}}',
        content_type="application/json",
        headers={"X-CSRFToken": "a" * 32},
    )
    assert passed.status_code == 202


def test_who_goes_first_is_set_and_shown_by_the_api(client: Client) -> None:
    flow = make_flow("greeting")
    _, secret = make_key(make_person("owner"), "flows:write", "runs:write")
    headers = {"Authorization": f"Bearer {secret}"}

    answer = client.patch(
        "/api/v1/flows/greeting/settings", {"max_running": 1, "priority": 2}, content_type="application/json", headers=headers
    )
    assert answer.status_code == 200, answer.content
    assert answer.json()["max_running"] == 1
    make_run(flow, status="running", started_at=timezone.now())
    started = client.post(
        "/api/v1/flows/greeting/runs", {"input": {"name": "Ann"}, "priority": 5}, content_type="application/json", headers=headers
    ).json()
    run = client.get(f"/api/v1/runs/{started['id']}", headers=headers).json()

    assert (run["priority"], run["waits_for"], run["ahead"]) == (5, "1 of 1 runs of this flow are running", 0)
    refused = client.patch("/api/v1/flows/greeting/settings", {"priority": 11}, content_type="application/json", headers=headers)
    assert refused.status_code == 422
