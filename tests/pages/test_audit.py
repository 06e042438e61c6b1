"""The page of the audit log: what it shows, to whom, and as a file."""

from __future__ import annotations

import csv
import io
import json

import pytest
from django.db import connection
from django.test import Client

from flows.access.audit import record_change
from flows.access.sealing import seal_audit
from flows.models import AuditRow
from tests.makers import make_actor, make_person

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
