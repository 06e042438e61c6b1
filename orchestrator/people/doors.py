"""Pages for somebody who is not signed in: an invitation's, and those of a forgotten password."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import login
from django.contrib.auth.forms import PasswordResetForm
from django.contrib.auth.tokens import default_token_generator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import urlsafe_base64_decode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from flows.access.actions.accept_invitation import accept_invitation, is_open
from flows.access.actions.set_password import replace_password
from flows.access.actor import Actor
from flows.access.installation import look_up
from flows.access.letters import letters_are_sent
from flows.access.links import invitation_behind
from flows.access.refusals import Conflict, Invalid, TooManyAttempts
from flows.access.signin import count_attempt
from flows.access.signins import address_of
from flows.models import Person
from orchestrator.people.forms import JoinForm, NewPasswordForm


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: Any, secret: str) -> HttpResponse:
    """Who was invited chooses a name and a password and is in. A link that was used, withdrawn or is over says so."""
    found = invitation_behind(secret)
    if found is None or not is_open(found):
        return render(request, "people/invitation_over.html", {"invitation": found}, status=410)
    form = JoinForm(request.POST or None, label_suffix="", initial={"name": found.name})
    if request.method == "POST" and form.is_valid():
        try:
            count_attempt("invitation", address_of(request))
            person = accept_invitation(secret, **form.cleaned_data)
        except Invalid as refusal:
            form.take(refusal.problems)
        except TooManyAttempts as refusal:
            form.add_error(None, refusal.message)
        except Conflict as refusal:
            form.add_error("username", refusal.message)
        else:
            login(request, person)
            return redirect("/")
    return render(request, "people/join.html", {"form": form, "invitation": found}, status=422 if form.errors else 200)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def forgotten(request: Any) -> HttpResponse:
    """Sends a link to the address of an account, if there is one; the answer is the same where there is none."""
    form = PasswordResetForm(request.POST or None)
    sent = False
    if request.method == "POST" and letters_are_sent() and form.is_valid():
        try:
            count_attempt(f"forgotten:{form.cleaned_data['email']}", address_of(request))
        except TooManyAttempts as refusal:
            form.add_error(None, refusal.message)
        else:
            form.save(
                request=request,
                use_https=request.is_secure(),
                subject_template_name="people/reset_subject.txt",
                email_template_name="people/reset_mail.txt",
                extra_email_context={"installation": look_up().name},
            )
            sent = True
    context = {"form": form, "sent": sent, "mail": letters_are_sent()}
    return render(request, "people/forgotten.html", context, status=422 if form.errors else 200)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def reset(request: HttpRequest, uid: str, token: str) -> HttpResponse:
    """A new password by a link that works once, for three days."""
    person = _person_of(uid)
    if person is None or not default_token_generator.check_token(person, token):
        return render(request, "people/reset_over.html", status=410)
    form = NewPasswordForm(request.POST or None, label_suffix="")
    if request.method == "POST" and form.is_valid():
        actor = Actor(person=person, request=getattr(request, "request_id", ""), address=address_of(request))
        try:
            replace_password(actor, person, form.cleaned_data["fresh"])
        except Invalid as refusal:
            form.take(refusal.problems)
        else:
            return redirect("login")
    return render(request, "people/reset.html", {"form": form, "person": person}, status=422 if form.errors else 200)


def _person_of(uid: str) -> Person | None:
    try:
        return Person.objects.filter(id=urlsafe_base64_decode(uid).decode(), is_active=True).first()
    except ValueError:
        return None
