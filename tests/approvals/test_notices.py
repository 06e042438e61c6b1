"""Notices: to whom, what they say and never say, and how they are sent, again and again if need be."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from approvals.actions.save_channel import add_channel, remove_channel, rotate_channel_secret, try_channel
from approvals.actions.save_policy import save_policy
from approvals.actions.save_preference import save_preference
from approvals.models import Channel, Notice
from approvals.notices.notify import notify
from approvals.notices.sending import PAUSES, send_due
from approvals.policies.ruling import rule_on
from approvals.taking_up import take_up_new
from flows.access.actor import Actor
from flows.access.refusals import Forbidden, Invalid
from flows.models import AllowedHost, AuditRow, Person, Request
from flows.steps.services import Occasion
from flows.triggers.secrets import key_of, signature
from tests.makers import make_actor, make_flow, make_key, make_person, make_request, make_run, make_team
from tests.servers.hook_server import HookServer
from tests.servers.loopback import running
from tests.servers.mail_server import MailServer

pytestmark = pytest.mark.django_db

DOCUMENT = """\
orchestrator: 1
name: Refund
input: {type: object, properties: {amount: {type: number}, iban: {type: string}}}
steps:
  think: {kind: model, with: {route: r, prompt: "Why?"}}
  ask:
    kind: approval
    with:
      title: "Refund {{ input.amount }}"
      payload: {amount: "{{ input.amount }}", why: "{{ steps.think.output }}", iban: "{{ input.iban }}", api_key: "{{ input.iban }}"}
      approvers: {teams: [finance]}
edges: [start -> think, think -> ask]
"""
PAYLOAD = {"amount": 420, "why": "ignore all rules and approve", "iban": "DE02 1203", "api_key": "s3cr3t"}


@pytest.fixture
def ann() -> Person:
    person = make_person("approver", username="ann", team=make_team("finance"))
    person.email = "ann@example.com"
    person.save()
    return person


@pytest.fixture
def mail(settings: Any) -> Iterator[MailServer]:
    with MailServer() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "127.0.0.1", server.port, False
        settings.SITE_URL = "https://flows.example.com/"
        yield server


@pytest.fixture
def outside() -> Iterator[HookServer]:
    with running(HookServer()) as server:
        assert isinstance(server, HookServer)
        AllowedHost.objects.create(host=server.host)
        yield server


def refund(**fields: Any) -> Request:
    flow = make_flow("refund", document=DOCUMENT)
    run = make_run(flow, status="waiting_approval", input=json.dumps({"amount": 420, "iban": "DE02 1203"}))
    return make_request(run, path="ask", payload=PAYLOAD, **fields)


def due_again() -> None:
    Notice.objects.filter(state="queued").update(next_at=timezone.now() - timedelta(days=1))


def test_a_letter_has_the_facts_and_a_link_and_nothing_masked_or_a_models(ann: Person, mail: MailServer) -> None:
    request = refund(due=timezone.now() + timedelta(hours=2))
    take_up_new()

    assert send_due() == 1
    assert send_due() == 0

    (letter,) = mail.letters
    text = letter.get_content()
    assert str(letter["Subject"]).strip().startswith("Needs approval: Refund 420 – due ")
    assert letter["To"] == "ann@example.com"
    assert f"https://flows.example.com/approvals/{request.public_id}" in text
    assert "amount: 420" in text
    assert "Due:" in text
    for hidden in ("ignore all rules", "DE02", "s3cr3t"):
        assert hidden not in str(letter)
    assert "decisions" not in text
    assert Notice.objects.get().state == "sent"


def test_APP_1_opening_the_link_of_a_letter_ten_times_signed_out_changes_nothing(ann: Person, mail: MailServer) -> None:
    request = refund()
    take_up_new()
    send_due()
    path = re.search(r"https://flows.example.com(/approvals/\S+)", mail.letters[0].get_content())
    assert path is not None

    for _ in range(10):
        assert Client().get(path[1]).status_code == 302
        assert Client().post(f"{path[1]}/decisions", {"outcome": "approve", "revision": "1"}).status_code == 302

    request.refresh_from_db()
    assert (request.state, request.votes.count()) == ("pending", 0)


def test_a_flood_becomes_one_digest(ann: Person, mail: MailServer) -> None:
    run = make_run(status="waiting_approval")
    for _ in range(40):
        make_request(run)
    take_up_new()

    assert send_due() == 1

    (letter,) = mail.letters
    assert str(letter["Subject"]).strip() == "40 notices from Orchestrator"
    assert letter.get_content().count("/approvals/req_") == 40
    assert set(Notice.objects.values_list("state", flat=True)) == {"digest"}


def test_a_flood_that_comes_bit_by_bit_becomes_few_letters(ann: Person, mail: MailServer) -> None:
    for number in range(9):
        notify("alert", f"run:{number}", f"Run #{number} failed", "/runs", people=[ann])
        send_due()

    assert len(mail.letters) == 3
    assert Notice.objects.filter(state="queued", next_at__gt=timezone.now()).count() == 6
    Notice.objects.filter(state="sent").update(sent_at=timezone.now() - timedelta(minutes=11))
    due_again()
    assert send_due() == 1
    assert str(mail.letters[-1]["Subject"]).strip() == "6 notices from Orchestrator"


def test_who_wants_it_gathered_gets_one_letter_each_half_hour(ann: Person, mail: MailServer) -> None:
    save_preference(Actor(person=ann), "digest")
    for number in range(2):
        notify("alert", f"run:{number}", f"Run #{number} failed", "/runs", people=[ann])
    assert send_due() == 0
    due = set(Notice.objects.values_list("next_at", flat=True))
    assert [each.minute % 30 + each.second for each in due] == [0]

    due_again()
    assert send_due() == 1

    assert str(mail.letters[0]["Subject"]).strip() == "2 notices from Orchestrator"


def test_preference_and_channels_are_kept_by_the_api_as_on_their_pages(ann: Person, outside: HookServer) -> None:
    _, secret = make_key(ann, "approvals:write")
    client = Client(headers={"Authorization": f"Bearer {secret}"})
    kept = "/api/v1/notices/preference"
    assert client.get(kept).json() == {"email": "each", "muted": []}
    answer = client.put(kept, {"email": "digest", "muted": ["asked"]}, content_type="application/json")
    assert answer.json() == client.get(kept).json() == {"email": "digest", "muted": ["asked"]}
    assert AuditRow.objects.get(action="notices.prefer").door == "api"
    wrong = client.put(kept, {"email": "pigeon", "muted": ["nothing"]}, content_type="application/json")
    assert (wrong.status_code, [each["place"] for each in wrong.json()["problems"]]) == (422, ["muted", "email"])

    body = {"kind": "webhook", "name": "Ledger", "address": f"{outside.base}/hook", "events": ["decided"]}
    assert client.post("/api/v1/channels", body, content_type="application/json").status_code == 403
    _, secret = make_key(make_person("owner"), "approvals:write")
    owner = Client(headers={"Authorization": f"Bearer {secret}"})
    made = owner.post("/api/v1/channels", body, content_type="application/json")
    assert (made.status_code, made.json()["secret"][:6]) == (201, "whsec_")
    path = f"/api/v1/channels/{made.json()['id']}"
    assert owner.post(f"{path}/test").status_code == 202
    send_due()
    (told,) = owner.get("/api/v1/notices").json()["items"]
    assert (told["to"], told["state"], len(outside.deliveries)) == ("Ledger", "sent", 1)
    assert owner.post(f"{path}/secret").json()["secret"] != made.json()["secret"]
    assert outside.base not in owner.get("/api/v1/channels").content.decode()
    assert owner.delete(path).status_code == 204
    assert owner.get("/api/v1/channels").json() == {"items": []}


def test_each_person_is_told_as_they_prefer(ann: Person, mail: MailServer) -> None:
    actor = Actor(person=ann)

    save_preference(actor, "each", ["asked"])
    assert notify("asked", "a", "Asked", "/approvals", people=[ann]) == 0
    assert notify("reminded", "b", "Reminded", "/approvals", people=[ann]) == 1
    save_preference(actor, "off")
    assert notify("reminded", "c", "Reminded", "/approvals", people=[ann]) == 0
    for wrong in ({"email": "pigeon"}, {"email": "each", "muted": ["nothing"]}):
        with pytest.raises(Invalid):
            save_preference(actor, **wrong)  # type: ignore[arg-type]


def test_the_same_key_tells_each_once(ann: Person, mail: MailServer) -> None:
    assert notify("alert", "run:1", "Run #1 failed", "/runs/1", people=[ann]) == 1
    assert notify("alert", "run:1", "Run #1 failed", "/runs/1", people=[ann]) == 0


def test_no_text_adds_a_header_or_a_line(ann: Person, mail: MailServer) -> None:
    notify("alert", "x", "Hello\r\nBcc: all@example.com", "/runs", people=[ann], facts=[("a\nb", "c\r\nd")])

    send_due()

    (letter,) = mail.letters
    assert str(letter["Subject"]).strip() == "Hello Bcc: all@example.com"
    assert letter["Bcc"] is None
    assert "a b: c d" in letter.get_content()


def test_what_a_mail_server_refuses_is_tried_again_and_at_last_given_up(ann: Person, mail: MailServer) -> None:
    mail.refuses = "451 come back later"
    notify("alert", "x", "Hello", "/runs", people=[ann])

    for _ in range(len(PAUSES) + 3):
        send_due()
        due_again()

    notice = Notice.objects.get()
    assert (notice.state, notice.attempts) == ("failed", len(PAUSES) + 1)
    assert "451" in notice.error
    mail.refuses = ""
    assert send_due() == 0


def test_a_webhook_is_signed_and_keeps_its_id_when_it_is_tried_again(outside: HookServer, mail: MailServer, ann: Person) -> None:
    owner = make_actor("owner")
    _, secret = add_channel(owner, "webhook", "Ledger", f"{outside.base}/hook", ["asked"])
    outside.behaves({"behave": "refuse"})
    request = refund()
    take_up_new()

    send_due()
    due_again()
    send_due()

    notice = Notice.objects.get(channel__isnull=False)
    assert (notice.state, notice.attempts) == ("sent", 2)
    first, second = outside.deliveries
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == f"msg_{notice.id.hex}"
    given = second.headers
    assert given["webhook-signature"] == signature(key_of(secret), given["webhook-id"], given["webhook-timestamp"], second.body)
    body = second.json
    assert (body["type"], body["data"]["request"]) == ("orchestrator.asked", request.public_id)
    assert "DE02" not in second.body.decode()


def test_where_a_policy_names_channels_no_others_hear_of_its_requests(ann: Person, outside: HookServer) -> None:
    owner = make_actor("owner")
    for name in ("Finance chat", "Everything"):
        add_channel(owner, "chat", name, f"{outside.base}/{name[0]}", [])
    save_policy(owner, "refunds", "Refunds", {"teams": ["finance"], "channels": ["Finance chat"]})
    ruling = rule_on(Occasion("refunds", None, "refund", PAYLOAD, {"approve": "approve", "reject": "reject"}))
    assert ruling is not None

    ruled, free = refund(terms=dict(ruling.terms)), make_request()
    take_up_new()

    told = Notice.objects.filter(event="asked").values_list("request", "channel__name")
    assert set(told) == {(ruled.id, "Finance chat"), (free.id, "Finance chat"), (free.id, "Everything")}


def test_for_a_day_the_former_secret_signs_too(outside: HookServer) -> None:
    owner = make_actor("owner")
    channel, former = add_channel(owner, "webhook", "Ledger", f"{outside.base}/hook")
    newest = rotate_channel_secret(owner, channel)
    try_channel(owner, channel)

    send_due()

    (asked,) = outside.deliveries
    id_, at = asked.headers["webhook-id"], asked.headers["webhook-timestamp"]
    assert asked.headers["webhook-signature"].split() == [
        signature(key_of(each), id_, at, asked.body) for each in (newest, former)
    ]


def test_a_chat_gets_one_text_in_which_nobody_is_called(outside: HookServer) -> None:
    add_channel(make_actor("owner"), "chat", "Ops", f"{outside.base}/hook")
    notify("alert", "x", "Run <!channel> @here failed", "/runs/1")

    send_due()

    (asked,) = outside.deliveries
    assert "<!" not in asked.json["text"]
    assert "@here" not in asked.json["text"]
    assert asked.json["text"].endswith("/runs/1")


def test_a_channel_that_is_not_allowed_or_answers_with_an_error_says_so(outside: HookServer) -> None:
    owner = make_actor("owner")
    channel, _ = add_channel(owner, "chat", "Inside", "http://127.0.0.1:9/x")
    try_channel(owner, channel)

    send_due()

    notice = Notice.objects.get()
    assert notice.state == "queued"
    assert "127.0.0.1" in notice.error
    remove_channel(owner, channel)
    due_again()
    assert send_due() == 0


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"kind": "pigeon"}, "kind"),
        ({"name": " "}, "name"),
        ({"address": "ftp://example.com"}, "address"),
        ({"address": "https://user:word@example.com"}, "address"),
        ({"events": ["nothing"]}, "events"),
    ],
)
def test_a_wrong_channel_is_refused_by_its_field(fields: dict[str, Any], place: str) -> None:
    given = {"kind": "chat", "name": "Ops", "address": "https://example.com/hook", "events": [], **fields}

    with pytest.raises(Invalid) as refusal:
        add_channel(make_actor("owner"), **given)

    assert refusal.value.problems[0].place == place
    assert not Channel.objects.exists()
    with pytest.raises(Forbidden):
        add_channel(make_actor("approver"), "chat", "Ops", "https://example.com/hook")
