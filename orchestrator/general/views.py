"""The general page of the settings."""

from __future__ import annotations

import platform
import shlex
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import django
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from flows.access.refusals import Invalid
from flows.access.rights import Right, require
from orchestrator.actions.try_mail import try_mail
from orchestrator.people.mails import mail_is_set_up
from orchestrator.people.tabs import tabs_for


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def general(request: Any) -> HttpResponse:
    """The facts, each with the variable that sets it; posted to, a letter is sent to see whether letters arrive."""
    require(request.actor, Right.MANAGE_SETTINGS)
    said, status = "", 200
    if request.method == "POST":
        try:
            said, status = try_mail(request.actor), 502
        except Invalid as refusal:
            said, status = f"{refusal.message} {refusal.problems[0].mend}", 422
        if not said:
            request.toast("The mail server took the letter.")
            return redirect("settings-general")
    context = {
        "tabs": tabs_for(request.actor, "settings-general"),
        "facts": facts(),
        "where": where(),
        "data": settings.DATA_DIR,
        "mail": mail_is_set_up(),
        "said": said,
    }
    return render(request, "settings/general.html", context, status=status)


def facts() -> list[tuple[str, str, str]]:
    """Label, value, and the environment variable that sets it."""
    mail = f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}" if settings.EMAIL_HOST else "none: links are copied by hand"
    return [
        ("Version", f"{_version()}, Python {platform.python_version()}, Django {django.get_version()}", ""),
        ("Address", settings.SITE_URL, "SITE_URL"),
        ("Zone of the server", settings.TIME_ZONE, ""),
        ("Currency", "US dollars, as the price book has them", ""),
        ("Mail server", mail, "EMAIL_HOST"),
        ("Sender of letters", settings.DEFAULT_FROM_EMAIL, "EMAIL_FROM"),
    ]


def where() -> str:
    """How PostgreSQL's own programs are told which database it is; passwords are theirs to ask for."""
    known = settings.DATABASES["default"]
    options = {"host": known.get("HOST"), "port": known.get("PORT"), "username": known.get("USER")}
    return " ".join(
        [*(f"--{name}={shlex.quote(str(value))}" for name, value in options.items() if value), f"--dbname={known['NAME']}"]
    )


def _version() -> str:
    try:
        return version("orchestrator")
    except PackageNotFoundError:
        return "a checkout"
