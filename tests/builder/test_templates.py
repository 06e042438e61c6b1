"""The templates as they ship, and how they are fitted to a catalogue."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from flows.builder.findings import Ground, RouteFacts, ToolFacts
from flows.builder.report import report_on
from flows.builder.templates import STAND_IN, Template, estimate, fitted, routes_needed, templates, tools_needed
from flows.costs.prices import PriceRow
from flows.engine.document import parse_document
from flows.engine.graph import compile_flow
from flows.engine.inputs import input_problems
from flows.engine.kinds import Catalogue, KnownFlow
from flows.models.identifiers import new_id
from orchestrator.catalogue import step_kinds, tool_kinds
from orchestrator.catalogue_document import parse_catalogue

TRANSLATION = next(each.document for each in templates() if each.slug == "translation")
assert TRANSLATION is not None
BASES = frozenset({"handbook"})
KNOWN = {"translation": KnownFlow(1, True, TRANSLATION.input, frozenset(TRANSLATION.output or {}))}


@pytest.fixture(scope="module")
def shipped() -> tuple[Catalogue, Ground]:
    """The catalogue of the demonstration."""
    text = (Path(__file__).parents[2] / "orchestrator" / "demo_catalogue.yaml").read_text()
    document = parse_catalogue(text, {kind.slug: kind for kind in tool_kinds()})
    ground = Ground(
        {
            slug: RouteFacts(tuple(each.model for each in route.candidates), tuple(route.fall_back_on), 20.0)
            for slug, route in document.routes.items()
        },
        frozenset(document.models),
        {slug: ToolFacts(tool.effect, tool.repeat, tool.reversible) for slug, tool in document.tools.items()},
    )
    tools = {slug: tool.arguments for slug, tool in document.tools.items()}
    return Catalogue(frozenset(document.routes), frozenset(document.models), tools, flows=KNOWN, bases=BASES), ground


every = pytest.mark.parametrize("template", templates(), ids=lambda template: template.slug)


def test_together_they_use_every_kind() -> None:
    used = {step.kind for template in templates() for _, step in template.steps()}

    assert used >= set(step_kinds()) - {"note", "index"}, (
        "a note does nothing, and to index is what knowledge bases run by themselves"
    )


@every
def test_it_validates_and_has_nothing_serious(template: Template, shipped: tuple[Catalogue, Ground]) -> None:
    assert template.document is not None, template.fault
    flow = compile_flow(template.document, step_kinds(), shipped[0])

    assert flow.warnings == ()
    serious = [f"{each.label}: {each.message}" for each in report_on(flow, shipped[1]).findings if each.weight == "serious"]
    assert serious == []
    assert input_problems(template.input, template.document.input) == []


@every
def test_TPL_1_it_fits_a_catalogue_of_simulated_models_only(template: Template) -> None:
    ground = Ground(models=frozenset({"sim-small"}))
    simulated = frozenset({"sim-small"})
    routes = {need.name: need.chosen for need in routes_needed(template, ground, simulated)}
    tools = {need.name: need.chosen for need in tools_needed(template, ground)}
    assert set(routes.values()) == {"sim-small"}
    assert set(tools.values()) <= {STAND_IN}

    document = parse_document(fitted(template, routes, tools, frozenset()))

    compile_flow(document, step_kinds(), Catalogue(models=simulated, flows=KNOWN, bases=BASES))


@every
def test_its_estimate_follows_the_price(template: Template) -> None:
    cheap, dear = (PriceRow(new_id(), Decimal(figure), None, Decimal(figure)) for figure in ("1", "10"))

    low, high = estimate(template, cheap), estimate(template, dear)

    assert low is not None
    assert high == low * 10 or abs(high - low * 10) < Decimal("0.00000001")  # type: ignore[operator]
    assert estimate(template, None) is None or not template.routes
