"""Making the catalogue what a document says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.rights import Right, require
from flows.costs.actions.put_budget import Wanted as BudgetWanted
from flows.costs.budgets import limits_in_words
from flows.engine.problems import DocumentError, Problem
from flows.models import AllowedHost, Membership, ModelEntry, Person, Role, Route, Team
from flows.routing.entries import reference_faults
from flows.runs.actions.change_budget import change_budget
from flows.runs.actions.put_connection import write_connection, write_server
from flows.runs.actions.put_model import Put, write_model
from flows.runs.actions.put_route import write_route
from flows.runs.actions.put_tool import flow_faults, policy_faults, write_tool
from orchestrator.catalogue_document import (
    BudgetPart,
    CatalogueDocument,
    TeamPart,
)


@dataclass
class Applied:
    """What changed, and what the document says that was not done; each a sentence."""

    changes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def take(self, put: Put) -> None:
        """Adds what was written of one part."""
        self.changes += put.changes
        self.warnings += put.warnings


def apply_catalogue(actor: Actor, document: CatalogueDocument) -> Applied:
    """Adds and alters what the document names, in one transaction with its audit rows; what it does not name stays as it is.

    Applying twice changes nothing the second time. A changed price becomes a new row that is valid from now on. Members of teams
    who do not exist yet become people without a password, approvers of their team. Raises `Forbidden` without the right to manage
    the catalogue (for teams: people), and `DocumentError` for references that lead nowhere.
    """
    require(actor, Right.MANAGE_CATALOGUE)
    if document.teams:
        require(actor, Right.MANAGE_PEOPLE)
    applied = Applied()
    with transaction.atomic():
        _refuse_what_is_missing(document)
        for slug, model in document.models.items():
            applied.take(write_model(actor, slug, model))
        for slug, route in document.routes.items():
            applied.take(write_route(actor, slug, route))
        for slug, tool in document.tools.items():
            applied.take(write_tool(actor, slug, tool))
        for slug, server in document.mcp.items():
            applied.take(write_server(actor, slug, server))
        for slug, connection in document.connections.items():
            applied.take(write_connection(actor, slug, connection))
        for slug, team in document.teams.items():
            _apply_team(actor, slug, team, applied)
        for host in document.allowed_hosts:
            if AllowedHost.objects.get_or_create(host=host)[1]:
                _note(actor, applied, "host.allow", "host", host, {}, f"allowed host {host}")
        for budget in document.budgets:
            _apply_budget(actor, budget, applied)
    return applied


def _refuse_what_is_missing(document: CatalogueDocument) -> None:
    stored: dict[str, Any] = dict(ModelEntry.objects.values_list("slug", "capabilities"))
    known = set(stored)
    models = {**stored, **{slug: model.capabilities for slug, model in document.models.items()}}
    problems = [problem for slug, route in document.routes.items() for problem in reference_faults(slug, route, models)]
    taken = set(Route.objects.filter(slug__in=document.models).values_list("slug", flat=True))
    problems += [
        Problem(f"models.{slug}", f"`{slug}` is the name of a route", "Give the model another name.") for slug in sorted(taken)
    ]
    taken = known & set(document.routes)
    problems += [
        Problem(f"routes.{slug}", f"`{slug}` is the name of a model", "Give the route another name.") for slug in sorted(taken)
    ]
    for slug, tool in document.tools.items():
        faults = [*flow_faults(tool), *policy_faults(tool.policy)]
        problems += [Problem(f"tools.{slug}.{fault.place}", fault.message, fault.mend) for fault in faults]
    if problems:
        raise DocumentError(problems)


def _apply_budget(actor: Actor, part: BudgetPart, applied: Applied) -> None:
    scope, _, subject = part.scope.partition(":")
    limits: dict[str, Any] = {name: getattr(part, name) for name in ("cost", "tokens", "calls", "steps")}
    limits["duration"] = None if part.duration is None else int(part.duration)
    wanted = BudgetWanted(scope, subject.strip(), part.period, **limits, at_limit=part.at_limit, warn=part.warn, zone=part.zone)
    budget, changed = change_budget(actor, wanted, "as the catalogue says")
    if changed:
        applied.changes.append(f"budget {budget.name}: {limits_in_words(budget)}, then {part.at_limit}")


def _apply_team(actor: Actor, slug: str, part: TeamPart, applied: Applied) -> None:
    team, fresh = Team.objects.get_or_create(slug=slug, defaults={"name": part.name or slug})
    if fresh:
        _note(actor, applied, "team.create", "team", slug, {"name": team.name}, f"new team {slug}")
    elif part.name and team.name != part.name:
        team.name = part.name
        team.save(update_fields=["name"])
        _note(actor, applied, "team.rename", "team", slug, {"name": part.name}, f"team {slug}: name")
    for username in part.members:
        person = Person.objects.filter(username=username).first()
        if person is None:
            person = Person.objects.create_person(username)
            _note(
                actor,
                applied,
                "person.create",
                "person",
                username,
                {},
                f"new person {username} (cannot sign in until given a password)",
            )
        _, fresh = Membership.objects.get_or_create(person=person, team=team, role=Role.APPROVER)
        if fresh:
            data = {"role": Role.APPROVER.value, "team": slug}
            _note(actor, applied, "role.grant", "person", username, data, f"{username} is an approver of {slug}")
    others = Membership.objects.filter(team=team, role=Role.APPROVER).exclude(person__username__in=part.members)
    names = sorted(others.values_list("person__username", flat=True))
    if names:
        applied.warnings.append(f"team {slug} keeps approvers whom the document does not name: {', '.join(names)}.")


def _note(actor: Actor, applied: Applied, action: str, kind: str, subject: str, data: dict[str, Any], sentence: str) -> None:
    record_change(actor, action, kind, subject, data)
    applied.changes.append(sentence)
