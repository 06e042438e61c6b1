"""``/me``: one's own name, looks, password, and the browsers in which one is signed in."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from flows.access.actions.change_person import change_person
from flows.access.actions.end_sign_in import end_sign_in
from flows.access.actions.set_password import change_password
from flows.access.refusals import Invalid
from flows.access.signin import count_attempt
from flows.access.signins import address_of, sign_ins_of
from orchestrator.people.forms import PasswordForm, PersonForm
from orchestrator.people.reads import held_by, role_words, sign_in_named


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def me(request: Any) -> HttpResponse:
    """One's own page; saves name and e-mail."""
    person = request.actor.person
    form = PersonForm(person, request.POST) if request.method == "POST" else None
    if form is not None and form.is_valid():
        try:
            change_person(request.actor, person, **form.cleaned_data)
        except Invalid as refusal:
            form.take(refusal.problems)
        else:
            request.toast("Saved.")
            return redirect("me")
    return _page(request, form=form)


@login_required
@require_POST
def password(request: Any) -> HttpResponse:
    """Another password, by whoever knows the one before. Raises `TooManyAttempts`."""
    form = PasswordForm(request.POST, label_suffix="")
    if form.is_valid():
        count_attempt(request.actor.name, address_of(request))
        try:
            person = change_password(request.actor, form.cleaned_data["current"], form.cleaned_data["fresh"])
        except Invalid as refusal:
            form.take(refusal.problems)
        else:
            login(request, person)
            request.toast("Your password is changed. All other browsers are signed out.")
            return redirect("me")
    return _page(request, password_form=form)


@login_required
@require_POST
def end(request: Any, sign_in_id: str) -> HttpResponse:
    """Signs another browser out."""
    end_sign_in(request.actor, sign_in_named(request.actor.person, sign_in_id))
    request.toast("That browser is signed out.")
    return redirect("me")


def _page(request: Any, *, form: PersonForm | None = None, password_form: PasswordForm | None = None) -> HttpResponse:
    person = request.actor.person
    context = {
        "person": person,
        "form": form or PersonForm(person),
        "password_form": password_form or PasswordForm(label_suffix=""),
        "roles": role_words(held_by(person)),
        "sign_ins": list(sign_ins_of(person)),
        "here": request.session.session_key,
    }
    wrong = any(each is not None and each.errors for each in (form, password_form))
    return render(request, "people/me.html", context, status=422 if wrong else 200)
