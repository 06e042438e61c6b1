"""The settings of a flow, and what pauses it or puts it away."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from flows.access.actor import Actor
from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right, require
from flows.builder.actions.archive_flow import archive_flow
from flows.builder.actions.change_settings import CEILINGS, change_settings
from flows.builder.actions.pause_flow import pause_flow
from flows.builder.pages.ground import heading
from flows.builder.reads import flow_named
from flows.builder.starters import starters_of
from flows.models import Flow, Person, Team

MANAGED = ("owner", "team", "cost", "tokens", "steps", "duration", "needs_second", "max_running", "keeps_slot", "priority")


class SettingsForm(forms.Form):
    """What a flow is set to. Where `manages` is not given only the tags can be changed."""

    use_required_attribute = False

    tags = forms.CharField(required=False, help_text="Separated by commas. Each run bears them; lists can be narrowed to them.")
    owner = forms.ChoiceField(required=False, help_text="Whom to ask about this flow.")
    team = forms.ChoiceField(required=False, label="Belongs to", help_text="Only that team sees it, its runs and its requests.")
    cost = forms.CharField(
        required=False, label="Cost ceiling of a run", help_text="Dollars. No run may spend more, whatever its document says."
    )
    tokens = forms.CharField(required=False, label="Token ceiling of a run")
    steps = forms.CharField(required=False, label="Step ceiling of a run")
    duration = forms.CharField(required=False, label="Time ceiling of a run", help_text="Such as 30m, 4h or 2d.")
    needs_second = forms.BooleanField(
        required=False,
        label="Publishing takes two",
        help_text="A new version goes live once somebody approves it who did not write on it.",
    )

    max_running = forms.CharField(
        required=False, label="Runs at once", help_text="Further runs wait in the queue. Empty: any number."
    )
    keeps_slot = forms.BooleanField(
        required=False,
        label="A waiting run counts",
        help_text="A run that waits for a person, a time or an event keeps its place among them; else it frees it.",
    )
    priority = forms.CharField(
        required=False, label="Priority", help_text="From -10 to 10; queued runs of a higher priority go first. Empty: 0."
    )

    def __init__(self, flow: Flow, manages: bool, data: Any = None) -> None:
        super().__init__(data, initial=_initial(flow), label_suffix="")
        self.manages = manages
        people = Person.objects.filter(is_active=True).order_by("username").values_list("username", flat=True)
        teams = Team.objects.order_by("name").values_list("slug", "name")
        self.choices_of(
            "owner", [("", "nobody"), *((name, name) for name in people)], flow.owner.username if flow.owner is not None else None
        )
        self.choices_of("team", [("", "everybody"), *teams], None)
        if not manages:
            for name in MANAGED:
                self.fields[name].disabled = True

    def choices_of(self, name: str, choices: list[tuple[str, str]], now: str | None) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        known = dict(choices)
        field.choices = [*choices, *([(now, now)] if now and now not in known else [])]

    def given(self) -> dict[str, Any]:
        """What `change_settings` takes."""
        data = self.cleaned_data
        given: dict[str, Any] = {"tags": [tag.strip() for tag in data["tags"].split(",") if tag.strip()]}
        if not self.manages:
            return given
        ceiling = {name: data[name] for name in ("cost", "duration") if data[name]}
        ceiling |= {name: _whole(data[name]) for name in ("tokens", "steps") if data[name]}
        given |= {"owner": data["owner"] or None, "team": data["team"] or None}
        given |= {"max_running": _whole(data["max_running"]) if data["max_running"] else None, "keeps_slot": data["keeps_slot"]}
        given |= {"priority": _whole(data["priority"]) if data["priority"] else 0}
        return given | {"ceiling": ceiling, "needs_second": data["needs_second"]}

    def take(self, faults: Iterable[Fault]) -> None:
        for fault in faults:
            place = fault.place.removeprefix("ceiling.").partition("[")[0]
            sentence = f"{fault.message[:1].upper()}{fault.message[1:]}. {fault.mend}".strip()
            self.add_error(place if place in self.fields else None, sentence)


def _whole(text: str) -> int | str:
    plain = text.replace(",", "").strip()
    return int(plain) if plain.isascii() and plain.removeprefix("-").isdecimal() and len(plain) < 16 else text


def _initial(flow: Flow) -> dict[str, Any]:
    ceiling = {name: flow.ceiling.get(name, "") for name in CEILINGS}
    owner, team = flow.owner and flow.owner.username, flow.team and flow.team.slug
    queue = {"max_running": flow.max_running or "", "keeps_slot": flow.keeps_slot, "priority": flow.priority}
    named = {"tags": ", ".join(flow.tags), "owner": owner or "", "team": team or "", "needs_second": flow.needs_second}
    return {**named, **ceiling, **queue}


def settings_context(actor: Actor, flow: Flow, form: SettingsForm | None = None) -> dict[str, Any]:
    return {"form": form or SettingsForm(flow, actor.may(Right.MANAGE_FLOWS, flow.team_id))}


@login_required
@require_POST
def flow_settings(request: Any, slug: str) -> HttpResponse:
    """Saves the settings."""
    flow = flow_named(request.actor, slug)
    require(request.actor, Right.EDIT_FLOWS, flow)
    form = SettingsForm(flow, request.actor.may(Right.MANAGE_FLOWS, flow.team_id), request.POST)
    if form.is_valid():
        try:
            change_settings(request.actor, slug, form.given())
        except Invalid as refusal:
            form.take(refusal.problems)
    if form.errors:
        context = heading(request.actor, flow, "settings") | {"form": form}
        return render(request, "flows/detail.html", context, status=422)
    request.toast("Settings saved.")
    return redirect(f"{reverse('flow', kwargs={'slug': slug})}?tab=settings")


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def flow_pause(request: Any, slug: str) -> HttpResponse:
    """Asks whether to pause the flow, and pauses it or, with ``paused=no``, lets it go on."""
    flow = flow_named(request.actor, slug)
    require(request.actor, Right.CONTROL_RUNS, flow)
    if request.method != "POST":
        return render(request, "flows/pausing.html", _asked(request.actor, flow, "pause"))
    paused = request.POST.get("paused", "yes") == "yes"
    pause_flow(request.actor, slug, paused=paused)
    request.toast(f"{flow.name} is paused: no new run starts." if paused else f"{flow.name} starts runs again.")
    return redirect("flow", slug)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def flow_archive(request: Any, slug: str) -> HttpResponse:
    """Asks whether to put the flow away, and does, or, with ``archived=no``, brings it back."""
    flow = flow_named(request.actor, slug)
    require(request.actor, Right.PUBLISH_FLOWS, flow)
    if request.method != "POST":
        return render(request, "flows/pausing.html", _asked(request.actor, flow, "archive"))
    archived = request.POST.get("archived", "yes") == "yes"
    archive_flow(request.actor, slug, archived=archived)
    request.toast(f"{flow.name} is archived." if archived else f"{flow.name} is back.")
    return redirect("flow", slug)


def _asked(actor: Actor, flow: Flow, act: str) -> dict[str, Any]:
    return heading(actor, flow, "") | {"act": act, "starters": starters_of([flow]).get(flow.id, [])}
