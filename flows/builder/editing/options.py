"""What the fields of a flow can refer to, each with what one wants to know before choosing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from django.db.models import CharField, Count, F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, NullIf

from flows.access.installation import money
from flows.builder.catalogue import bases_of
from flows.builder.policies import known_policies, named_policies
from flows.builder.subflows import References, known_flows, references
from flows.engine.document import FlowDocument
from flows.engine.kinds import Catalogue
from flows.models import Flow, ModelEntry, Person, Price, Route, Team, ToolEntry
from flows.routing.definitions import slugs_of


@dataclass(frozen=True, slots=True)
class Option:
    """One choice. `detail` says what it costs, does or is made of."""

    value: str
    label: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Options:
    """The choices by what a field refers to, and the tools' argument schemas."""

    by_kind: Mapping[str, Sequence[Option]] = field(default_factory=dict)
    tools: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    routes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    models: frozenset[str] = frozenset()
    team: UUID | None = None
    refers: References | None = None

    def of(self, kind: str) -> Sequence[Option]:
        """What a field that refers to this kind can name. Policies are read when a form wants them, by one query: few do."""
        if kind == "policy":
            return [Option(slug, each.name, each.detail) for slug, each in known_policies().items()]
        return self.by_kind.get(kind, ())

    def arguments_of(self, field: Literal["tool", "flow"], named: Any) -> Mapping[str, Any] | None:
        """The JSON Schema of what a tool is given, or, by two queries, of what a flow asks for; None for one that is not known."""
        if not isinstance(named, str) or not named:
            return None
        if field == "tool":
            return self.tools.get(named)
        known = known_flows({named}, self.team).get(named)
        return known.input if known is not None else None

    def catalogue(self, document: FlowDocument | None, team: UUID | None) -> Catalogue:
        """The same as the checks of a document want it: no query, two where it runs other flows, a few for each policy that it names."""
        wanted = {each.slug for each in references(document)} if document is not None else set()
        flows = known_flows(wanted, team) if wanted else {}
        bases = frozenset(each.value for each in self.of("base"))
        policies = named_policies(document)
        return Catalogue(frozenset(self.routes), self.models, dict(self.tools), flows, bases, policies)

    def beside(self, steps: Mapping[str, Any]) -> Options:
        """The same, with the steps that stand beside the one that is edited."""
        found = [
            Option(key, str(step.get("label") or key), str((step.get("with") or {}).get("tool", "")))
            for key, step in steps.items()
            if isinstance(step, Mapping) and step.get("kind") == "tool"
        ]
        return Options({**self.by_kind, "tool step": found}, self.tools, self.routes, self.models, self.team, self.refers)


def current_options(team: UUID | None = None, but: str = "") -> Options:
    """What this installation has now, for a flow of this team (None: everybody's) that is not offered itself (`but`): four queries,
    however much that is."""
    newest = Price.objects.filter(model=OuterRef("pk")).order_by("-valid_from")
    models = list(
        ModelEntry.objects.order_by("slug").annotate(
            price_in=Subquery(newest.values("input")[:1]), price_out=Subquery(newest.values("output")[:1])
        )
    )
    prices = {each.slug: _price(each.price_in, each.price_out, each.simulated) for each in models}
    routes = {each.slug: list(slugs_of(each.candidates)) for each in Route.objects.order_by("slug")}
    tools = list(ToolEntry.objects.order_by("slug"))
    of_routes = [
        Option(slug, slug, f"{', then '.join(candidates)} · {prices.get(candidates[0], '') if candidates else ''}".rstrip(" ·"))
        for slug, candidates in routes.items()
    ]
    of_models = [Option(each.slug, each.slug, f"one model · {prices[each.slug]}") for each in models]
    return Options(
        {
            "route": [*of_routes, *of_models],
            "tool": [Option(each.slug, each.slug, _effect(each)) for each in tools],
            **_named(team, but),
        },
        {each.slug: each.arguments for each in tools},
        routes,
        frozenset(each.slug for each in models),
        team,
        References(tools),
    )


def _named(team: UUID | None, but: str) -> dict[str, list[Option]]:
    """Flows, knowledge bases, people and teams, each in order: one query."""
    seen = Q(team__isnull=True) if team is None else Q(team__isnull=True) | Q(team_id=team)
    flows = Flow.objects.filter(seen, archived_at__isnull=True).exclude(slug=but)
    people = Person.objects.filter(is_active=True)
    rows = [
        _rows("flow", flows, "slug", F("name"), F("name"), Coalesce("published__number", 0)),
        _rows("base", bases_of(team), "slug", F("name"), F("name"), Count("documents")),
        _rows(
            "person", people, "username", Coalesce(NullIf("name", Value("")), "username", output_field=CharField()), F("username")
        ),
        _rows("team", Team.objects.all(), "slug", F("name"), F("slug")),
    ]
    found: dict[str, list[Option]] = {"flow": [], "base": [], "person": [], "team": []}
    for kind, value, label, _, number in rows[0].union(*rows[1:], all=True).order_by("ordered"):
        detail = {"flow": f"v{number}" if number else "not published yet", "base": f"{number} documents"}.get(kind, "")
        found[kind].append(Option(value, label, detail))
    return found


def _rows(kind: str, rows: QuerySet[Any], value: str, label: Any, ordered: Any, number: Any = None) -> QuerySet[Any]:
    said = {"what": Value(kind), "named": F(value), "label": label, "ordered": ordered}
    said["number_"] = number if number is not None else Value(0)
    return rows.order_by().annotate(**said).values_list(*said)


def _price(entering: Decimal | None, leaving: Decimal | None, simulated: bool) -> str:
    sim = " sim" if simulated else ""
    if entering is None or leaving is None:
        return f"no price known{sim}"
    return f"{money(_short(entering))} in, {money(_short(leaving))} out per 1M tokens{sim}"


def _short(amount: Decimal) -> str:
    text = f"{amount:.6f}".rstrip("0")
    return text + "0" * max(0, 2 - len(text.partition(".")[2]))


def _effect(tool: ToolEntry) -> str:
    if tool.effect == "read":
        return "reads"
    return "changes the world" + ("" if tool.reversible else " · not reversible")
