"""People, keys, preferences and the audit log as people use them. Each check bears its identifier."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from threading import Thread
from typing import Any

from django.db import connection, transaction
from django.utils import timezone
from playwright.sync_api import expect

from approvals.actions.save_channel import add_channel
from approvals.notices.sending import send_due
from flows.access.actions.grant_role import grant_role
from flows.access.actions.revoke_role import revoke_role
from flows.access.actor import Actor, system
from flows.access.sealing import seal_audit
from flows.models import AllowedHost, ApiKey, AuditRow, Person, Request, RetentionRule
from tests.makers import make_flow, make_person, make_request, make_run, make_team
from tests.servers.hook_server import HookServer
from tests.servers.loopback import running

Person_ = Callable[[str], Person]
PASSWORD = "correct horse battery"
CLI = system("test")


def test_an_invitation_leads_in_once(visit: Any, person: Person_) -> None:
    make_team("finance")
    owner, guest = visit(as_=person("owner")), visit()

    owner.go("/settings/people")
    owner.see("invite").click()
    owner.page.get_by_label("Name").fill("Ann")
    owner.page.get_by_label("Role").select_option("approver")
    owner.page.get_by_label("Where").select_option("finance")
    owner.is_accessible()
    owner.see("make-invitation").click()
    link = owner.see("link").locator(".mono").inner_text()
    guest.go(link.removeprefix(owner.site.url))
    guest.is_accessible()
    guest.page.get_by_label("Username").fill("ann")
    guest.page.get_by_label("Password").fill("short")
    guest.page.get_by_role("button", name="Join").click()
    guest.see("form-errors").wait_for()
    guest.page.get_by_label("Password").fill(PASSWORD)
    guest.page.get_by_role("button", name="Join").click()
    guest.see("person").wait_for()

    guest.go(link.removeprefix(owner.site.url))
    assert "It was used" in guest.page.locator("main").inner_text()
    owner.go("/settings/people")
    assert "Approver (finance)" in owner.page.locator('[data-id="ann"]').inner_text()
    assert owner.see("invitation-row").count() == 0
    owner.is_accessible()
    guest.expect_noise("422", "410")
    guest.is_quiet()
    owner.is_quiet()


def test_PPL_1_deactivating_hands_open_requests_over_in_the_same_act(visit: Any, person: Person_) -> None:
    ann, bob = make_person("approver", username="ann"), make_person("approver", username="bob")
    request = make_request(terms={"approvers": {"people": ["ann"]}})
    owner = visit(as_=person("owner"))

    owner.go("/settings/people/ann")
    owner.is_accessible()
    owner.see("deactivate").click()
    expect(owner.see("waiting").locator("li")).to_have_count(1)
    owner.see("confirm-deactivation").click()
    assert "Say who takes over" in owner.see("refused").inner_text()
    owner.page.get_by_label("Who takes over").select_option("bob")
    owner.is_accessible()
    owner.see("confirm-deactivation").click()
    owner.see("deactivated").wait_for()

    assert Request.objects.get(id=request.id).terms["approvers"]["people"] == ["bob"]
    assert not Person.objects.get(id=ann.id).is_active
    theirs = visit(as_=bob)
    theirs.go("/approvals")
    assert theirs.see("approval-row").count() == 1
    owner.expect_noise("409")
    owner.is_quiet()


def test_PPL_2_the_last_owner_cannot_be_removed(visit: Any, person: Person_) -> None:
    owner = visit(as_=person("owner"))

    owner.go("/settings/people/owner")
    owner.see("revoke-role").click()
    assert "last owner" in owner.see("refused").inner_text()
    owner.see("deactivate").click()
    owner.see("confirm-deactivation").click()

    assert "last owner" in owner.see("refused").inner_text()
    assert Person.objects.get(username="owner").is_active


def test_PPL_3_a_key_is_visible_once_and_then_only_by_its_beginning(visit: Any, person: Person_) -> None:
    page = visit(as_=person("operator"))

    page.go("/settings/keys")
    page.page.get_by_label("What it is for").fill("ci")
    page.page.get_by_label("runs:write").check()
    page.see("make-key").click()
    secret = page.see("fresh-key").locator(".mono").inner_text()
    assert secret.startswith("ork_")
    page.is_accessible()
    page.go("/settings/keys")

    assert page.see("fresh-key").count() == 0
    assert secret not in page.page.content()
    assert ApiKey.objects.get().hint in page.see("key-row").inner_text()
    page.see("revoke-key").click()
    expect(page.see("key-row")).to_have_count(0)
    page.is_quiet()


def test_PPL_4_rights_changes_reach_open_pages(visit: Any, person: Person_) -> None:
    viewer = person("viewer")
    run = make_run(make_flow("greet"), status="waiting")
    runs, settings = visit(as_=viewer), visit(as_=viewer)
    runs.go(f"/runs/{run.public_id}")
    settings.go("/me")
    for each in (runs, settings):
        expect(each.see("live")).to_have_attribute("data-status", "live")

    grant_role(CLI, viewer, "auditor")
    expect(settings.page.locator('[data-place="Audit log"]').first).to_be_visible()
    expect(runs.page.locator('[data-place="Audit log"]').first).to_be_visible()
    expect(runs.see("live")).to_have_attribute("data-status", "live")
    revoke_role(CLI, viewer, "auditor")
    revoke_role(CLI, viewer, "viewer")

    expect(runs.see("live")).to_have_text("You no longer have access")
    expect(settings.page.locator('[data-place="Audit log"]')).to_have_count(0)


def test_a_typed_form_outlives_a_change_of_rights(visit: Any, person: Person_) -> None:
    builder = person("builder")
    page = visit(as_=builder)
    page.go("/me")
    expect(page.see("live")).to_have_attribute("data-status", "live")
    page.page.get_by_label("Name").fill("Somebody else")

    grant_role(CLI, builder, "auditor")

    expect(page.see("toast")).to_contain_text("What you may do has changed")
    expect(page.page.get_by_label("Name")).to_have_value("Somebody else")


def test_another_browser_is_signed_out_from_here(visit: Any, person: Person_) -> None:
    make_person("viewer", username="ann")
    here, elsewhere = visit(), visit()
    for each in (here, elsewhere):
        each.sign_in("ann", PASSWORD)
        each.see("person").wait_for()
    here.go("/me")
    assert here.see("sign-ins").locator("li").count() == 2
    here.is_accessible()

    here.see("end-sign-in").click()

    expect(here.see("sign-ins").locator("li")).to_have_count(1)
    elsewhere.go("/runs")
    assert elsewhere.path.startswith("/login")


def test_SET_1_a_theme_applies_at_once_and_is_there_on_the_next_load(visit: Any, person: Person_) -> None:
    page = visit(as_=person("viewer"))
    page.go("/me")
    page.page.evaluate("() => { window.stayed = true }")

    page.see("theme-dark").click()

    expect(page.page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.page.evaluate("() => window.stayed"), "without a load"
    page.go("/runs")
    assert 'data-theme="dark"' in page.page.evaluate("async () => await (await fetch(location.href)).text()"), (
        "the server's own markup"
    )


def test_SET_4_single_keys_are_off_at_once(visit: Any, person: Person_) -> None:
    page = visit(as_=person("viewer"))
    page.go("/me")
    page.see("keys-off").click()
    page.page.locator("h1").click()
    page.page.keyboard.press("?")
    assert not page.see("keys").is_visible()
    page.see("keys-on").click()
    page.page.locator("h1").click()
    page.page.keyboard.press("?")
    expect(page.see("keys")).to_be_visible()


def test_times_are_shown_in_full_for_who_prefers_that(visit: Any, person: Person_) -> None:
    make_run(make_flow("greet"), status="waiting")
    make_person("viewer", username="ann")
    page = visit()
    page.sign_in("ann", PASSWORD)
    page.see("person").wait_for()
    page.go("/me")
    since = page.see("sign-ins").locator("time").first
    assert "now" in since.inner_text()
    page.see("times-absolute").click()
    expect(since).to_have_text(re.compile(r"^\d{1,2} \w{3} \d\d:\d\d$"))


def test_AUD_1_and_6_what_was_done_is_found_with_before_and_after_and_exported_alike(visit: Any, person: Person_) -> None:
    ann = make_person("viewer", username="ann")
    owner = visit(as_=person("owner"))
    owner.go("/settings/people/ann")
    owner.page.get_by_label("Name").fill("Ann Other")
    owner.see("save-person").click()
    owner.page.get_by_label("Role", exact=True).select_option("builder")
    owner.see("grant-role").click()

    owner.go("/audit?object=ann&action=person")
    owner.is_accessible()
    assert owner.see("audit-row").count() == 1
    owner.page.get_by_text("What changed").click()
    shown = owner.see("audit-row").inner_text()
    assert '"before"' in shown
    assert "Ann Other" in shown
    assert "127.0.0.1" in shown
    lines = owner.page.evaluate("async () => await (await fetch('/audit/export.jsonl?object=ann&action=person')).text()")
    exported = [json.loads(line) for line in lines.splitlines()]
    assert [each["action"] for each in exported] == ["person.change"]
    assert exported[0]["request"] in shown
    assert ann.username == "ann"


def test_AUD_2_3_and_4_nothing_edits_refusals_are_there_and_a_tampered_row_is_named(visit: Any, person: Person_) -> None:
    viewer, auditor = visit(as_=person("viewer")), visit(as_=person("auditor"))
    viewer.go("/me")
    token = viewer.page.locator("[name=csrfmiddlewaretoken]").first.input_value()
    status = viewer.page.evaluate(
        """async token => {
            const body = new URLSearchParams({ slug: "x", csrfmiddlewaretoken: token })
            return (await fetch("/settings/teams", { method: "POST", body })).status
        }""",
        token,
    )
    assert status == 403
    seal_audit()
    auditor.go("/audit?action=refusal")
    assert auditor.see("audit-row").count() == 1
    assert "people.manage" in auditor.see("audit-row").text_content()
    forms = auditor.page.locator("main form[method=post]").evaluate_all("forms => forms.map(each => each.getAttribute('action'))")
    assert forms == ["/audit/verification?action=refusal", "/audit/views"], "one verifies, one keeps the filters"
    row = AuditRow.objects.get(action="refusal")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE flows_auditrow SET actor_name = 'nobody' WHERE id = %s", [row.id])

    auditor.see("verify").click()

    assert f"row {row.id} was altered" in auditor.see("chain").inner_text()


def test_AUD_5_an_auditor_opens_every_object_and_changes_none(visit: Any, person: Person_) -> None:
    flow = make_flow("greet")
    request = make_request(make_run(flow, status="waiting_approval"))
    make_person("viewer", username="ann")
    auditor = visit(as_=person("auditor"))
    assert request.run is not None

    for address in (f"/flows/{flow.slug}", f"/runs/{request.run.public_id}", f"/approvals/{request.public_id}"):
        assert auditor.go(address).status == 200, address
        assert auditor.page.locator("main form[method=post]:not([data-testid=comment-form]) button:enabled").count() == 0, address


def test_the_settings_fit_a_phone(visit: Any, person: Person_) -> None:
    make_team("finance")
    make_person("approver", username="ann")
    page = visit(as_=person("owner"), phone=True)
    for address in (
        "/settings/people",
        "/settings/people/ann",
        "/settings/teams",
        "/settings/roles",
        "/settings/keys",
        "/me",
        "/settings/retention",
        "/settings/health",
        "/settings/general",
        "/settings/sign-in",
        "/settings/data",
    ):
        page.go(address)
        page.fits()
        page.is_accessible()


def test_SET_2_a_test_that_fails_shows_what_the_provider_said(visit: Any, person: Person_) -> None:
    owner = person("owner")
    page = visit(as_=owner)
    page.go("/approvals/channels")

    with running(HookServer()) as chat:
        AllowedHost.objects.create(host=chat.host)
        add_channel(Actor(person=owner), "chat", "Ops", f"{chat.base}/hook")
        chat.behaves({"behave": "403", "message": "This room is closed."})
        page.go("/approvals/channels")
        page.see("try-channel").click()
        expect(page.see("toast")).to_be_visible()
        sending = Thread(target=lambda: [send_due(), connection.close()])  # this thread has a loop of the browser's
        sending.start()
        sending.join(30)
        page.go("/approvals/channels")

    expect(page.see("notice")).to_contain_text("403")
    expect(page.see("notice")).to_contain_text("This room is closed.")
    page.go("/settings/general")
    expect(page.see("mail-state")).to_contain_text("No mail server is set up")
    page.is_quiet()


def test_SET_3_a_change_of_retention_shows_first_what_it_would_remove(visit: Any, person: Person_) -> None:
    flow = make_flow("greet")
    for days in (91, 92, 10):
        make_run(flow, status="succeeded", ended_at=timezone.now() - timedelta(days=days))
    page = visit(as_=person("owner"))
    page.go("/settings/retention")
    page.is_accessible()

    page.page.get_by_label("Payloads: days").fill("90")
    page.see("preview-retention").click()

    expect(page.see("preview")).to_contain_text("2 runs")
    expect(page.see("preview").locator("time")).to_have_count(1)
    assert RetentionRule.objects.count() == 0
    page.is_accessible()
    page.see("save-retention").click()
    expect(page.see("retention-row")).to_contain_text("90 days")
    page.is_quiet()


def test_SET_5_health_shows_the_queue_and_that_no_worker_is_there(visit: Any, person: Person_) -> None:
    for _ in range(3):
        make_run(make_flow(), status="queued")
    page = visit(as_=person("owner"))
    page.go("/settings/health")

    expect(page.see("health-workers")).to_contain_text("No workers – runs will stay queued")
    expect(page.see("health-queue")).to_contain_text("3 runs, the oldest waits")
    expect(page.see("health-database")).to_have_attribute("data-well", "yes")
    page.is_accessible()
    page.is_quiet()
