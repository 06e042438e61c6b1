"""The list of flows: which, in which order, and the figures of each. As many queries for a hundred flows as for one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet
from django.db.models.expressions import ExpressionWrapper
from django.db.models.fields import DurationField
from django.db.models.functions import Extract, JSONObject

from flows.access.actor import Actor
from flows.access.querysets import flows_for, made_since, runs_for
from flows.access.rights import Right
from flows.builder.figures import Median, Percentile
from flows.builder.overview import TICKS, Tick, outcomes_in_words
from flows.costs.reports import Scope, Spend
from flows.costs.sums import added, sources_of, standing
from flows.models import Flow, Run

PERIOD = timedelta(days=7)
PAGE = 50
MOST = 5000  # flows that are put in order by a figure
STATUSES = (
    ("live", "Live"),
    ("draft", "Draft only"),
    ("changed", "Unpublished changes"),
    ("paused", "Paused"),
    ("archived", "Archived"),
)
SORTS = ("name", "success", "p95", "cost", "cost_month")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the address asks for."""

    q: str = ""
    tags: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    sort: str = "name"
    after: str = ""

    @property
    def narrowed(self) -> bool:
        return bool(self.q or self.tags or self.owners or self.statuses)

    @property
    def column(self) -> str:
        return self.sort.removeprefix("-")


def wanted_of(query: Mapping[str, str]) -> Wanted:
    def text(name: str) -> str:
        return query.get(name, "").replace("\x00", "").strip()[:200]

    def many(name: str) -> tuple[str, ...]:
        found = ",".join(query.getlist(name)) if hasattr(query, "getlist") else query.get(name, "")
        return tuple(dict.fromkeys(each for each in found.replace("\x00", "")[:500].split(",") if each))

    sort = text("sort")
    known = sort if sort.removeprefix("-") in SORTS else "name"
    return Wanted(text("q"), many("tag"), many("owner"), many("status"), known, text("after"))


@dataclass(frozen=True, slots=True)
class FlowRow:
    """A flow in the list. `runs`, `success`, `p95` (seconds) and `cost` (median dollars of a run) are of the last seven days,
    `month` is what was spent since the month began; None where it is not known, or where costs may not be seen."""

    flow: Flow
    ticks: list[Tick]
    runs: int
    succeeded: int
    ended: int
    p95: float | None
    cost: Decimal | None
    unpriced: bool
    month: Spend | None
    sees_costs: bool
    may_run: bool
    may_edit: bool

    @property
    def success(self) -> float | None:
        return self.succeeded / self.ended if self.ended else None

    @property
    def simulated(self) -> bool:
        """Whether its runs cost simulated money only."""
        return self.month is not None and self.month.simulated > 0 and not self.month.cost

    @property
    def outcomes(self) -> str:
        return outcomes_in_words(self.ticks)

    @property
    def drawn(self) -> list[dict[str, Any]]:
        """The ticks with their places in the drawing; the newest is the last."""
        return [{"state": each.state, "x": at * 7, "y": each.y, "height": each.height} for at, each in enumerate(self.ticks)]


EVERY_STATUS = ("live", "draft", "paused", "archived")
"""Each flow has one of these."""


def flows_listed(actor: Actor, wanted: Wanted) -> QuerySet[Flow]:
    """The flows that somebody may see and asks for. Archived ones only where they are asked for."""
    flows = flows_for(actor)
    for word in wanted.q.split()[:10]:
        flows = flows.filter(Q(name__icontains=word) | Q(slug__icontains=word) | Q(description__icontains=word))
    for tag in wanted.tags[:10]:
        flows = flows.filter(tags__contains=[tag])
    if wanted.owners:
        flows = flows.filter(owner__username__in=wanted.owners)
    states = {
        "live": Q(published__isnull=False, paused_at__isnull=True, archived_at__isnull=True),
        "draft": Q(published__isnull=True, archived_at__isnull=True),
        "changed": Q(published__isnull=False, archived_at__isnull=True) & ~Q(draft=F("published__document")),
        "paused": Q(paused_at__isnull=False, archived_at__isnull=True),
        "archived": Q(archived_at__isnull=False),
    }
    chosen = [states[each] for each in wanted.statuses if each in states]
    if not chosen:
        return flows.filter(archived_at__isnull=True)
    any_of = chosen[0]
    for each in chosen[1:]:
        any_of |= each
    return flows.filter(any_of)


def page_of(actor: Actor, wanted: Wanted, now: datetime) -> tuple[list[FlowRow], str]:
    """The rows of one page, and the slug after which the next begins (empty: there is none)."""
    order = list(flows_listed(actor, wanted).order_by("name", "slug").values_list("id", "slug")[:MOST])
    since, month = now - PERIOD, now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    figures = _figures(actor, since)
    sees_some = actor.holdings.allow(Right.SEE_COSTS)
    spends = _spends(actor, month) if sees_some else {}
    if wanted.column != "name":
        order = _sorted(order, wanted, figures, spends)
    elif wanted.sort.startswith("-"):
        order.reverse()
    begin = next((at + 1 for at, (_, slug) in enumerate(order) if slug == wanted.after), 0)
    shown = order[begin : begin + PAGE]
    rows = _rows(actor, [flow_id for flow_id, _ in shown], figures, spends)
    return rows, shown[-1][1] if len(order) > begin + PAGE else ""


def _figures(actor: Actor, since: datetime) -> dict[UUID, dict[str, Any]]:
    took = ExpressionWrapper(F("ended_at") - F("created_at"), output_field=DurationField())
    done = Q(status="succeeded")
    recent = runs_for(actor).filter(made_since(since), purpose="live").order_by().annotate(took=Extract(took, "epoch"))
    rows: Any = recent.values("flow").annotate(
        runs=Count("id"),
        succeeded=Count("id", filter=done),
        ended=Count("id", filter=Q(ended_at__isnull=False)),
        p95=Percentile("took", share="0.95", filter=Q(ended_at__isnull=False)),
        cost=Median("spent", filter=done),
        unpriced=Count("id", filter=done & Q(unpriced__gt=0)),
    )
    return {row["flow"]: row for row in rows}


def _spends(actor: Actor, since: datetime) -> dict[str, Spend]:
    """By flow what was spent since a midnight: three queries."""
    cells = sources_of(actor, Scope(since), "flow", at=standing()).by("flow")
    return {flow: added([figures], flow) for (flow,), figures in cells.items()}


def _sorted(
    order: list[tuple[UUID, str]], wanted: Wanted, figures: Mapping[UUID, Any], spends: Mapping[str, Spend]
) -> list[tuple[UUID, str]]:
    """By a figure; flows without one stand at the end, whichever way."""

    def figure(each: tuple[UUID, str]) -> Any:
        flow_id, slug = each
        own = figures.get(flow_id, {})
        if wanted.column == "cost_month":
            spend = spends.get(slug)
            return spend.cost + spend.simulated if spend is not None else None
        if wanted.column == "success":
            return own["succeeded"] / own["ended"] if own.get("ended") else None
        return own.get(wanted.column)

    known = [each for each in order if figure(each) is not None]
    known.sort(key=figure, reverse=wanted.sort.startswith("-"))
    return known + [each for each in order if figure(each) is None]


def _rows(actor: Actor, ids: list[UUID], figures: Mapping[UUID, Any], spends: Mapping[str, Spend]) -> list[FlowRow]:
    last = (
        Run.objects.filter(flow=OuterRef("pk"), purpose="live")
        .order_by("-id")
        .values(json=JSONObject(state="status", number="number"))
    )
    unpublished = Exists(Flow.objects.filter(pk=OuterRef("pk"), published__isnull=False).exclude(draft=F("published__document")))
    flows = Flow.objects.filter(id__in=ids).select_related("team", "published", "owner", "paused_by", "archived_by")
    flows = flows.defer("draft", "replaced_draft", "published__document")
    found = {flow.id: flow for flow in flows.annotate(last=ArraySubquery(last[:TICKS]), has_draft=unpublished)}
    rows = []
    for flow_id in ids:
        if flow_id not in found:
            continue
        flow, own = found[flow_id], figures.get(flow_id, {})
        sees = actor.may(Right.SEE_COSTS, flow.team_id)
        starts = flow.published_id is not None and flow.paused_at is None and flow.archived_at is None
        rows.append(
            FlowRow(
                flow=flow,
                ticks=[Tick(**each) for each in reversed(flow.last)],
                runs=own.get("runs", 0),
                succeeded=own.get("succeeded", 0),
                ended=own.get("ended", 0),
                p95=own.get("p95"),
                cost=own.get("cost") if sees else None,
                unpriced=bool(own.get("unpriced")),
                month=spends.get(flow.slug) if sees else None,
                sees_costs=sees,
                may_run=starts and actor.may(Right.START_RUNS, flow.team_id),
                may_edit=flow.archived_at is None and actor.may(Right.EDIT_FLOWS, flow.team_id),
            )
        )
    return rows


def choices_of(actor: Actor) -> dict[str, list[tuple[str, str]]]:
    """What the filters offer: the tags and owners that there are. One query."""
    found = list(flows_for(actor).filter(~Q(tags=[]) | Q(owner__isnull=False)).values_list("tags", "owner__username")[:MOST])
    tags = sorted({tag for tags, _ in found for tag in tags})
    owners = sorted({owner for _, owner in found if owner})
    return {"tag": [(tag, tag) for tag in tags[:100]], "owner": [(name, name) for name in owners[:100]]}
