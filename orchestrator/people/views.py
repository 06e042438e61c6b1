"""``/settings/people``, ``/settings/teams``, ``/settings/roles``: who is here, and what they may do."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from approvals.actions.offboard_person import offboard_person, requests_of
from approvals.actions.remove_team import remove_team, uses_of
from flows.access.actions.change_person import change_person
from flows.access.actions.create_team import create_team
from flows.access.actions.end_sign_in import end_sign_in
from flows.access.actions.grant_role import grant_role
from flows.access.actions.invite_person import invite_person, withdraw_invitation
from flows.access.actions.make_password_link import make_password_link
from flows.access.actions.reactivate_person import reactivate_person
from flows.access.actions.revoke_role import revoke_role
from flows.access.letters import letters_are_sent
from flows.access.refusals import Conflict, Invalid
from flows.access.rights import Right, require
from flows.access.signins import sign_ins_of
from flows.models import Person, Role
from orchestrator.people.forms import HeirForm, InviteForm, PersonForm, RoleForm, SuccessorForm, TeamForm
from orchestrator.people.mails import mail_invitation
from orchestrator.people.reads import (
    Wanted,
    away,
    held_by,
    invitation_named,
    invitations_open,
    keys_listed,
    matrix,
    people_listed,
    person_named,
    role_words,
    sign_in_named,
    team_named,
    teams_listed,
)
from orchestrator.people.tabs import tabs_for

STATES = {"active": "Active", "deactivated": "Deactivated", "all": "Everybody"}


@login_required
@require_safe
def settings_home(request: Any) -> HttpResponse:
    """The first tab that this person may open."""
    return redirect(tabs_for(request.actor, "")[0]["url"])


@login_required
@require_safe
def people(request: Any) -> HttpResponse:
    """Everybody who may come in, and who was invited."""
    query = request.GET
    state = query.get("state", "") if query.get("state", "") in STATES else "active"
    text, role, team = (query.get(name, "").replace("\x00", "").strip()[:120] for name in ("q", "role", "team"))
    wanted = Wanted(text, role, team, state)
    found = people_listed(request.actor, wanted)
    gone = away(found)
    context = {
        "tabs": tabs_for(request.actor, "settings-people"),
        "people": [(person, role_words(person.memberships.all()), gone.get(person.id)) for person in found],
        "invitations": [(each, _words(each.roles)) for each in invitations_open(request.actor)[:100]],
        "wanted": wanted,
        "states": STATES.items(),
        "roles": Role.choices,
    }
    return render(request, "people/list.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def invite(request: Any) -> HttpResponse:
    """Invites somebody; the page that answers shows the link, this once."""
    require(request.actor, Right.MANAGE_PEOPLE)
    form = InviteForm(request.POST or None, initial={"role": Role.OPERATOR})
    context: dict[str, Any] = {"form": form, "mail": letters_are_sent(), "example": [{"role": Role.OPERATOR.value}]}
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            invitation, secret = invite_person(
                request.actor, [(given["role"], given["team"] or None)], email=given["email"], name=given["name"]
            )
        except Invalid as refusal:
            form.take(refusal.problems)
        else:
            link = request.build_absolute_uri(reverse("invitation", args=[secret]))
            failed = mail_invitation(invitation, link) if given["email"] and letters_are_sent() else None
            context |= {"invitation": invitation, "link": link, "failed": failed}
    response = render(request, "people/invite.html", context, status=422 if form.errors else 200)
    response["Cache-Control"] = "no-store"
    return response


@login_required
@require_POST
def withdrawal(request: Any, invitation_id: str) -> HttpResponse:
    """Takes an invitation back."""
    withdraw_invitation(request.actor, invitation_named(request.actor, invitation_id))
    request.toast("The invitation is withdrawn.")
    return redirect("settings-people")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def person_page(request: Any, username: str) -> HttpResponse:
    """One person: who they are, what they hold, where they are signed in."""
    require(request.actor, Right.MANAGE_PEOPLE)
    person = person_named(request.actor, username)
    form = PersonForm(person, request.POST) if request.method == "POST" else PersonForm(person)
    if request.method == "POST" and form.is_valid():
        try:
            change_person(request.actor, person, **form.cleaned_data)
        except Invalid as refusal:
            form.take(refusal.problems)
        else:
            request.toast("Saved.")
            return redirect("settings-person", username)
    return _person(request, person, form=form, status=422 if form.errors else 200)


@login_required
@require_POST
def roles_of(request: Any, username: str) -> HttpResponse:
    """Gives or, with ``act=revoke``, takes a role."""
    require(request.actor, Right.MANAGE_PEOPLE)
    person = person_named(request.actor, username)
    slug, role = request.POST.get("team", ""), request.POST.get("role", "")
    team = team_named(slug) if slug else None
    try:
        if request.POST.get("act") == "revoke":
            revoke_role(request.actor, person, role, team)
        else:
            grant_role(request.actor, person, role, team)
    except Conflict as refusal:
        return _person(request, person, refused=refusal.message, status=409)
    return redirect("settings-person", username)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def deactivation(request: Any, username: str) -> HttpResponse:
    """Asks who takes over what waits for the person, and shuts them out; with ``act=reactivate`` lets them in again."""
    require(request.actor, Right.MANAGE_PEOPLE)
    person = person_named(request.actor, username)
    form, refused = SuccessorForm(person, request.POST or None), ""
    if request.method == "POST" and request.POST.get("act") == "reactivate":
        reactivate_person(request.actor, person)
        request.toast(f"{person} may sign in again.")
        return redirect("settings-person", username)
    if request.method == "POST" and form.is_valid():
        name = form.cleaned_data["successor"]
        try:
            count = offboard_person(request.actor, person, Person.objects.get(username=name) if name else None)
        except Conflict as refusal:
            refused = refusal.message
        else:
            handed = f" {count} open request{'s' if count != 1 else ''} went to {name}." if count else ""
            request.toast(f"{person} is deactivated.{handed}")
            return redirect("settings-person", username)
    context = {"person": person, "form": form, "waiting": requests_of(person), "refused": refused}
    return render(request, "people/deactivation.html", context, status=409 if refused else 422 if form.errors else 200)


@login_required
@require_POST
def reset_link(request: Any, username: str) -> HttpResponse:
    """A link by which the person sets a new password; shown this once."""
    require(request.actor, Right.MANAGE_PEOPLE)
    person = person_named(request.actor, username)
    link = request.build_absolute_uri(reverse("password-reset", args=make_password_link(request.actor, person)))
    response = _person(request, person, link=link)
    response["Cache-Control"] = "no-store"
    return response


@login_required
@require_POST
def end_sign_in_of(request: Any, username: str, sign_in_id: str) -> HttpResponse:
    """Signs one of the person's browsers out."""
    require(request.actor, Right.MANAGE_PEOPLE)
    end_sign_in(request.actor, sign_in_named(person_named(request.actor, username), sign_in_id))
    request.toast("That browser is signed out.")
    return redirect("settings-person", username)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def teams(request: Any) -> HttpResponse:
    """The teams with their people; adds one."""
    require(request.actor, Right.MANAGE_PEOPLE)
    form = TeamForm(request.POST or None, label_suffix="")
    if request.method == "POST" and form.is_valid():
        try:
            team = create_team(request.actor, form.cleaned_data["slug"], form.cleaned_data["name"])
        except Invalid as refusal:
            form.take(refusal.problems)
        except Conflict as refusal:
            form.add_error("slug", refusal.message)
        else:
            request.toast(f"Team {team.name} is there. Give people a role in it on their page.")
            return redirect("settings-teams")
    context = {"tabs": tabs_for(request.actor, "settings-teams"), "teams": teams_listed(request.actor), "form": form}
    return render(request, "people/teams.html", context, status=422 if form.errors else 200)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def team_removal(request: Any, slug: str) -> HttpResponse:
    """Says what belongs to the team and what still names it, asks who gets its flows, and removes it."""
    require(request.actor, Right.MANAGE_PEOPLE)
    team = team_named(slug)
    form, problems = HeirForm(team, request.POST or None), list(uses_of(team))
    if request.method == "POST" and form.is_valid():
        name = form.cleaned_data["to"]
        try:
            done = remove_team(request.actor, team, team_named(name) if name else None)
        except Conflict as refusal:
            problems = list(refusal.problems)
        else:
            request.toast(f"Team {team.name} is removed; {done['flows']} flow{'s' if done['flows'] != 1 else ''} went on.")
            return redirect("settings-teams")
    context = {"team": team, "form": form, "problems": problems, "flows": team.flows.count(), "roles": team.memberships.count()}
    return render(request, "people/team_removal.html", context, status=409 if request.method == "POST" else 200)


@login_required
@require_safe
def roles(request: Any) -> HttpResponse:
    """Which role includes which right."""
    context = {"tabs": tabs_for(request.actor, "settings-roles"), "roles": Role.labels, "matrix": matrix()}
    return render(request, "people/roles.html", context)


def _person(
    request: Any, person: Person, *, form: PersonForm | None = None, refused: str = "", link: str = "", status: int = 200
) -> HttpResponse:
    context = {
        "person": person,
        "form": form or PersonForm(person),
        "role_form": RoleForm(initial={"role": Role.OPERATOR}),
        "held": held_by(person),
        "sign_ins": list(sign_ins_of(person)),
        "keys": keys_listed(request.actor, "active", person.username),
        "refused": refused,
        "link": link,
    }
    return render(request, "people/person.html", context, status=status)


def _words(roles: list[dict[str, Any]]) -> list[str]:
    return [f"{Role(each['role']).label}{' ({})'.format(each['team']) if each['team'] else ''}" for each in roles]
