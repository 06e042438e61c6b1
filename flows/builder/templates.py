"""The templates: flows that ship with the product, in files, and how one is fitted to the catalogue that it finds."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.db.models.functions import Now

from flows.builder.actions.create_flow import slug_of
from flows.builder.findings import Ground
from flows.costs.prices import PriceRow, upper_bound
from flows.costs.tokens import tokens_of_text
from flows.engine.document import Body, FlowDocument, dump_document, load_document, parse_document
from flows.engine.problems import DocumentError
from flows.engine.yamltext import parse_yaml
from flows.models import ModelEntry, Price

FOLDER = Path(__file__).parent / "gallery"
STAND_IN = "stand-in"
"""Chosen for a tool that is missing: a step that only notes what would have been sent."""
MAKE = "make"
"""Chosen for a flow or a knowledge base that is missing: a flow is made of its own template, and published; a base with one document."""

ITEMS = 5  # what an estimate counts for a list whose length nobody knows
USUAL_OUTPUT = 200  # tokens, where a step does not bound its answer


@dataclass(frozen=True, slots=True)
class Template:
    """One template. `input` is one to try; `decisions` are the outcomes that its example is given, one after another (approve where
    there is none), `ran` the steps that the example came to, in order. `fault` says why it cannot be used."""

    slug: str
    text: str
    document: FlowDocument | None
    tags: tuple[str, ...]
    shows: str
    input: Any
    decisions: tuple[str, ...]
    ran: tuple[str, ...] = ()
    fault: str = ""

    @property
    def title(self) -> str:
        return self.document.name if self.document is not None else self.slug

    @property
    def kinds(self) -> list[str]:
        return sorted({step.kind for _, step in self.steps() if step.kind != "note"})

    @property
    def routes(self) -> list[str]:
        return sorted({str(step.with_["route"]) for _, step in self.steps() if "route" in step.with_})

    @property
    def tools(self) -> list[str]:
        named = {str(step.with_["tool"]) for _, step in self.steps() if step.kind == "tool"}
        return sorted(named | {tool for _, step in self.steps() for tool in map(_granted, step.with_.get("tools", ()))})

    @property
    def flows(self) -> list[str]:
        """The flows that it runs inside its own: each is a template, too."""
        return sorted({str(step.with_["flow"]) for _, step in self.steps() if step.kind == "subflow"})

    @property
    def bases(self) -> list[str]:
        """The knowledge bases that it searches; for each the gallery has a document to begin with."""
        return sorted({str(step.with_["base"]) for _, step in self.steps() if step.kind == "retrieve"})

    @property
    def people(self) -> int:
        return sum(step.kind == "approval" for _, step in self.steps())

    @property
    def asked(self) -> bool:
        """Whether the example came to a person."""
        return any(step.kind == "approval" for key, step in self.steps() if key in self.ran)

    @property
    def count(self) -> int:
        return sum(step.kind != "note" for _, step in self.steps())

    def steps(self) -> Iterator[tuple[str, Any]]:
        """Every step, those of bodies too, by key."""
        return _steps(self.document) if self.document is not None else iter(())


def _granted(grant: Any) -> str:
    """The tool of an agent's grant, which may be its mere name."""
    return str(grant["tool"] if isinstance(grant, Mapping) else grant)


def _steps(body: FlowDocument | Body) -> Iterator[tuple[str, Any]]:
    for key, step in body.steps.items():
        yield key, step
        if isinstance(step.with_.get("body"), Mapping):
            yield from _steps(Body.model_validate(step.with_["body"]))


@functools.cache
def templates() -> tuple[Template, ...]:
    """All of them, in the order of the gallery. One whose file is wrong is there with its fault."""
    about = parse_yaml((FOLDER / "gallery.yaml").read_bytes()).value
    return tuple(_template(slug, facts) for slug, facts in about.items())


def template_named(slug: str) -> Template | None:
    return next((each for each in templates() if each.slug == slug), None)


def _template(slug: str, facts: Mapping[str, Any]) -> Template:
    text = (FOLDER / f"{slug}.yaml").read_text(encoding="utf-8")
    try:
        document, fault = parse_document(text), ""
    except DocumentError as error:
        document, fault = None, str(error.problems[0])
    tags, decisions = tuple(facts["tags"]), tuple(facts.get("decisions", ()))
    ran = tuple(facts.get("ran", ()))
    return Template(slug, text, document, tags, facts["shows"], facts["input"], decisions, ran, fault)


@dataclass(frozen=True, slots=True)
class Need:
    """A route, tool or flow that the template uses. `chosen` is what stands for it unless somebody says otherwise."""

    name: str
    there: bool
    options: tuple[str, ...]
    chosen: str


def routes_needed(template: Template, ground: Ground, simulated: frozenset[str]) -> list[Need]:
    """A missing route is stood in for by a simulated one where there is any."""
    pretending = [slug for slug, facts in ground.routes.items() if facts.candidates and simulated.issuperset(facts.candidates)]
    known = tuple(sorted(ground.routes)) + tuple(sorted(ground.models - set(ground.routes)))
    substitutes = [*sorted(pretending), *sorted(simulated)]
    return [
        Need(name, name in known, known, name if name in known else substitutes[0] if substitutes else "")
        for name in template.routes
    ]


def tools_needed(template: Template, ground: Ground) -> list[Need]:
    """A missing tool is stood in for by a step that sends nothing."""
    known = tuple(sorted(ground.tools))
    return [Need(name, name in known, (STAND_IN, *known), name if name in known else STAND_IN) for name in template.tools]


def flows_needed(template: Template, known: Iterable[str]) -> list[Need]:
    """A flow is looked for by the name of its template; a missing one is made of it. `known` are those that are published."""
    there = sorted(known)
    needs = []
    for name in template.flows:
        made = template_named(name)
        slug = slug_of(made.title) if made is not None else name
        found = slug in there
        needs.append(Need(name, found, tuple(there) if found else (MAKE, *there), slug if found else MAKE))
    return needs


def bases_needed(template: Template, known: Iterable[str]) -> list[Need]:
    """A missing knowledge base is made with the gallery's document. `known` are those that a flow may search."""
    there = sorted(known)
    return [
        Need(name, name in there, tuple(there) if name in there else (MAKE, *there), name if name in there else MAKE)
        for name in template.bases
    ]


def document_of_base(name: str) -> tuple[str, bytes]:
    """The document that a base of this name begins with: the file's name and what it holds."""
    file = FOLDER / f"{name}.md"
    return file.name, file.read_bytes()


def fitted(
    template: Template,
    routes: Mapping[str, str],
    tools: Mapping[str, str],
    teams: frozenset[str],
    flows: Mapping[str, str] | None = None,
    bases: Mapping[str, str] | None = None,
) -> str:
    """The template's document with other routes, tools, flows and knowledge bases where they are named, and without teams that do not
    exist (then any approver decides)."""
    assert template.document is not None
    document = template.document.as_json()
    _fit(document, routes, tools, teams, flows or {}, bases or {})
    return dump_document(load_document(document))


def _fit(
    body: dict[str, Any],
    routes: Mapping[str, str],
    tools: Mapping[str, str],
    teams: frozenset[str],
    flows: Mapping[str, str],
    bases: Mapping[str, str],
) -> None:
    stood_in = set()
    for key, step in body["steps"].items():
        settings = step.get("with", {})
        if "route" in settings:
            settings["route"] = routes.get(settings["route"], settings["route"])
        if summarise := (settings.get("memory") or {}).get("summarise"):
            settings["memory"] = {**settings["memory"], "summarise": routes.get(summarise, summarise)}
        if step["kind"] == "tool":
            tool = tools.get(settings["tool"], settings["tool"])
            if tool == STAND_IN:
                stood_in.add(key)
            else:
                settings["tool"] = tool
        if step["kind"] == "agent":
            settings["tools"] = [grant for each in settings.get("tools", ()) if (grant := _fitted_grant(each, tools)) is not None]
        if step["kind"] == "subflow":
            settings["flow"] = flows.get(settings["flow"], settings["flow"])
        if step["kind"] == "retrieve":
            settings["base"] = bases.get(settings["base"], settings["base"])
        if step["kind"] in {"approval", "agent"} and "approvers" in settings:
            named = settings["approvers"]
            named["teams"] = [team for team in named.get("teams", []) if team in teams]
        if isinstance(settings.get("body"), dict):
            _fit(settings["body"], routes, tools, teams, flows, bases)
    for key in stood_in:
        step = body["steps"][key]
        note = {"would_send": step["with"].get("arguments", {}), "tool": step["with"]["tool"]}
        step.update(kind="set", **{"with": {"values": note}})
        step.pop("retry", None)
        for other in body["steps"].values():
            if other["kind"] == "approval" and other["with"].get("seals") == key:
                other["with"].pop("seals")
                other["with"]["payload"] = note["would_send"]


def _fitted_grant(grant: Any, tools: Mapping[str, str]) -> Any:
    """The grant with the tool that was chosen for its own; none where nothing is to be called."""
    tool = tools.get(_granted(grant), _granted(grant))
    if tool == STAND_IN:
        return None
    return {**grant, "tool": tool} if isinstance(grant, Mapping) else tool


# --- what a run will probably cost


@dataclass(frozen=True, slots=True)
class Prices:
    """The newest price of each model, in dollars per million tokens, and which models are simulated."""

    rows: Mapping[str, PriceRow]
    simulated: frozenset[str]

    @property
    def real(self) -> str | None:
        """The real model that costs most for its answers: an estimate that is not too low."""
        priced = [slug for slug, row in self.rows.items() if slug not in self.simulated and row.output is not None]
        return max(priced, key=lambda slug: self.rows[slug].output or Decimal(0), default=None)


def current_prices() -> Prices:
    """Two queries."""
    newest = Price.objects.filter(above=0, valid_from__lte=Now()).order_by("model_id", "-valid_from").distinct("model_id")
    rows = {each.model_id: PriceRow(each.id, each.input, each.cached_input, each.output) for each in newest}
    return Prices(rows, frozenset(ModelEntry.objects.filter(simulated=True).values_list("slug", flat=True)))


def estimate(template: Template, price: PriceRow | None) -> Decimal | None:
    """About what a run costs at this price, in dollars; None where the price is not known."""
    if template.document is None:
        return None
    return _cost(template.document, price, len(str(template.input)))


def _cost(body: FlowDocument | Body, price: PriceRow | None, given: int) -> Decimal | None:
    total = Decimal(0)
    for step in body.steps.values():
        cost: Decimal | None = Decimal(0)
        if "route" in step.with_:
            asked = tokens_of_text(f"{step.with_.get('system', '')}{step.with_.get('prompt', '')}") + given // 4
            cost = upper_bound(price, asked, int(step.with_.get("max_output") or USUAL_OUTPUT))
        elif isinstance(step.with_.get("body"), Mapping):
            once = _cost(Body.model_validate(step.with_["body"]), price, given)
            cost = once * ITEMS if once is not None else None
        if cost is None:
            return None
        total += cost
    return total
