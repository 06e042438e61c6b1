"""Making a knowledge base."""

from __future__ import annotations

import re

from django.db import IntegrityError, connection, transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Conflict, Fault, Invalid
from flows.access.rights import Right, require
from flows.models import KnowledgeBase, Team

SLUG = re.compile(r"[a-z][a-z0-9_]{0,63}")
LONGEST_NAME = 120


class BaseExists(Conflict):
    """There is already a knowledge base of this name."""

    slug = "base-exists"


def create_base(actor: Actor, slug: str, name: str = "", *, team: Team | None = None, language: str = "english") -> KnowledgeBase:
    """A base without documents. `language` is a text search configuration of the database: ``english``, ``german``, ``simple``, ….

    Raises `Forbidden`, `Invalid` naming each fault, and `BaseExists`.
    """
    require(actor, Right.EDIT_FLOWS, team)
    faults = []
    if not SLUG.fullmatch(slug):
        faults.append(
            Fault("slug", "is no name of a knowledge base", "Use a-z, 0-9 and _, a letter first, at most 64 characters.")
        )
    known = languages()
    if language not in known:
        faults.append(Fault("language", f"the database does not know {language[:40]!r}", f"Use one of {', '.join(known)}."))
    if len(name) > LONGEST_NAME:
        faults.append(Fault("name", "is too long", f"Use at most {LONGEST_NAME} characters."))
    if faults:
        raise Invalid("The knowledge base cannot be made.", problems=faults)
    try:
        with transaction.atomic():
            base = KnowledgeBase.objects.create(
                slug=slug, name=name.strip() or slug, team=team, language=language, created_by=actor.person
            )
            record_change(actor, "base.create", "knowledge", slug, {"name": base.name, "language": language})
    except IntegrityError:
        raise BaseExists(f"There is already a knowledge base named {slug}.") from None
    return base


def languages() -> list[str]:
    """The text search configurations of the database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT cfgname FROM pg_ts_config WHERE cfgnamespace = 'pg_catalog'::regnamespace ORDER BY cfgname")
        return [row[0] for row in cursor.fetchall()]
