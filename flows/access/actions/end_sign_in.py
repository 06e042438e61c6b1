"""Signing a person's browsers out from elsewhere: one, or all of them."""

from __future__ import annotations

from django.contrib.sessions.models import Session
from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.changes import tell_rights_changed
from flows.access.rights import Right, require, require_scope
from flows.models import Person, SignIn


def end_sign_in(actor: Actor, sign_in: SignIn) -> bool:
    """The browser is signed out with its next request; False where it was already. One's own needs no right. Raises `Forbidden`."""
    if actor.person is None or actor.person.id != sign_in.person_id:
        require(actor, Right.MANAGE_PEOPLE)
    else:
        require_scope(actor, Right.MANAGE_PEOPLE)
    with transaction.atomic():
        Session.objects.filter(session_key=sign_in.session_key).delete()
        gone, _ = SignIn.objects.filter(id=sign_in.id).delete()
        if gone:
            data = {"address": sign_in.address, "agent": sign_in.agent}
            record_change(actor, "signin.end", "person", sign_in.person.username, data)
            tell_rights_changed(sign_in.person_id)
    return bool(gone)


def end_sign_ins(actor: Actor, person: Person) -> int:
    """Every browser of this person is signed out, as by `end_sign_in`, in one act; how many were. Raises `Forbidden`."""
    require(actor, Right.MANAGE_PEOPLE)
    with transaction.atomic():
        found = SignIn.objects.select_for_update(of=("self",)).filter(person=person).select_related("person")
        return sum(end_sign_in(actor, each) for each in found.order_by("id"))
