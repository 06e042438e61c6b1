"""The chain over the audit log finds what was altered, removed or moved."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from flows.access.audit import record_change
from flows.access.sealing import seal_audit, verify
from flows.models import AuditRow, AuditSeal
from tests.makers import make_actor

pytestmark = pytest.mark.django_db


@pytest.fixture
def rows() -> list[int]:
    actor = make_actor("owner")
    made = [record_change(actor, "test.change", "thing", str(n), {"before": n, "after": n + 1}).id for n in range(6)]
    assert seal_audit() == 6
    return made


def behind_the_wall(statement: str, *values: object) -> None:
    """What somebody does who owns the database."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(statement, values)
        cursor.execute("SET LOCAL session_replication_role = origin")


def test_what_is_as_it_was_verifies(rows: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    assert seal_audit() == 0
    record_change(make_actor("owner"), "test.change", "thing", "7")
    assert verify().unsealed == 1

    call_command("audit", "verify")

    assert "7 rows are as they were written, 0 not sealed yet" in capsys.readouterr().out


def test_an_altered_row_is_named(rows: list[int]) -> None:
    behind_the_wall("UPDATE flows_auditrow SET actor_name = 'somebody' WHERE id = %s", rows[2])

    assert verify().row == rows[2]
    with pytest.raises(CommandError, match=f"row {rows[2]} was altered or moved. 2 rows before it"):
        call_command("audit", "verify")


@pytest.mark.parametrize("place", [0, 3, 5])
def test_a_removed_row_is_named(rows: list[int], place: int) -> None:
    behind_the_wall("DELETE FROM flows_auditrow WHERE id = %s", rows[place])

    with pytest.raises(CommandError, match=f"row {rows[place]} was removed"):
        call_command("audit", "verify")


def test_rows_that_were_swapped_are_found(rows: list[int]) -> None:
    behind_the_wall("UPDATE flows_auditrow SET id = -1 WHERE id = %s", rows[1])
    behind_the_wall("UPDATE flows_auditrow SET id = %s WHERE id = %s", rows[1], rows[4])
    behind_the_wall("UPDATE flows_auditrow SET id = %s WHERE id = -1", rows[4])

    with pytest.raises(CommandError, match=f"row {rows[1]} was altered or moved"):
        call_command("audit", "verify")


def test_a_removed_seal_is_found(rows: list[int]) -> None:
    behind_the_wall("DELETE FROM flows_auditseal WHERE number = 3")

    assert verify().broken == "seal 3 is missing"


def test_a_row_that_was_committed_late_is_sealed_behind_the_others(rows: list[int]) -> None:
    behind_the_wall("DELETE FROM flows_auditseal")
    behind_the_wall("UPDATE flows_auditrow SET id = -1 WHERE id = %s", rows[2])  # as if it were not there yet
    behind_the_wall("DELETE FROM flows_auditrow WHERE id = -1")
    assert seal_audit() == 5
    late = AuditRow.objects.get(id=rows[3])
    behind_the_wall("INSERT INTO flows_auditrow SELECT %s, at, actor_name, door, action, subject_kind, subject, data, actor_id, key_id "
                    "FROM flows_auditrow WHERE id = %s", rows[2], late.id)  # fmt: skip

    assert seal_audit() == 1
    assert AuditSeal.objects.get(number=6).row == rows[2]
    assert not verify().broken


@pytest.mark.parametrize("statement", ["UPDATE flows_auditseal SET hash = ''", "DELETE FROM flows_auditseal"])
def test_seals_cannot_be_altered_or_removed(rows: list[int], statement: str) -> None:
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
