"""Emptying the database after a test that commits: only the tables that hold rows, and row by row.

Django truncates every table, which makes new files for each of them and all its indexes: with a hundred tables this took longer than
most tests. What Django itself put there (content types, permissions) stays, so that it need not be made again.
"""

from __future__ import annotations

from functools import cache

from django.db import connection, transaction
from django.test import TransactionTestCase
from psycopg import sql

KEPT = {"django_content_type", "auth_permission"}


def empty_database(case: TransactionTestCase | None = None) -> None:
    """Deletes all rows. Neither triggers nor foreign keys are asked: what may only be added to is emptied, too."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(_which_hold_rows())
        for (table,) in cursor.fetchall():
            cursor.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))


@cache
def _which_hold_rows() -> sql.Composed:
    tables = set(connection.introspection.django_table_names(only_existing=True, include_views=False)) - KEPT
    one = "SELECT {} WHERE EXISTS (SELECT 1 FROM {})"
    return sql.SQL(" UNION ALL ").join(sql.SQL(one).format(sql.Literal(each), sql.Identifier(each)) for each in sorted(tables))
