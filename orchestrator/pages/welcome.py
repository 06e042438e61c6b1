"""The first run of an installation where nobody can sign in: its first owner, with the demonstration or without."""

from __future__ import annotations

from django import forms
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from flows.access.actor import Actor
from flows.access.refusals import Invalid, TooManyAttempts
from flows.access.signin import count_attempt
from flows.models import Person
from orchestrator.actions.make_first_owner import NotEmpty, make_first_owner
from orchestrator.demonstration.bringing import bring_demonstration
from orchestrator.demonstration.states import can_be_brought

EXPLORE, EMPTY = "explore", "empty"


class Welcome(forms.Form):
    begin = forms.ChoiceField(
        label="Begin",
        required=False,
        initial=EXPLORE,
        widget=forms.RadioSelect,
        choices=(
            (
                EXPLORE,
                "Explore with demo data (recommended): example people and flows, 45 days of runs, open approvals. Nothing is charged.",
            ),
            (EMPTY, "Start empty: add models now or later."),
        ),
    )
    token = forms.CharField(
        label="Token", max_length=80, help_text="It was printed in the terminal where Orchestrator was started."
    )
    username = forms.CharField(
        max_length=64,
        initial="owner",
        help_text="Small letters, digits, - and _.",
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none"}),
    )
    name = forms.CharField(
        label="Name",
        max_length=120,
        required=False,
        help_text="As others see it.",
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    password = forms.CharField(
        max_length=200,
        strip=False,
        help_text="At least 10 characters.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def welcome(request: HttpRequest) -> HttpResponse:
    """Makes the first owner; afterwards it only leads to the door."""
    if Person.objects.exists():
        return redirect("login")
    form = Welcome(request.POST or None, initial={"token": request.GET.get("token", ""), "username": "owner", "begin": EXPLORE})
    explorable = can_be_brought()
    if not explorable:
        del form.fields["begin"]
    if request.method == "POST" and form.is_valid():
        try:
            count_attempt("welcome", str(request.META.get("REMOTE_ADDR", "")))
            wish = form.cleaned_data.pop("begin", EMPTY)
            person = make_first_owner(**form.cleaned_data)
        except NotEmpty:
            return redirect("login")
        except TooManyAttempts as refusal:
            form.add_error(None, refusal.message)
        except Invalid as refusal:
            for fault in refusal.problems:
                form.add_error(fault.place if fault.place in form.fields else None, f"It {fault.message}. {fault.mend}".strip())
        else:
            login(request, person)
            if wish != EXPLORE:
                return redirect("/")
            signs = bring_demonstration(Actor(person=person))
            return render(request, "pages/brought.html", {"signs": signs})
    return render(request, "pages/welcome.html", {"form": form}, status=422 if form.errors else 200)
