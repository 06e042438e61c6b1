"""What the pages that belong to no room answer."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

from flows.access import signin
from flows.access.refusals import Conflict, Forbidden
from flows.models import Flow, Membership, Person
from orchestrator import urls, welcome
from orchestrator.pages.middleware import zone_of
from tests.makers import make_person, make_run

PASSWORD = "correct horse battery"
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def uncounted(monkeypatch: pytest.MonkeyPatch) -> None:
    signin.client().flushdb()


@pytest.fixture
def door(client: Client) -> Client:
    """A client before whom the door stands; there is somebody, or it would lead to the welcome."""
    make_person("owner", username="owner")
    return client


def signed_in(client: Client, *roles: str) -> Client:
    client.force_login(make_person(*roles))
    return client


def test_every_page_carries_the_policy_and_its_number(door: Client) -> None:
    answer = door.get("/login")

    policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Request-ID"]


def test_no_template_holds_script_or_style() -> None:
    root = Path(urls.__file__).parents[1] / "templates"
    for file in root.rglob("*.html"):
        text = file.read_text(encoding="utf-8")
        for word in ("<style", " style=", "onclick=", "hx-on", "|safe", "javascript:"):
            assert word not in text, f"{file.name} has {word}"


def test_a_page_asks_for_a_sign_in_and_remembers_itself(door: Client) -> None:
    assert door.get("/go/run_0").headers["Location"] == "/login?next=/go/run_0"


def test_it_goes_on_only_to_pages_of_this_site(door: Client) -> None:
    for onward in ("https://example.com/", "//example.com", "/login?next=/login", "javascript:alert(1)"):
        answer = door.post("/login", {"username": "owner", "password": PASSWORD, "next": onward})
        assert answer.headers["Location"] == "/", onward


def test_the_ninth_attempt_is_refused(door: Client) -> None:
    for _ in range(signin.PER_PERSON_AND_ADDRESS):
        assert door.post("/login", {"username": "owner", "password": "wrong"}).status_code == 422

    answer = door.post("/login", {"username": "owner", "password": PASSWORD})

    assert answer.status_code == 429
    assert "Too many attempts" in answer.content.decode()


def test_signing_out_needs_a_post(door: Client) -> None:
    assert door.get("/logout").status_code == 405
    assert door.post("/logout").headers["Location"] == "/login"


def test_a_change_that_another_site_asks_for_is_refused(door: Client) -> None:
    assert door.post("/look", {"theme": "dark"}, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    kept = door.post("/look", {"theme": "dark", "density": "huge"}, headers={"Sec-Fetch-Site": "same-origin"}).cookies
    assert kept["theme"].value == "dark"
    assert "density" not in kept


def test_S23_a_zone_of_ones_own_and_a_first_page_are_kept_by_the_browser(door: Client) -> None:
    door.cookies["tz"] = "Asia/Tokyo"
    door.post("/look", {"zone": "Europe/Madrid", "start": "runs", "motion": "reduced"})

    entered = door.post("/login", {"username": "owner", "password": PASSWORD})

    assert entered.headers["Location"] == "/runs"
    shown = door.get("/me").content.decode()
    assert 'data-motion="reduced"' in shown
    assert 'value="Europe/Madrid"' in shown
    assert zone_of(shown_request(door)) == ZoneInfo("Europe/Madrid"), "before what the browser tells"
    door.post("/look", {"zone": "Mars/Base"})
    assert door.cookies["zone"].value == "Europe/Madrid"
    assert "is no time zone" in door.get("/me").content.decode()
    door.post("/look", {"zone": ""})
    assert zone_of(shown_request(door)) == ZoneInfo("Asia/Tokyo")


def shown_request(door: Client) -> HttpRequest:
    request: HttpRequest = door.get("/me").wsgi_request
    return request


@pytest.fixture
def broken_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses whose views refuse or fail."""

    def refuse(request: HttpRequest) -> HttpResponse:
        raise Forbidden("costs.see")

    def conflict(request: HttpRequest) -> HttpResponse:
        raise Conflict("Somebody decided this at 09:14.")

    def fail(request: HttpRequest) -> HttpResponse:
        raise RuntimeError("secret detail")

    def toast(request: Any) -> HttpResponse:
        request.toast("Run #1 cancelled.")
        return HttpResponse()

    from django.urls import clear_url_caches

    views = [path("t/refuse", refuse), path("t/conflict", conflict), path("t/fail", fail), path("t/toast", toast)]
    monkeypatch.setattr(urls, "urlpatterns", urls.urlpatterns + views)
    clear_url_caches()
    yield
    clear_url_caches()


@pytest.mark.usefixtures("broken_pages")
def test_a_missing_right_is_named_with_who_can_grant_it(client: Client) -> None:
    answer = signed_in(client, "viewer").get("/t/refuse")

    text = answer.content.decode()
    assert answer.status_code == 403
    assert "costs.see" in text
    assert "Owner" in text
    assert "Auditor" in text


@pytest.mark.usefixtures("broken_pages")
def test_htmx_gets_a_refusal_as_one_sentence(client: Client) -> None:
    answer = signed_in(client, "viewer").get("/t/conflict", headers={"HX-Request": "true"})

    assert answer.status_code == 409
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.content == b"Somebody decided this at 09:14."


@pytest.mark.usefixtures("broken_pages")
def test_FST_7_a_failure_gives_the_number_that_stands_in_the_log_and_no_detail(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    client.raise_request_exception = False
    with caplog.at_level(logging.ERROR):
        answer = signed_in(client, "viewer").get("/t/fail")

    number = answer.headers["X-Request-ID"]
    assert answer.status_code == 500
    assert number in answer.content.decode()
    assert "secret detail" not in answer.content.decode()
    assert any(number in record.getMessage() for record in caplog.records)


@pytest.mark.usefixtures("broken_pages")
def test_a_toast_comes_at_once_or_with_the_next_page(client: Client) -> None:
    signed_in(client, "owner")
    at_once = client.get("/t/toast", headers={"HX-Request": "true"})
    assert at_once.headers["HX-Trigger"] == '{"toast": {"text": "Run #1 cancelled."}}'

    client.get("/t/toast")
    assert "Run #1 cancelled." in client.get("/internal/components").content.decode()
    assert "Run #1 cancelled.</p><button" not in client.get("/internal/components").content.decode().split('id="toasts"')[1]


def test_any_identifier_leads_to_its_page_if_one_may_see_it(client: Client) -> None:
    run = make_run()
    signed_in(client, "viewer")

    assert client.get(f"/go/{run.public_id}").headers["Location"] == f"/runs/{run.public_id}"
    assert client.get(f"/go/{run.number}").headers["Location"] == f"/runs/{run.public_id}"
    assert client.get("/go/run_00").status_code == 404
    client.force_login(make_person())
    assert client.get(f"/go/{run.public_id}").status_code == 404


@pytest.fixture
def token(settings: Any, tmp_path: Path) -> str:
    settings.DATA_DIR = tmp_path
    return welcome.make_token()


def test_the_first_owner_is_made_once_by_whoever_has_the_token(client: Client, token: str) -> None:
    assert client.get("/login").headers["Location"] == "/welcome"
    assert token in client.get(f"/welcome?token={token}").content.decode()
    fields = {"token": token, "username": "ann", "name": "Ann", "password": PASSWORD}

    assert client.post("/welcome", {**fields, "token": "guess"}).status_code == 422
    assert client.post("/welcome", {**fields, "password": "short"}).status_code == 422
    assert not Person.objects.exists()
    assert client.post("/welcome", fields).headers["Location"] == "/"
    assert client.get("/").status_code == 200, "signed in"

    assert Membership.objects.get(person__username="ann", role="owner").team is None
    assert client.session["_auth_user_id"]
    assert not welcome.token_file().exists()
    assert client.get("/welcome").headers["Location"] == "/login"
    assert client.post("/welcome", {**fields, "username": "eve"}).headers["Location"] == "/login"
    assert Person.objects.count() == 1


def test_a_new_token_voids_the_one_before(token: str) -> None:
    newer = welcome.make_token()

    assert not welcome.is_token(token)
    assert welcome.is_token(newer)
    assert welcome.token_file().stat().st_mode & 0o777 == 0o600
    assert newer not in welcome.token_file().read_text()


def test_the_shell_asks_the_database_little(client: Client, django_assert_max_num_queries: Any) -> None:
    signed_in(client, "operator")
    client.get("/nowhere")
    with django_assert_max_num_queries(3):  # the session; the person with all that the frame asks of them; the badge
        client.get("/nowhere")


def test_FST_6_a_form_sent_after_the_sign_in_expired_comes_back_with_its_text_and_was_not_submitted(client: Client) -> None:
    person = make_person("builder")
    typed = {"name": "A flow with a careful name"}

    sent = client.post("/flows/new", typed)
    assert sent.headers["Location"] == "/login?next=/kept-form"
    entered = client.post("/login", {"username": person.username, "password": "correct horse battery", "next": "/kept-form"})
    assert entered.headers["Location"] == "/kept-form"
    page = client.get("/kept-form").content.decode()

    assert 'action="/flows/new"' in page
    assert ">A flow with a careful name</textarea>" in page
    assert "Nothing was submitted" in page
    assert not Flow.objects.exists()
    client.post("/flows/new", typed)
    assert Flow.objects.get().name == typed["name"]
    assert client.get("/kept-form").headers["Location"] == "/", "it is sent now"
