"""The audit log: in the change's transaction, without secrets, never altered."""

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from flows.access.audit import REMOVED, names_a_secret, record_change, without_secrets
from flows.models import AuditRow
from tests.makers import make_actor


@pytest.mark.django_db(transaction=True)
def test_it_refuses_to_record_outside_a_transaction() -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        record_change(make_actor("owner"), "test.change", "thing", "1")

    assert not AuditRow.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_change_that_is_undone_leaves_no_row() -> None:
    actor = make_actor("owner")

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        record_change(actor, "test.change", "thing", "1")
        raise ZeroDivisionError

    assert not AuditRow.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "statement", ["UPDATE flows_auditrow SET action = 'x'", "DELETE FROM flows_auditrow", "TRUNCATE flows_auditrow CASCADE"]
)
def test_rows_cannot_be_altered_or_removed(statement: str) -> None:
    row = record_change(make_actor("owner"), "test.change", "thing", "1", {"a": 1})
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")

    with pytest.raises((DatabaseError, IntegrityError), match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)

    assert AuditRow.objects.get(id=row.id).action == "test.change"


@pytest.mark.django_db
def test_a_row_says_who_what_and_by_which_door() -> None:
    actor = make_actor("owner", username="ann", door="api")

    row = record_change(actor, "test.change", "thing", "1", {"api_key": "x", "note": "key ork_" + "a" * 43})

    assert (row.actor, row.actor_name, row.door, row.subject) == (actor.person, "ann", "api", "1")
    assert row.data == {"api_key": REMOVED, "note": f"key {REMOVED}"}


@pytest.mark.parametrize(
    "name", ["password", "clientSecret", "X-Auth-Token", "api_key", "apiKey", "Authorization", "private-key"]
)
def test_it_knows_the_names_of_secrets(name: str) -> None:
    assert names_a_secret(name)


@pytest.mark.parametrize("name", ["tokens", "max_tokens", "key", "idempotency_key", "secretary", "cost"])
def test_it_leaves_other_names_alone(name: str) -> None:
    assert not names_a_secret(name)


def test_it_looks_into_nested_values() -> None:
    assert without_secrets({"a": [{"token": "x", "n": 1}]}) == {"a": [{"token": REMOVED, "n": 1}]}
