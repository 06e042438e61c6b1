"""``/settings/sign-in``: by what rules people come in, and who is in now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.password_validation import password_validators_help_texts
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from flows.access import signin
from flows.access.actions.end_sign_in import end_sign_ins
from flows.access.actions.invite_person import LONGEST
from flows.access.letters import letters_are_sent
from flows.access.links import LASTS
from flows.access.rights import Right, require
from flows.access.signins import people_signed_in
from orchestrator.people.reads import person_named
from orchestrator.people.tabs import tabs_for


@dataclass(frozen=True, slots=True)
class Rule:
    """What it is about, what holds, and the environment variable that says so, where one does."""

    what: str
    words: str
    variable: str = ""


def rules() -> list[Rule]:
    """The rules by which people come in here: those that the door goes by, read from where it reads them."""
    sent = "It is sent by mail." if letters_are_sent() else "It is copied by hand: no mail server is set up."
    over_https = (
        "Browsers send it over HTTPS alone." if settings.SESSION_COOKIE_SECURE else "Browsers send it over plain HTTP, too."
    )
    return [
        Rule("Password", " ".join(str(each) for each in password_validators_help_texts())),
        Rule(
            "Attempts",
            f"Within {lasting(signin.WINDOW)}: {signin.PER_PERSON_AND_ADDRESS} for a name from one address, {signin.PER_PERSON} for "
            f"a name from anywhere, {signin.PER_ADDRESS} from an address. What is beyond waits until that time is over.",
        ),
        Rule(
            "Sign-in",
            f"It ends after {lasting(settings.SESSION_COOKIE_AGE)}, counted anew from each change that a page confirms, and with a "
            "new password.",
        ),
        Rule("Its cookie", over_https, "SECURE_COOKIES"),
        Rule("Invitation", f"Its link works once, for {lasting(LASTS)}; for {lasting(LONGEST)} at most, where that is asked."),
        Rule("New password", f"Its link works once, for {lasting(settings.PASSWORD_RESET_TIMEOUT)}. {sent}", "EMAIL_HOST"),
        Rule("Key", "It signs sign-ins and links for new passwords: with another key they are over.", "SECRET_KEY"),
    ]


def lasting(span: timedelta | int) -> str:
    """A length of time (or so many seconds) in words, in its largest even unit: ``14 days``, ``15 minutes``."""
    seconds = int(span.total_seconds()) if isinstance(span, timedelta) else span
    unit, name = next(each for each in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")) if seconds % each[0] == 0)
    return f"{seconds // unit} {name}{'s' if seconds != unit else ''}"


@login_required
@require_safe
def entering(request: Any) -> HttpResponse:
    """The rules, and who is signed in."""
    require(request.actor, Right.MANAGE_PEOPLE)
    context = {
        "tabs": tabs_for(request.actor, "settings-sign-in"),
        "rules": rules(),
        "signed_in": people_signed_in(request.actor),
    }
    return render(request, "settings/sign_in.html", context)


@login_required
@require_POST
def end_all(request: Any, username: str) -> HttpResponse:
    """Signs a person out everywhere."""
    require(request.actor, Right.MANAGE_PEOPLE)
    person = person_named(request.actor, username)
    count = end_sign_ins(request.actor, person)
    request.toast(f"{person} is signed out of {count} browser{'s' if count != 1 else ''}.")
    return redirect("settings-sign-in")
