"""What the demonstration's runs stand on: flows from templates, the made-up providers with their prices, a policy, a schedule, budgets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import QuerySet, Sum
from django.utils import timezone

from approvals.actions.save_policy import save_policy
from approvals.models import Policy
from flows.builder.actions.change_settings import change_settings
from flows.builder.actions.create_flow import create_flow, slug_of
from flows.builder.actions.import_flow import import_flow
from flows.builder.actions.make_companions import make_bases, make_companions
from flows.builder.actions.publish_flow import publish_flow
from flows.builder.catalogue import bases_of, current
from flows.builder.subflows import known_flows
from flows.builder.templates import (
    Template,
    bases_needed,
    current_prices,
    fitted,
    flows_needed,
    routes_needed,
    template_named,
    tools_needed,
)
from flows.costs.actions.add_price import Wanted as PriceWanted
from flows.costs.actions.add_price import add_price
from flows.costs.actions.put_budget import Wanted as BudgetWanted
from flows.engine.document import dump_document, load_document, parse_document
from flows.models import Budget, BudgetPeriod, Call, Flow, FlowVersion, KnowledgeDocument, Price, Team, Trigger
from flows.retrieval.indexing import index_document
from flows.runs.actions.change_budget import change_budget
from flows.triggers.actions.save_trigger import create_trigger
from orchestrator.demo import bring_catalogue
from orchestrator.seeding.cast import SEED, actor
from orchestrator.seeding.marks import mark

CATALOGUE = Path(__file__).parent / "history_catalogue.yaml"
LETTER = Path(__file__).parent / "letter_on_paper.yaml"
USED = (
    ("support_triage", "Support triage"),
    ("invoice_intake", "Invoice intake"),
    ("lead_enrichment", "Lead enrichment"),
    ("weekly_brief", "Weekly market brief"),
    ("handbook_answer", "Answer from the handbook"),
    ("research_agent", "Research within bounds"),
)
"""Templates, and what the flows that are made of them are called."""

PRICES: tuple[tuple[str, int, str, str, str], ...] = (
    ("large-1", 9, "2.50", "0.25", "12.00"),
    ("large-1", 31, "3.00", "0.30", "15.00"),
    ("large-1", 90, "4.00", "0.40", "16.00"),
    ("small-1", 20, "0.20", "0.02", "0.80"),
    ("small-1", 90, "0.25", "0.025", "1.00"),
)
"""Model, since how many days, and dollars per million tokens in, cached and out; the newest of each model first. Three are changes."""

POLICIES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "refunds-over-250",
        "Refunds over 250",
        {
            "description": "Two people of Finance agree to a large refund. The step of the flow names this policy.",
            "teams": ["finance"],
            "quorum": 2,
            "reason": "reject",
            "risk": "high",
            "ladder": [{"after": "25m", "act": "remind"}, {"after": "1d", "act": "reject"}],
        },
    ),
    (
        "mail-to-leads",
        "Mail to leads",
        {
            "tools": ["mail.send"],
            "flows": ["lead-enrichment"],
            "people": ["operator", "owner"],
            "bulk": True,
            "risk": "low",
            "ladder": [{"after": "4h", "act": "remind"}, {"after": "2d", "act": "reject"}],
        },
    ),
)
BRIEF = {"topics": ["the harbour", "the market hall"], "recipient": "ann@example.com"}


def lay_ground(receiver_port: int) -> None:
    """All of it but the budgets; what is there already stays as it is."""
    bring_catalogue(CATALOGUE, receiver_port)
    _prices()
    _policies()
    _second_version()
    for slug, name in USED:
        if not Flow.objects.filter(slug=slug_of(name)).exists():
            _use(slug, name)
    _letter()
    for document in KnowledgeDocument.objects.filter(state="waiting", base__slug="handbook"):
        index_document(document.id)
    _schedule()


def _prices() -> None:
    now = timezone.now()
    for model, days, *figures in PRICES:
        if Price.objects.filter(model_id=model).count() >= sum(name == model for name, *_ in PRICES):
            continue
        figure = dict(zip(("input", "cached_input", "output"), map(Decimal, figures), strict=True))
        row = add_price(
            SEED, PriceWanted(model, figure, since=now - timedelta(days=days), source="price sheet of the demonstration")
        )
        mark("price", [row.id])


def _policies() -> None:
    owner = actor("owner")
    for slug, name, rules in POLICIES:
        if owner.person is not None and not Policy.objects.filter(slug=slug).exists():
            save_policy(owner, slug, name, rules)
            mark("policy", [slug])


def _second_version() -> None:
    """*Refund decision* as the gallery has it: its first version is the one that everybody begins with."""
    flow = Flow.objects.filter(slug="refund_decision").select_related("published").first()
    template = template_named("refund_decision")
    if flow is None or template is None or FlowVersion.objects.filter(flow=flow, number__isnull=False).count() != 1:
        return
    _, version = import_flow(actor("builder"), flow.slug, _fit(template, _by_policy), publish=True)
    mark("version", [version.id] if version is not None else [])


def _use(slug: str, name: str) -> None:
    template, builder = template_named(slug), actor("builder")
    assert template is not None
    before = set(Flow.objects.values_list("id", flat=True)), set(bases_of(None).values_list("slug", flat=True))
    with transaction.atomic():
        text = _fit(template, _patient if slug == "weekly_brief" else None)
        flow = create_flow(builder, name, text=text)
        publish_flow(builder, flow.slug, note="Made of its template")
        if slug == "weekly_brief":
            change_settings(actor("owner"), flow.slug, {"tags": ["team:growth"]})
        made = list(Flow.objects.exclude(id__in=before[0]).values_list("id", flat=True))
        mark("flow", made)
        mark("version", FlowVersion.objects.filter(flow__in=made).values_list("id", flat=True))
        mark("base", set(bases_of(None).values_list("slug", flat=True)) - before[1])


def _letter() -> None:
    """The one flow whose tool nothing may repeat."""
    if not Flow.objects.filter(slug=LETTER.stem).exists():
        flow, version = import_flow(actor("builder"), LETTER.stem, LETTER.read_text(encoding="utf-8"), publish=True)
        mark("flow", [flow.id])
        mark("version", [version.id] if version is not None else [])


def _by_policy(document: dict[str, Any]) -> None:
    """Large refunds are asked about under the policy."""
    if Policy.objects.filter(slug="refunds-over-250", retired_at__isnull=True).exists():
        document["steps"]["approve_large"]["with"]["policy"] = "refunds-over-250"


def _patient(document: dict[str, Any]) -> None:
    """The brief has all day: what fails is tried again after hours."""
    ask = document["steps"]["look"]["with"]["body"]["steps"]["ask"]
    ask["retry"] = {"attempts": 5, "backoff": "exponential", "first": "6h", "max": "1d"}


def _fit(template: Template, change: Callable[[dict[str, Any]], None] | None = None) -> str:
    """The template with what it needs, made where it is missing."""
    builder, known, prices = actor("builder"), current(None, None), current_prices()
    teams = frozenset(Team.objects.values_list("slug", flat=True))
    published = [slug for slug, each in known_flows(set(), None).items() if each.published]
    bases = list(bases_of(None).values_list("slug", flat=True))
    inner = make_companions(builder, {need.name: need.chosen for need in flows_needed(template, published)}, None, teams)
    searched = make_bases(builder, {need.name: need.chosen for need in bases_needed(template, bases)}, None)
    routes = {need.name: need.chosen for need in routes_needed(template, known.ground, prices.simulated)}
    tools = {need.name: need.chosen for need in tools_needed(template, known.ground)}
    text = fitted(template, routes, tools, teams, inner, searched)
    if change is None:
        return text
    document = parse_document(text).as_json()
    change(document)
    return dump_document(load_document(document))


def _schedule() -> None:
    flow = Flow.objects.filter(slug="weekly-market-brief").first()
    owner = actor("owner")
    if flow is None or owner.person is None or Trigger.objects.filter(flow=flow).exists():
        return
    rule = {"cron": "30 9 * * 2", "zone": "Europe/Madrid", "overlap": "skip", "input": BRIEF}
    trigger, _ = create_trigger(owner, flow.slug, "schedule", "Weekly market brief", rule)
    mark("trigger", [trigger.id])


def set_budgets() -> None:
    """Two for this month, whose limits stand where what was spent is 82 % of the one and more than the other, or would be had the month
    begun 30 days ago, where nothing was spent in it yet; and one for any run."""
    month = timezone.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    month_after = (month + timedelta(days=32)).replace(day=1)
    for scope, subject, share, at_limit in (("all", "", "0.82", "notify"), ("flow", "support-triage", "1.08", "notify")):
        calls = real_calls(subject, month)
        found = cost_of(calls)
        basis = found or cost_of(real_calls(subject, timezone.now() - timedelta(days=30)))
        if not basis or Budget.objects.filter(scope=scope, subject=subject, period="month").exists():
            continue
        limit = max((basis / Decimal(share)).quantize(Decimal("0.0001")), Decimal("0.0001"))
        budget, _ = change_budget(SEED, BudgetWanted(scope, subject, "month", cost=limit, at_limit=at_limit, warn=(50, 80, 95)))
        BudgetPeriod.objects.create(budget=budget, begins=month, ends=month_after, spent=found, spent_calls=calls.count())
        mark("budget", [budget.id])
    if not Budget.objects.filter(scope="run", subject="").exists():
        budget, _ = change_budget(SEED, BudgetWanted("run", "", "run", cost=Decimal("10.00"), at_limit="pause"))
        mark("budget", [budget.id])


def real_calls(subject: str, since: datetime) -> QuerySet[Call]:
    """The calls of one flow, or of all, that were no simulation's."""
    calls = Call.objects.filter(simulated=False, started_at__gte=since)
    return calls.filter(run__flow__slug=subject) if subject else calls


def cost_of(calls: QuerySet[Call]) -> Decimal:
    return calls.aggregate(cost=Sum("settled"))["cost"] or Decimal(0)
