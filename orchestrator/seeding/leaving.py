"""What of the demonstration would go and what would stay, and why. Nothing is changed here.

What somebody of this installation uses stays with them: a flow that they ran, changed or published, and whatever such a flow, or
another one, names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet

from approvals.models import Policy
from flows.models import (
    AllowedHost,
    Budget,
    Call,
    Firing,
    Flow,
    FlowVersion,
    KnowledgeBase,
    KnowledgeDocument,
    ModelEntry,
    Person,
    Price,
    Route,
    Run,
    Team,
    ToolEntry,
    Trigger,
)
from orchestrator.seeding.marks import marked

WORDS = {"base": "knowledge base", "host": "allowed host", "trigger": "schedule", "person": "account"}


@dataclass(slots=True)
class Leaving:
    """What goes: identifiers or names by kind; and what stays although it was brought: what it is, and why."""

    going: dict[str, list[str]] = field(default_factory=dict)
    staying: list[tuple[str, str]] = field(default_factory=list)

    def go(self, kind: str, key: object) -> None:
        self.going.setdefault(kind, []).append(str(key))

    def stay(self, kind: str, name: str, why: str) -> None:
        self.staying.append((f"{WORDS.get(kind, kind)} {name}", why))

    @property
    def counts(self) -> list[tuple[str, int]]:
        """How many of each kind go, in words that stand in the plural where there are several."""
        return [(_plural(WORDS.get(kind, kind), len(keys)), len(keys)) for kind, keys in self.going.items() if keys]


def _plural(word: str, count: int) -> str:
    if count == 1:
        return word
    return "policies" if word == "policy" else f"{word}s"


def leaving(by: Person | None) -> Leaving:
    """What would go if `by` removed the demonstration now."""
    found = Leaving()
    triggers, runs = marked("trigger"), _runs()
    found.going["run"] = sorted(runs)
    for trigger in Trigger.objects.filter(id__in=triggers):
        found.go("trigger", trigger.id)
    _flows(found, runs, triggers)
    names = _Names(_documents(Flow.objects.exclude(id__in=found.going.get("flow", []))))
    _catalogue(found, names, runs)
    for budget in Budget.objects.filter(id__in=marked("budget")):
        found.go("budget", budget.id)
    _teams(found, names)
    for person in Person.objects.filter(username__in=marked("person")).order_by("username"):
        if by is not None and person.id == by.id:
            found.stay("person", person.username, "it is yours")
        else:
            found.go("person", person.username)
    return found


def _runs() -> set[str]:
    """The runs that were brought, and those that schedules which were brought have started since."""
    by_trigger = Firing.objects.filter(trigger_id__in=marked("trigger"), run__isnull=False).values_list("run_id", flat=True)
    here = Run.objects.filter(id__in=marked("run")).values_list("id", flat=True)
    return {str(run) for run in (*here, *by_trigger)}


def _flows(found: Leaving, runs: set[str], triggers: set[str]) -> None:
    drafts, versions = marked("draft"), marked("version")
    for flow in Flow.objects.filter(id__in=marked("flow")).order_by("name"):
        own = {str(run) for run in Run.objects.filter(flow=flow).values_list("id", flat=True)} - runs
        others = {str(each) for each in flow.versions.values_list("id", flat=True)} - versions
        if own:
            found.stay("flow", flow.name, f"{len(own):,} of its runs {'is' if len(own) == 1 else 'are'} yours")
        elif others or f"{flow.id}:{flow.revision}" not in drafts:
            found.stay("flow", flow.name, "somebody changed it")
        elif flow.triggers.exclude(id__in=triggers).exists() or flow.drills.exists():
            found.stay("flow", flow.name, "it has a trigger or a drill of yours")
        else:
            found.go("flow", flow.id)


def _documents(flows: QuerySet[Flow]) -> list[str]:
    published = FlowVersion.objects.filter(flow__in=flows, number__isnull=False).values_list("document", flat=True)
    return [*flows.values_list("draft", flat=True), *published]


class _Names:
    """The words of the documents that stay."""

    def __init__(self, documents: list[str]) -> None:
        self._words = {word for text in documents for word in re.findall(r"[\w.-]+", text)}

    def __contains__(self, name: str) -> bool:
        return name in self._words


def _catalogue(found: Leaving, names: _Names, runs: set[str]) -> None:
    """Policies, knowledge bases, routes, models with their prices, tools and hosts, each unless it is used."""
    for policy in Policy.objects.filter(slug__in=marked("policy")).order_by("slug"):
        _go_unless(found, "policy", policy.slug, "a flow names it" if policy.slug in names else "")
    for base in KnowledgeBase.objects.filter(slug__in=marked("base")).order_by("slug"):
        more = KnowledgeDocument.objects.filter(base=base).count() > 1
        _go_unless(
            found, "base", base.slug, "a flow names it" if base.slug in names else "it has documents of yours" if more else ""
        )
    staying: set[str] = set()
    for route in Route.objects.filter(slug__in=marked("route")).order_by("slug"):
        _go_unless(found, "route", route.slug, "a flow names it" if route.slug in names else "")
    for route in Route.objects.exclude(slug__in=found.going.get("route", [])):
        staying |= {each if isinstance(each, str) else str(each.get("model", "")) for each in route.candidates}
    asked = set(Call.objects.filter(kind="model").exclude(run__in=list(runs)).values_list("target", flat=True).distinct())
    for model in ModelEntry.objects.filter(slug__in=marked("model")).order_by("slug"):
        why = "a route leads to it" if model.slug in staying else "a flow names it" if model.slug in names else ""
        _go_unless(found, "model", model.slug, why or ("a run of yours asked it" if model.slug in asked else ""))
    for price in Price.objects.filter(id__in=marked("price"), model__in=found.going.get("model", [])):
        found.go("price", price.id)
    kept: list[Any] = list(ToolEntry.objects.exclude(slug__in=marked("tool")).values_list("settings", flat=True))
    for tool in ToolEntry.objects.filter(slug__in=marked("tool")).order_by("slug"):
        _go_unless(found, "tool", tool.slug, "a flow names it" if tool.slug in names else "")
        kept += [tool.settings] if tool.slug in names else []
    for host in AllowedHost.objects.filter(host__in=marked("host")).order_by("host"):
        _go_unless(found, "host", host.host, "a tool calls it" if any(host.host in str(each) for each in kept) else "")


def _teams(found: Leaving, names: _Names) -> None:
    cast = marked("person")
    for team in Team.objects.filter(slug__in=marked("team")).order_by("slug"):
        others = team.memberships.exclude(person__username__in=cast).exists()
        flows = team.flows.exclude(id__in=found.going.get("flow", [])).exists()
        why = (
            "somebody of yours is in it"
            if others
            else "a flow belongs to it"
            if flows
            else "a flow names it"
            if team.slug in names
            else ""
        )
        _go_unless(found, "team", team.slug, why)


def _go_unless(found: Leaving, kind: str, name: str, why: str) -> None:
    if why:
        found.stay(kind, name, why)
    else:
        found.go(kind, name)
