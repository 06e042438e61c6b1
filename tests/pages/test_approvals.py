"""The inbox and the page on which a person decides."""

import json
import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from approvals.actions.decide import decide
from approvals.actions.remark import comment
from approvals.models import Vote
from flows.access.actor import Actor
from flows.models import AuditRow, Event, Flow, Person, Request, Run, ToolEntry
from tests.makers import make_flow, make_key, make_person, make_request, make_run, make_team

pytestmark = pytest.mark.django_db

XSS = '"><img src=x onerror=alert(1)><script>alert(2)</script>'
DOCUMENT = """\
orchestrator: 1
name: Refund
input: {type: object, properties: {amount: {type: number}, note: {type: string}}}
steps:
  think: {kind: model, with: {route: r, prompt: "{{ input.note }}"}}
  sum:
    kind: set
    with:
      values:
        words: "{{ upper(steps.think.output) }}"
        count: "{{ len(steps.think.output) }}"
        double: "{{ input.amount * 2 }}"
  ask:
    kind: approval
    label: Finance agrees
    with:
      title: "Refund {{ input.amount }}"
      show: {why: "{{ steps.sum.output.words }}", letters: "{{ steps.sum.output.count }}", double: "{{ steps.sum.output.double }}"}
      seals: pay
      editable: [amount]
      outcomes: {approve: approve, reject: reject, revise: changes}
      approvers: {teams: [finance]}
  pay:
    kind: tool
    label: Pay it
    with: {tool: refunds.create, arguments: {amount: "{{ input.amount }}", reason: "{{ steps.think.output }}"}}
edges: [start -> think, think -> sum, sum -> ask, ask.approve -> pay]
"""
SCHEMA = {"type": "object", "properties": {"amount": {"type": "number", "minimum": 0}}}
TERMS = {"seals": "pay", "tool": "refunds.create", "arguments_schema": SCHEMA}


@pytest.fixture
def approver() -> Person:
    return make_person("approver", username="approver-1", team=make_team("finance"))


@pytest.fixture
def client(approver: Person) -> Client:
    return signed_in(approver)


def signed_in(person: Person, **options: Any) -> Client:
    client = Client(**options)
    client.force_login(person)
    return client


def refund(**fields: Any) -> Request:
    """A request of a run whose model wrote the reason."""
    flow = Flow.objects.filter(slug="refund").first() or make_flow("refund", document=DOCUMENT)
    ToolEntry.objects.get_or_create(slug="refunds.create", defaults={"kind": "http", "effect": "write", "repeat": "keyed"})
    run = fields.pop("run", None) or make_run(flow, status="waiting_approval")
    shown = {"why": "IT WAS CHARGED TWICE", "letters": 20, "double": 840}
    terms = TERMS | fields.pop("terms", {})
    return make_request(
        run,
        path="ask",
        payload=fields.pop("payload", {"amount": 420, "reason": "it was charged twice"}),
        show=json.dumps(fields.pop("show", shown)),
        terms=terms,
        **fields,
    )


def address(request: Request, rest: str = "") -> str:
    return f"/approvals/{request.public_id}{rest}"


def page_of(response: Any) -> str:
    return unescape(response.content.decode())


def sent(client: Client, request: Request, outcome: str, **fields: Any) -> Any:
    data = {"outcome": outcome, "revision": str(request.revision), "edit-amount": "420"} | {
        name.replace("__", "-"): value for name, value in fields.items()
    }
    return client.post(address(request, "/decisions"), data)


def part(page: str, testid: str, end: str = "</section>") -> str:
    """The region of a page that carries a hook."""
    return page.split(f'data-testid="{testid}"', 1)[1].split(end, 1)[0]


# --- the inbox


def test_APR_1_badge_rows_and_api_agree(client: Client, approver: Person) -> None:
    for _ in range(3):
        refund()
    make_request(make_run(status="waiting_approval", started_by=approver))  # one's own does not wait for oneself
    make_request(terms={"approvers": {"teams": ["legal"]}})
    _, secret = make_key(approver, "approvals:read")

    page = page_of(client.get("/approvals"))
    items = Client().get("/api/v1/approvals?box=mine", headers={"Authorization": f"Bearer {secret}"}).json()["items"]

    badge = re.search(r'data-testid="approvals-badge"[^>]*>(\d+)<', page)
    assert badge is not None
    assert int(badge[1]) == page.count('data-testid="approval-row"') == len(items) == 3
    assert "<title>(3) Approvals" in page


def test_each_box_is_an_address(client: Client) -> None:
    waiting, done = refund(), refund(state="approved", run=make_run(make_flow("other"), status="succeeded"))

    for box, shown in (("mine", waiting), ("team", waiting), ("all", waiting), ("done", done), ("decided", done)):
        page = page_of(client.get(f"/approvals?box={box}"))
        assert page.count('data-testid="approval-row"') == 1, box
        assert shown.public_id in page


def test_what_is_due_first_stands_first_and_says_so_in_words(client: Client) -> None:
    later, now = refund(due=timezone.now() + timedelta(days=2)), timezone.now()
    never, urgent = refund(run=other_run()), refund(run=other_run(), due=now + timedelta(minutes=5))
    Request.objects.filter(id=urgent.id).update(created_at=now - timedelta(hours=4))
    overdue = refund(run=other_run(), due=now - timedelta(minutes=1))

    page = page_of(client.get("/approvals"))

    places = [page.index(each.public_id + '"') for each in (overdue, urgent, later, never)]
    assert places == sorted(places)
    assert 'data-level="urgent"' in page
    for word in ("overdue", "urgent", "due", "no deadline"):
        assert word in page


def other_run() -> Run:
    return make_run(Flow.objects.get(slug="refund"), status="waiting_approval")


def test_the_list_goes_on_behind_fifty(client: Client) -> None:
    flow = make_flow()
    for number in range(53):
        due = timezone.now() + timedelta(minutes=number) if number % 2 else None
        make_request(make_run(flow, status="waiting_approval"), due=due)

    first = page_of(client.get("/approvals"))
    following = re.search(r'href="([^"]*after=[^"]*)"', first)
    assert following is not None
    second = page_of(client.get(following[1]))

    rows = [re.findall(r'data-testid="approval-row" data-id="(\w+)"', page) for page in (first, second)]
    assert [len(each) for each in rows] == [50, 3]
    assert len({*rows[0], *rows[1]}) == 53


@pytest.mark.parametrize("after", ["x", "_", "2025-99-99_" + "0" * 32, "_" + "0" * 32, "\x00"])
def test_a_place_that_is_none_breaks_nothing(client: Client, after: str) -> None:
    refund()

    assert client.get("/approvals", {"after": after}).status_code == 200
    assert client.get("/approvals", {"after": after, "box": "done"}).status_code == 200


def test_an_empty_inbox_is_kind_and_leads_on(client: Client) -> None:
    assert "Nothing needs you" in page_of(client.get("/approvals"))
    make_request(terms={"approvers": {"teams": ["legal"]}})

    page = page_of(client.get("/approvals"))

    assert "Nothing needs you" in page
    assert "1 open in all" in page


def test_news_say_what_is_new_and_what_is_gone_and_move_nothing(client: Client) -> None:
    stays, leaves = refund(), refund(run=make_run(make_flow("second"), status="waiting_approval"))
    page = page_of(client.get("/approvals"))
    news = re.search(r'id="inbox-news"[^>]*data-live-url="([^"]*)"', page)
    assert news is not None
    assert "new" not in part(page_of(client.get(news[1])), "changes", "</div>")

    Request.objects.filter(id=leaves.id).update(state="approved")
    refund(run=other_run())
    told = page_of(client.get(news[1]))

    assert "1 new, 1 no longer here" in told
    assert f'data-gone="{leaves.public_id}"' in told
    assert stays.public_id not in told
    assert 'data-testid="approval-row"' not in told


def test_the_number_of_queries_does_not_grow(client: Client, django_assert_max_num_queries: Any) -> None:
    flow = make_flow()
    for _ in range(20):
        make_request(make_run(flow, status="waiting_approval"))

    with django_assert_max_num_queries(12):
        client.get("/approvals")
    with django_assert_max_num_queries(12):
        client.get("/approvals?box=done")


# --- the page


def test_it_shows_exactly_the_call_and_its_seal(client: Client) -> None:
    request = refund()

    facts = part(page_of(client.get(address(request))), "facts")

    assert ">refunds.create</span>" in facts
    assert "cannot be undone" in facts
    assert facts.count('data-testid="argument"') == 2
    assert "420" in facts
    assert request.payload_hash[:12] in facts


def test_principle_6_facts_and_a_models_words_are_apart(client: Client) -> None:
    page = page_of(client.get(address(refund())))
    facts, words = part(page, "facts"), part(page, "model-words")

    assert "IT WAS CHARGED TWICE" in words
    assert "IT WAS CHARGED TWICE" not in facts
    assert "unverified" in words
    assert "840" in facts
    assert "computed from a model’s answer" in facts  # the number of letters
    assert "written by a model" in part(facts, "argument", "</table>").split('data-name="reason"')[1]
    assert "written by a model" not in part(facts, "argument", "</table>").split('data-name="reason"')[0]
    assert page.index('data-testid="facts"') < page.index('data-testid="model-words"') < page.index('data-testid="decision-form"')


def test_it_says_why_and_what_follows(client: Client) -> None:
    request = refund(due=timezone.now() + timedelta(hours=4))

    page = page_of(client.get(address(request)))

    assert "step “Finance agrees”" in page
    assert "the approvers of team finance" in page
    assert "Then it is decided as “reject”" in page
    assert "<dd>Pay it</dd>" in page
    assert "this path of the run ends" in page


def test_APR_3_and_4_no_key_decides_and_both_answers_weigh_the_same(client: Client) -> None:
    page = client.get(address(refund())).content.decode()

    buttons = re.findall(r"<button[^>]*name=\"outcome\"[^>]*>", page)
    assert len(buttons) == 3
    for button in buttons:
        assert 'class="button decide"' in button
        assert "autofocus" not in button
        assert "data-key" not in button
        assert "primary" not in button
    assert [re.search(r'data-testid="(\w+)"', each)[1] for each in buttons] == ["reject", "changes", "approve"]  # type: ignore[index]


def test_APP_1_looking_decides_nothing_signed_in_or_not(client: Client) -> None:
    request = refund()
    for _ in range(10):
        assert Client().get(address(request)).status_code == 302
    about = AuditRow.objects.filter(subject_kind="request")
    assert not about.exists()
    client.get(address(request))
    assert [(row.action, row.data["revision"]) for row in about] == [("approval.view", 1)]
    audit, events = AuditRow.objects.count(), Event.objects.count()

    for _ in range(10):
        assert Client().get(address(request)).status_code == 302
        assert client.get(address(request)).status_code == 200
        assert client.get(address(request, "/decisions?outcome=approve&revision=1")).status_code == 405
        assert client.get(address(request, "/news")).status_code == 200

    request.refresh_from_db()
    assert request.state == "pending"
    assert not Vote.objects.exists()
    assert (AuditRow.objects.count(), Event.objects.count()) == (audit, events)


def test_APP_2_signing_in_leads_back_to_the_request() -> None:
    request = refund()
    person = make_person("approver", username="later", team=make_team("finance"))
    client = Client()

    door = client.get(address(request))["Location"]
    entered = client.post(
        "/login", {"username": "later", "password": "correct horse battery", "next": door.partition("next=")[2]}
    )

    assert door == f"/login?next={address(request)}"
    assert entered["Location"] == address(request)
    assert client.get(entered["Location"]).status_code == 200
    assert person.is_active


def test_APP_5_a_decided_request_shows_the_outcome(client: Client, approver: Person) -> None:
    request = refund()
    decide(Actor(person=approver), request.id, "approve", 1, {"amount": 400, "reason": "it was charged twice"}, "only part")

    page = page_of(client.get(address(request)))

    assert "Approved by approver-1" in part(page, "decided-text", "</dd>")
    assert "only part" in part(page, "decision-comment", "</blockquote>")
    edits = part(page, "edits", "</table>")
    assert "420" in edits
    assert "400" in edits
    assert 'name="outcome"' not in page


def test_APP_6_a_request_that_one_may_not_see_does_not_exist(client: Client) -> None:
    run = make_run(make_flow(team=make_team("legal")), status="waiting_approval")
    hidden = make_request(run, terms={"approvers": {"teams": ["legal"]}})

    for wanted in (address(hidden), address(hidden, "/news"), "/approvals/req_nonsense", "/approvals/apr_1"):
        assert client.get(wanted).status_code == 404, wanted
    assert sent(client, hidden, "approve").status_code == 404
    hidden.refresh_from_db()
    assert hidden.state == "pending"


# --- deciding


@pytest.mark.parametrize(("outcome", "state"), [("approve", "approved"), ("reject", "rejected"), ("revise", "changes_requested")])
def test_each_answer_is_one_post(client: Client, approver: Person, outcome: str, state: str) -> None:
    request = refund()

    response = sent(client, request, outcome, comment="because")

    request.refresh_from_db()
    assert response.status_code == 302
    assert response["Location"] == address(request)
    assert (request.state, request.decided_by, request.comment) == (state, approver, "because")
    assert AuditRow.objects.latest("id").door == "page"
    assert json.loads(request.answer or "") == {"amount": 420, "reason": "it was charged twice"}


def test_an_edit_is_what_is_approved(client: Client) -> None:
    request = refund()

    sent(client, request, "approve", edit__amount="400.50")

    request.refresh_from_db()
    assert json.loads(request.answer or "")["amount"] == 400.5
    assert json.loads(request.payload)["amount"] == 420


@pytest.mark.parametrize("amount", ["-1", "lots", ""])
def test_an_edit_that_does_not_fit_is_refused_at_its_field_and_kept(client: Client, amount: str) -> None:
    request = refund()

    response = sent(client, request, "approve", edit__amount=amount, comment="look again")
    page = page_of(response)

    assert response.status_code == 422
    assert 'id="id_edit-amount-error"' in page
    assert "look again</textarea>" in page
    assert not amount or f'value="{amount}"' in page
    assert sent(client, request, "reject", edit__amount=amount).status_code == 302  # what is edited matters only to an approval


def test_APR_5_the_second_learns_who_was_first_and_keeps_the_comment(client: Client) -> None:
    request = refund()
    second = signed_in(make_person("approver", username="approver-2", team=make_team("finance")))

    assert sent(client, request, "approve").status_code == 302
    response = sent(second, request, "reject", comment="I would not")
    page = page_of(response)

    assert response.status_code == 409
    assert "Approved by approver-1 before you" in part(page, "lost", "</div>")
    assert "I would not</textarea>" in part(page, "kept", "</section>")
    assert Vote.objects.count() == 1
    request.refresh_from_db()
    assert request.state == "approved"


def test_a_page_that_is_out_of_date_decides_nothing_and_shows_the_change(client: Client) -> None:
    request = refund()
    page = page_of(client.get(address(request)))
    seen = re.search(r'name="seen" value="(.*?)">', page)
    assert seen is not None
    Request.objects.filter(id=request.id).update(revision=2, payload='{"amount":520,"reason":"it was charged twice"}')

    response = sent(client, request, "approve", seen=seen[1], comment="fine by me")
    page = page_of(response)

    assert response.status_code == 409
    assert "changed since you opened it" in part(page, "lost", "</div>")
    change = part(page, "changed-rows")
    assert "420" in change
    assert "520" in change
    assert "fine by me</textarea>" in page
    assert 'data-revision="2"' in page
    request.refresh_from_db()
    assert request.state == "pending"


def test_news_of_a_request_say_that_it_is_over(client: Client, approver: Person) -> None:
    request = refund()
    url = re.search(r'id="request-news"[^>]*data-live-url="([^"]*)"', page_of(client.get(address(request))))
    assert url is not None
    assert "data-over" not in page_of(client.get(url[1]))

    Request.objects.filter(id=request.id).update(revision=2)
    assert "changed since you opened it" in page_of(client.get(url[1]))
    decide(Actor(person=approver), request.id, "reject", 2)

    told = page_of(client.get(url[1]))
    assert "data-over" in told
    assert "Rejected by approver-1" in told


def test_APR_9_nobody_decides_on_what_they_started_or_wrote(client: Client, approver: Person) -> None:
    flow = make_flow("refund", document=DOCUMENT)
    own = refund(run=make_run(flow, status="waiting_approval", started_by=approver))
    written = refund(run=make_run(flow, status="waiting_approval"), terms={"authors": ["approver-1"]})

    for request in (own, written):
        page = page_of(client.get(address(request)))
        assert "nobody decides on their own request" in part(page, "may-not")
        assert 'name="outcome"' not in page
        response = sent(client, request, "approve", comment="please")
        assert response.status_code == 403
        assert "please</textarea>" in page_of(response)
    assert not Vote.objects.exists()


def test_who_may_look_but_not_decide_is_told_who_may() -> None:
    request = refund()
    viewer = signed_in(make_person("viewer"))

    page = page_of(viewer.get(address(request)))
    response = sent(viewer, request, "approve")

    assert "This request is for the approvers of team finance." in part(page, "may-not")
    assert 'name="outcome"' not in page
    assert response.status_code == 403
    assert "the approvers of team finance" in page_of(response)


def test_of_two_votes_the_first_waits(client: Client) -> None:
    request = refund(terms={"quorum": 2})

    sent(client, request, "approve", comment="one")
    page = page_of(client.get(address(request)))

    assert "You have voted" in page
    assert "1 of 2 votes" in page
    assert page.count('data-testid="vote"') == 1
    assert sent(client, request, "approve").status_code == 409
    request.refresh_from_db()
    assert request.state == "pending"


def test_a_withdrawn_request_says_why(client: Client) -> None:
    request = refund(state="withdrawn", decided_at=timezone.now())

    assert "its run has ended" in page_of(client.get(address(request)))
    assert sent(client, request, "approve").status_code == 409


def test_an_outcome_that_there_is_not_or_a_revision_that_is_none_changes_nothing(client: Client) -> None:
    request = refund()

    assert sent(client, request, "maybe").status_code == 422
    assert sent(client, request, "approve", revision="x").status_code == 409
    assert sent(client, request, "approve", comment="x" * 10_001).status_code == 422
    assert client.post(address(request, "/decisions"), {}).status_code == 409
    request.refresh_from_db()
    assert request.state == "pending"


def test_a_decision_needs_the_pages_token_and_a_session(approver: Person) -> None:
    request = refund()

    assert sent(signed_in(approver, enforce_csrf_checks=True), request, "approve").status_code == 403
    assert sent(Client(), request, "approve")["Location"] == "/login?next=/kept-form", "what was typed is shown again after it"
    request.refresh_from_db()
    assert request.state == "pending"


def test_text_from_models_and_payloads_is_only_text(client: Client) -> None:
    request = refund(payload={"amount": 1, XSS: XSS, "list": [XSS], "deep": {XSS: [XSS]}}, show={"why": XSS, XSS: {"a": XSS}})
    Request.objects.filter(id=request.id).update(title=XSS, comment=XSS)
    plain = refund(run=other_run(), payload=[XSS])

    pages = [
        client.get("/approvals"),
        client.get(address(request)),
        client.get(address(plain)),
        sent(client, request, "maybe", comment=XSS, edit__amount=XSS, seen=XSS),
        sent(client, request, "approve", revision="9", comment=XSS, seen=json.dumps({XSS: XSS})),
        sent(client, request, "approve", comment=XSS),
        client.get(address(request)),
        client.get("/approvals?box=done"),
    ]

    for response in pages:
        page = response.content.decode()
        assert "<img src=x" not in page
        assert "<script>alert" not in page


def test_what_cannot_be_traced_counts_as_a_models_words(client: Client) -> None:
    """The request's step is none of its document's, as after a step that another kind of flow brought in."""
    request = refund(run=make_run(make_flow("plain"), status="waiting_approval"))
    unreadable = refund(run=make_run(make_flow("unreadable", document="nonsense: ["), status="waiting_approval"))

    for each in (request, unreadable):
        page = page_of(client.get(address(each)))
        assert "IT WAS CHARGED TWICE" in part(page, "model-words")


def test_the_newest_stand_first_where_that_is_wanted(client: Client) -> None:
    first, second = refund(due=timezone.now() + timedelta(hours=1)), refund(due=timezone.now() + timedelta(hours=2))

    def shown(query: str) -> list[str]:
        return re.findall(r'data-testid="approval-row" data-id="(req_\w+)"', client.get(f"/approvals{query}").content.decode())

    assert shown("") == shown("?sort=nonsense") == [first.public_id, second.public_id]
    assert shown("?sort=newest") == [second.public_id, first.public_id]


def test_the_number_of_queries_is_bounded(client: Client, approver: Person, django_assert_max_num_queries: Any) -> None:
    request = refund()
    client.get(address(request))

    with django_assert_max_num_queries(12):
        client.get(address(request))
    for number in range(20):
        refund(due=timezone.now() + timedelta(hours=number))
        comment(Actor(person=approver), request, f"Remark {number}")
    with django_assert_max_num_queries(12):
        page = client.get(address(request)).content.decode()
    assert page.count('data-testid="remark"') == 20
