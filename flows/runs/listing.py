"""The list of runs: what the address asks for, one page of it by key, and the runs of a page as they are now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from django.db.models import JSONField, Q, QuerySet
from django.db.models.functions import Cast
from django.http import QueryDict

from flows.access.actor import Actor
from flows.access.masking import mask_of, masks_of
from flows.access.querysets import flows_for
from flows.access.refusals import Fault, Invalid
from flows.models import Run
from flows.runs.periods import period_of
from flows.runs.progress import StepLine, progress_of
from flows.runs.reads import runs_listed

PAGE = 50
COUNTED = 10_000  # a list says no larger number than this
NEWS_COUNTED = 99

SORTS: Mapping[str, tuple[str, ...]] = {
    "-started": ("-id",),
    "started": ("id",),
    "-cost": ("-spent", "-id"),
    "cost": ("spent", "id"),
}
FIRST = "-started"
FAILED = ("failed", "budget_stopped")  # states in which a run has an error
SOURCES = (
    ("page", "Page"),
    ("api", "API"),
    ("cli", "Command line"),
    ("schedule", "Schedule"),
    ("webhook", "Webhook"),
    ("chat", "Chat"),
    ("mcp", "MCP"),
)
MARKED = r"x-mask|writeOnly|format: *[\"']?password"  # what a document has that marks a field


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list of runs is asked for. `states` and `flows` may begin with an exclamation mark, which excludes."""

    states: str = ""
    flows: str = ""
    period: str = ""
    source: str = ""
    mine: bool = False
    tags: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    key: str | None = None  # with which it was started
    text: str = ""
    error: str = ""
    fingerprint: str = ""  # class@step of the error
    sort: str = FIRST

    @property
    def narrowed(self) -> bool:
        """Whether anything keeps runs from the list."""
        return bool(
            self.states
            or self.flows
            or self.period
            or self.source
            or self.mine
            or self.tags
            or self.since
            or self.until
            or self.key
            or self.text
            or self.error
            or self.fingerprint
        )


def wanted_by(query: QueryDict) -> Wanted:
    """What an address asks for; a choice that there is not counts as none, save a state, which `matching` refuses."""
    tags = tuple(tag.strip() for tag in ",".join(query.getlist("tag")).split(",") if tag.strip())
    sort = query.get("sort", FIRST)
    period = query.get("started", "")[:60]
    return Wanted(
        states=",".join(query.getlist("state")),
        flows=",".join(query.getlist("flow")),
        period=period if period_of(period) is not None else "",
        source=query.get("source", ""),
        mine=query.get("by") == "me",
        tags=tags[:10],
        text=query.get("q", "").strip()[:200],
        error=query.get("error", "").strip()[:200],
        fingerprint=query.get("fingerprint", "").strip()[:500],
        sort=sort if sort in SORTS else FIRST,
    )


def matching(actor: Actor, wanted: Wanted) -> QuerySet[Run]:
    """The runs that the actor may see and that match. Raises `Invalid` naming a state that there is not."""
    period = period_of(wanted.period)
    within = (period.since, period.until) if period is not None else (None, None)
    since = max(filter(None, (_aware(wanted.since), within[0])), default=None)
    until = min(filter(None, (_aware(wanted.until), within[1])), default=None)
    runs = runs_listed(
        actor,
        state=wanted.states or None,
        flow=wanted.flows or None,
        tags=wanted.tags,
        since=since,
        until=until,
        key=wanted.key,
        source=wanted.source or None,
    )
    if wanted.mine:
        runs = runs.filter(started_by=actor.person)
    if wanted.text:
        digits = wanted.text.removeprefix("#")
        named = Q(flow__name__icontains=wanted.text) | Q(flow__slug__icontains=wanted.text) | Q(tags__contains=[wanted.text])
        runs = runs.filter(Q(number=int(digits)) if digits.isdigit() and len(digits) < 19 else named)
    if wanted.error:
        # Where something may be hidden only the class is searched: else whoever searches could guess what is not shown.
        told = Q(error__icontains=wanted.error) & ~Q(version__document__regex=MARKED)
        by_class = Q(said__class__icontains=wanted.error)
        runs = runs.filter(status__in=FAILED).annotate(said=Cast("error", JSONField())).filter(told | by_class)
    if wanted.fingerprint:
        kind, _, step = wanted.fingerprint.partition("@")
        same = {"same__class": kind, "same__step": step}
        runs = runs.filter(status__in=FAILED).annotate(same=Cast("error", JSONField())).filter(**same)
    return runs.order_by(*SORTS[wanted.sort])


def fingerprint_of(error: Mapping[str, Any]) -> str:
    """What equal errors have in common: their class and the step."""
    return f"{error.get('class') or ''}@{error.get('step') or ''}"


def identified(runs: QuerySet[Run], ids: Iterable[str]) -> QuerySet[Run]:
    """Those of the runs that have these identifiers, which are hexadecimal. Raises `Invalid`."""
    return runs.filter(id__in=_ids(ids))


def _aware(moment: datetime | None) -> datetime | None:
    """A time without a zone is one of UTC."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


@dataclass(slots=True)
class RunLine:
    """One run as a list shows it."""

    run: Run
    steps: list[StepLine] = field(default_factory=list)
    gone: bool = False  # it matched when the page was made and does no longer

    @property
    def error(self) -> dict[str, str]:
        """What a failed run says: the first line of its error, and its fingerprint."""
        said = mask_of(self.run).read(self.run.error) if self.run.status in FAILED else None
        if not isinstance(said, dict):
            return {}
        lines = str(said.get("message") or "").strip().splitlines()
        return {"line": lines[0][:200] if lines else "", "fingerprint": fingerprint_of(said)}

    @property
    def simulated(self) -> bool:
        return any(step.simulated for step in self.steps)

    @property
    def estimated(self) -> bool:
        return any(step.estimated for step in self.steps)


@dataclass(frozen=True, slots=True)
class Page:
    """One page: `older` and `newer` are the cursors beside it, or empty where the list ends."""

    lines: list[RunLine]
    older: str
    newer: str


def page_of(runs: QuerySet[Run], sort: str, after: str, before: str) -> Page:
    """The page behind `after`, or the one in front of `before`, else the first. Raises `Invalid` for what is no cursor."""
    if before:
        found = list(_beyond(runs, sort, before, back=True)[: PAGE + 1])
        more, found = len(found) > PAGE, found[:PAGE][::-1]
        older, newer = bool(found), more
    else:
        found = list((_beyond(runs, sort, after) if after else runs)[: PAGE + 1])
        older, newer = len(found) > PAGE, bool(after)
        found = found[:PAGE]
    if not found:
        return Page([], "", "")
    return Page(lines_of(found), _cursor(found[-1], sort) if older else "", _cursor(found[0], sort) if newer else "")


def lines_of(runs: Sequence[Run]) -> list[RunLine]:
    """The runs with their steps."""
    progress = progress_of(runs)
    masks_of([run for run in runs if run.status in FAILED])
    return [RunLine(run, progress[run.id]) for run in runs]


def as_they_are(actor: Actor, wanted: Wanted, ids: Iterable[str]) -> list[RunLine]:
    """The runs of a page that was made before, in its order, as they are now; those that do not match any more are `gone`."""
    order = _ids(ids)
    known = {run.id: run for run in runs_listed(actor).filter(id__in=order)}
    still = (
        set(matching(actor, wanted).order_by().filter(id__in=order).values_list("id", flat=True))
        if wanted.narrowed
        else set(known)
    )
    lines = lines_of([known[each] for each in order if each in known])
    for line in lines:
        line.gone = line.run.id not in still
    return lines


def newer_than(runs: QuerySet[Run], ids: Iterable[str]) -> int:
    """How many runs match that began after all of these; more than `NEWS_COUNTED` are not counted."""
    newest = max(_ids(ids), default=None)
    found = runs if newest is None else runs.filter(id__gt=newest)
    return found.order_by()[: NEWS_COUNTED + 1].count()


def counted(runs: QuerySet[Run]) -> int:
    """How many runs match; one more than `COUNTED` where there are more than that."""
    return runs.order_by()[: COUNTED + 1].count()


def in_words(count: int) -> str:
    """What `counted` found, as a list says it."""
    return f"{COUNTED:,}+" if count > COUNTED else f"{count:,}"


def flow_choices(actor: Actor) -> list[tuple[str, str]]:
    """The flows that the filter offers."""
    return list(flows_for(actor).order_by("name").values_list("slug", "name")[:100])


def _ids(texts: Iterable[str]) -> list[UUID]:
    try:
        return [UUID(hex=text) for text in texts if text][:PAGE]
    except ValueError:
        raise Invalid("The rows cannot be used.", problems=[Fault("rows", "has something that is no identifier")]) from None


def _cursor(run: Run, sort: str) -> str:
    return f"{run.spent.normalize():f}_{run.id.hex}" if "cost" in sort else run.id.hex


def _beyond(runs: QuerySet[Run], sort: str, cursor: str, *, back: bool = False) -> QuerySet[Run]:
    """The runs behind a cursor in the order of the list; with `back` those in front of it, the nearest first."""
    try:
        spent, _, identifier = cursor.rpartition("_")
        last = UUID(hex=identifier)
        amount = Decimal(spent) if spent else None
    except (ValueError, InvalidOperation):
        amount, last = None, None
    if last is None or ("cost" in sort) != (amount is not None):
        raise Invalid("The cursor cannot be used.", problems=[Fault("after", "is no cursor of this list", "Begin at its top.")])
    falling = sort.startswith("-") != back
    side = "lt" if falling else "gt"
    condition = Q(**{f"id__{side}": last})
    names: tuple[str, ...] = ("id",)
    if amount is not None:
        condition = Q(**{f"spent__{side}": amount}) | Q(spent=amount) & condition
        names = ("spent", "id")
    return runs.filter(condition).order_by(*(f"-{name}" if falling else name for name in names))


def identifiers(lines: Iterable[RunLine]) -> str:
    """The runs of a page, for its own address."""
    return ",".join(line.run.id.hex for line in lines)
