"""The general page of the settings."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from flows.access.actions.change_installation import change_installation
from flows.access.installation import Known, look_up
from flows.access.letters import letters_are_sent
from flows.access.refusals import Invalid
from flows.access.rights import Right, require
from orchestrator.actions.try_mail import try_mail
from orchestrator.general.forms import InstallationForm
from orchestrator.general.reads import facts, where, zone_standing
from orchestrator.people.tabs import tabs_for


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def general(request: Any) -> HttpResponse:
    """What it is called, how it is backed up, whether letters arrive: each part is saved and reports alone."""
    require(request.actor, Right.MANAGE_SETTINGS)
    known = look_up()
    if request.POST.get("act") == "save":
        form = InstallationForm(known, request.POST)
        return _page(request, known, form) if not _saved(request, form) else redirect("settings-general")
    said, status = "", 200
    if request.method == "POST":
        try:
            said, status = try_mail(request.actor), 502
        except Invalid as refusal:
            said, status = f"{refusal.message} {refusal.problems[0].mend}", 422
        if not said:
            request.toast("The mail server took the letter.")
            return redirect("settings-general")
    return _page(request, known, said=said, status=status)


def _saved(request: Any, form: InstallationForm) -> bool:
    if not form.is_valid():
        return False
    try:
        change_installation(request.actor, **form.cleaned_data)
    except Invalid as refusal:
        form.take(refusal.problems)
        return False
    request.toast("Saved.")
    return True


def _page(request: Any, known: Known, form: InstallationForm | None = None, *, said: str = "", status: int = 422) -> HttpResponse:
    context = {
        "tabs": tabs_for(request.actor, "settings-general"),
        "form": form or InstallationForm(known),
        "known": known,
        "defaults": Known(),
        "standing": zone_standing(known.zone),
        "facts": facts(),
        "where": where(),
        "data": settings.DATA_DIR,
        "mail": letters_are_sent(),
        "said": said,
    }
    return render(request, "settings/general.html", context, status=status)
