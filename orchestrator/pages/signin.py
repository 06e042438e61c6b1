"""Signing in and out."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth import authenticate, login, logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from flows.access.refusals import TooManyAttempts
from flows.access.signin import count_attempt, forget_attempts
from flows.access.signins import record_failed_sign_in
from flows.models import Person
from orchestrator.pages.shell import Shell


class SignIn(forms.Form):
    username = forms.CharField(
        max_length=64, widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none"})
    )
    password = forms.CharField(
        max_length=200, strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "current-password"})
    )


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """The door: with name and password, then on to the page that was asked for."""
    onward = next_of(request)
    if not Person.objects.exists():
        return redirect("welcome")
    if request.user.is_authenticated and request.method != "POST":
        return redirect(_first(request, onward))
    form = SignIn(request.POST or None)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                return entered(request, form, onward)
            except TooManyAttempts as refusal:
                form.add_error(None, refusal.message)
                status = 429
    context: dict[str, Any] = {"form": form, "next": onward, "next_is_page": onward != "/"}
    return render(request, "pages/signin.html", context, status=status)


def entered(request: HttpRequest, form: SignIn, onward: str) -> HttpResponse:
    """Signs in, or says that name and password do not belong together. Raises `TooManyAttempts`."""
    username, address = form.cleaned_data["username"].strip().lower(), str(request.META.get("REMOTE_ADDR", ""))
    count_attempt(username, address)
    person = authenticate(request, username=username, password=form.cleaned_data["password"])
    if person is None:
        record_failed_sign_in(username, address, getattr(request, "request_id", ""))
        form.add_error(None, "This name and password do not belong together. Check both and try again.")
        return render(request, "pages/signin.html", {"form": form, "next": onward, "next_is_page": onward != "/"}, status=422)
    forget_attempts(username, address)
    login(request, person)
    return redirect(_first(request, onward))


def _first(request: HttpRequest, onward: str) -> str:
    """The page that was asked for, else the one on which this reader begins."""
    return onward if onward != "/" else Shell(request).start_address


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("login")


def next_of(request: HttpRequest) -> str:
    """Where to go on; only an address of this site, and never the door itself."""
    onward = request.POST.get("next") or request.GET.get("next") or "/"
    good = url_has_allowed_host_and_scheme(onward, {request.get_host()}, require_https=request.is_secure())
    return onward if good and onward.startswith("/") and not onward.startswith("/login") else "/"
