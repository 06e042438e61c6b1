"""The page of the audit log: what it shows, to whom, and as a file."""

from __future__ import annotations

import csv
import io
import json
import re
from decimal import Decimal
from html import unescape

import pytest
from django.db import connection
from django.test import Client

from approvals.actions.decide import decide
from approvals.actions.save_policy import save_policy
from flows.access.actions.create_key import create_key
from flows.access.actions.grant_role import grant_role
from flows.access.actions.put_secret import put_secret
from flows.access.actions.revoke_key import revoke_key
from flows.access.actions.revoke_role import revoke_role
from flows.access.audit import record_change
from flows.access.sealing import seal_audit
from flows.builder.actions.publish_flow import publish_flow
from flows.costs.actions.add_price import Wanted as Priced
from flows.costs.actions.add_price import add_price
from flows.costs.actions.put_budget import Wanted as Budgeted
from flows.costs.actions.put_budget import put_budget
from flows.models import AuditRow, Flow, PinnedView, Route, ToolEntry
from tests.makers import make_actor, make_flow, make_memory, make_person, make_request, make_run, make_team, make_trigger
from tests.runs.journals import make_price

pytestmark = pytest.mark.django_db


@pytest.fixture
def auditor() -> Client:
    client = Client()
    client.force_login(make_person("auditor"))
    return client


def write(count: int = 1, action: str = "flow.pause", subject: str = "greet") -> None:
    actor = make_actor("owner")
    for n in range(count):
        record_change(actor, action, "flow", subject, {"tags": {"before": n, "after": f"=cmd {n}"}})


def test_it_shows_before_and_after_and_leads_to_the_object(auditor: Client) -> None:
    write()

    text = auditor.get("/audit").content.decode()

    assert "/flows/greet" in text
    assert "&quot;before&quot;: 0" in text


def test_AUD_1_decisions_publications_budgets_prices_roles_keys_and_secrets_are_found_with_before_and_after(
    auditor: Client,
) -> None:
    owner = make_actor("owner")
    person = make_person("viewer", username="ann")
    flow = make_flow("greet")
    make_price("small-1", input="1", output="2")
    request = make_request()
    decide(make_actor("approver", team=make_team("finance")), request.id, "approve", 1)
    Flow.objects.filter(id=flow.id).update(draft=flow.draft.replace("orchestrator: 1", "orchestrator: 1\ndescription: Newer", 1))
    publish_flow(owner, "greet")
    for cost in ("5", "4"):
        put_budget(owner, Budgeted("all", "", "day", cost=Decimal(cost)))
    add_price(owner, Priced("small-1", {"input": Decimal(3), "output": Decimal(4)}))
    grant_role(owner, person, "auditor")
    revoke_role(owner, person, "auditor")
    key, _ = create_key(owner, owner.person or person, ["runs:read"])
    revoke_key(owner, key)
    put_secret(owner, "MAIL_KEY", "first-secret-value", [])
    put_secret(owner, "MAIL_KEY", "second-secret-value", [])

    for action, told in {
        "approval.decide": ('"before": "pending"', '"after": "approved"'),
        "flow.publish": ('"before": 1', '"version": 2'),
        "budget.change": ('"from": {', '"cost": "4"'),
        "price.add": ('"before": {', '"after": {'),
        "role.grant": ('"before": [', '"auditor",'),
        "role.revoke": ('"before": [', '"after": ['),
        "key.create": ('"scopes": [', "runs:read"),
        "key.revoke": ('"person": ', owner.name),
        "secret.rotate": ('"before": {', '"fingerprint": '),
    }.items():
        page = unescape(auditor.get(f"/audit?action={action}").content.decode())
        assert page.count('data-testid="audit-row"') == 1, action
        assert all(each in page for each in told), (action, page[page.index("audit-row") :][:2000])
        assert "secret-value" not in page


def test_AUD_5_who_may_read_the_log_may_open_whatever_it_links_to(auditor: Client) -> None:
    owner, flow = make_actor("owner"), make_flow("greet")
    request, trigger = make_request(make_run(flow, status="waiting_approval")), make_trigger(flow)
    assert request.run is not None
    save_policy(owner, "refunds", "Refunds", {"people": [owner.name]})
    ToolEntry.objects.create(slug="mail.send", kind="http", effect="write", repeat="never")
    Route.objects.create(slug="small", candidates=[])
    names = {"flow": "greet", "run": request.run.public_id, "request": request.public_id, "trigger": trigger.public_id}
    names |= {"policy": "refunds", "tool": "mail.send", "route": "small", "memory": make_memory(flow).public_id}
    for kind, subject in {**names, "person": owner.name}.items():
        record_change(owner, f"look.{kind}", kind, subject)

    page = auditor.get("/audit?action=look").content.decode()
    linked = re.findall(r'<a [^>]*href="(/[^"]+)"', page[page.index('data-testid="audit-row"') : page.rindex("</tbody>")])

    assert len(linked) == len(names)
    assert {address: auditor.get(address).status_code for address in linked} == dict.fromkeys(linked, 200)


def test_a_filtered_export_equals_the_list(auditor: Client) -> None:
    write(3)
    write(2, "flow.settings")
    write(1, "flow.settings", "other")
    query = "action=flow.settings&object=greet"

    page = auditor.get(f"/audit?{query}")
    lines = b"".join(auditor.get(f"/audit/export.jsonl?{query}")).decode().splitlines()
    table = list(csv.DictReader(io.StringIO(b"".join(auditor.get(f"/audit/export.csv?{query}")).decode())))

    shown = [row.id for row, *_ in page.context["rows"]]
    assert [json.loads(line)["id"] for line in lines] == [int(row["id"]) for row in table] == shown
    assert len(shown) == 2
    assert AuditRow.objects.filter(action="audit.export").count() == 2


def test_the_filters_of_the_log_are_kept_under_a_name(auditor: Client) -> None:
    write()
    write(action="policy.save", subject="refunds")
    assert "Save view" not in auditor.get("/audit").content.decode()
    narrowed = auditor.get("/audit?action=policy&actor=").content.decode()
    assert 'name="query" value="action=policy"' in narrowed

    kept = auditor.post("/audit/views", {"name": " Policies ", "query": "action=policy"})

    assert kept.headers["Location"] == "/audit?action=policy"
    page = auditor.get("/audit?action=policy").content.decode()
    assert '<a href="/audit?action=policy" aria-current="page">Policies</a>' in page
    assert "flow.pause" not in page
    (view,) = PinnedView.objects.all()
    assert (view.page, view.name) == ("audit", "Policies")
    other = Client()
    other.force_login(make_person("auditor", username="another"))
    assert "Policies" not in other.get("/audit").content.decode()
    assert auditor.post("/audit/views", {"drop": view.id.hex}).headers["Location"] == "/audit"
    assert not PinnedView.objects.exists()


def test_times_are_utc_wherever_the_reader_is(auditor: Client) -> None:
    write()
    auditor.cookies["tz"] = "Asia/Tokyo"

    newest = AuditRow.objects.latest("id")
    assert f"{newest.at:%Y-%m-%d %H:%M:%S}Z" in auditor.get("/audit").content.decode()


def test_pages_go_on_where_the_one_before_ended(auditor: Client) -> None:
    write(60)

    first = auditor.get("/audit")
    second = auditor.get(f"/audit{first.context['older']}")

    ids = [row.id for page in (first, second) for row, *_ in page.context["rows"]]
    assert len(ids) == len(set(ids)) == 61  # with the sign-in
    assert ids == sorted(ids, reverse=True)


def test_verifying_names_the_row_that_was_altered(auditor: Client) -> None:
    write(3)
    seal_audit()
    assert "4 rows are as they were written" in auditor.post("/audit/verification").content.decode()
    row = AuditRow.objects.order_by("id")[1]
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE flows_auditrow SET action = 'x' WHERE id = %s", [row.id])

    assert f"row {row.id} was altered or moved" in auditor.post("/audit/verification").content.decode()


def test_nothing_on_the_page_changes_a_row(auditor: Client) -> None:
    write()

    text = auditor.get("/audit").content.decode().partition("<main")[2].partition("</main>")[0]

    assert [part.partition('"')[0] for part in text.split('method="post" action="')[1:]] == ["/audit/verification?"]


@pytest.mark.parametrize(
    "query", ["from=yesterday", "to=9999-12-31", "before=x", "actor=%00", "from=0001-01-01", "before=99999999999999999999"]
)
def test_an_address_that_cannot_be_read_still_gives_the_page(auditor: Client, query: str) -> None:
    assert auditor.get(f"/audit?{query}").status_code == 200
