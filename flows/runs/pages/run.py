"""``/runs/<run>``: one run. Each region of the page has an address of its own and is rendered by the same few lines."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import Count, Sum
from django.http import HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from flows.access.actor import Actor
from flows.access.masking import mask_of
from flows.access.querysets import requests_for
from flows.access.refusals import Fault, Invalid, NotFound
from flows.access.rights import Right, require
from flows.engine.document import FlowDocument
from flows.engine.drawing import Drawing, drawn
from flows.engine.masking import Mask
from flows.engine.states import OPEN_REQUEST_STATES, ROLL_UP, TERMINAL_STATES
from flows.models import Attempt, Call, Request, Run
from flows.runs.breakdown import Breakdown, CallPage, breakdown_of, dearest_calls
from flows.runs.documents import documents_of
from flows.runs.events import TYPES, EventPage, events_before
from flows.runs.graph import Node, nodes_of
from flows.runs.inspection import Inspected, StepInfo, inspected, step_at, subflows_around
from flows.runs.items import Insides, insides_of
from flows.runs.lineage import Lineage, PassLine, lineage_of, pass_lines, taken_over
from flows.runs.listing import fingerprint_of
from flows.runs.pages.acts import Act, StepActs, acts_at, acts_on
from flows.runs.progress import StepLine, progress_of, steps_below, top_level
from flows.runs.reads import run_named
from flows.runs.reasons import Reason, reason_of
from flows.runs.statehistory import RunState, state_of_run
from flows.runs.timeline import Timeline, timeline_of

TABS = (
    ("overview", "Overview"),
    ("timeline", "Timeline"),
    ("events", "Events"),
    ("io", "Input & output"),
    ("cost", "Cost"),
    ("approvals", "Approvals"),
)
REGIONS = ("head", "progress", "inspector", "timeline", "events", "cost", "approvals", "io")
BAD = ("failed", "budget_stopped")
OPENED_FIRST = ("failed", "budget_stopped", "waiting_approval", "retrying", "running", "waiting")


@require_safe
@login_required
def page(request: Any, run_id: str) -> HttpResponse:
    """The whole page."""
    view = RunView(request, run_id)
    if view.tab == "cost":
        require(view.actor, Right.SEE_COSTS, view.run)
    return render(request, "runs/run.html", {"view": view, "run": view.run})


@require_safe
@login_required
def region(request: Any, run_id: str, name: str) -> HttpResponse:
    """One region anew. What it links to is the page, with the same choices."""
    if name not in REGIONS:
        raise NotFound("region of this name")
    view = RunView(request, run_id)
    if name == "cost":
        require(view.actor, Right.SEE_COSTS, view.run)
    request.path = view.url
    return render(request, f"runs/_{name}.html", {"view": view, "run": view.run})


class RunView:
    """A run as one request looks at it. Everything is read when it is first asked for, the run itself before all else: what
    happens meanwhile comes again through the socket, from the number of the run's newest event at that moment on."""

    def __init__(self, request: Any, run_id: str) -> None:
        self.query: QueryDict = request.GET
        self.actor: Actor = request.actor
        self.run: Run = run_named(self.actor, run_id)
        self.url = reverse("run", args=[run_id])

    # --- choices

    @cached_property
    def tab(self) -> str:
        names = [name for name, _ in TABS]
        wanted = self.query.get("tab", "")
        return wanted if wanted in names else names[0]

    @cached_property
    def tabs(self) -> list[dict[str, Any]]:
        shown = [(name, label) for name, label in TABS if name != "cost" or self.may_see_costs]
        return [
            {"label": label, "url": self.address(tab=None if name == TABS[0][0] else name), "current": name == self.tab}
            for name, label in shown
        ]

    @cached_property
    def pass_number(self) -> int:
        number = _number(self.query.get("pass"))
        return number if number is not None and 1 <= number <= self.run.pass_number else self.run.pass_number

    @cached_property
    def passes(self) -> list[PassLine]:
        return pass_lines(self.run)

    @property
    def pass_words(self) -> str:
        return f"Pass {self.pass_number} of {self.run.pass_number}"

    @cached_property
    def reused(self) -> dict[str, int]:
        """The steps shown whose results were taken over into this pass, with the pass that made them."""
        shown = [*self.lines, *self.inspected_below]
        return taken_over(self.run, self.pass_number, [line.path for line in shown])

    def address(self, **changes: Any) -> str:
        """The page with other choices; None takes one away."""
        kept = {name: self.query[name] for name in ("tab", "pass", "step", "attempt") if self.query.get(name)}
        chosen = {name: str(value) for name, value in {**kept, **changes}.items() if value not in (None, "")}
        query = QueryDict(mutable=True)
        query.update(chosen)
        text = query.urlencode(safe=",:![]")
        return f"{self.url}?{text}" if text else self.url

    @cached_property
    def regions(self) -> dict[str, str]:
        """The address of each region with this page's choices; the step is named, so that it stays the same while the run goes
        on."""
        query = self.query.copy()
        if self.info is not None and self.tab == "overview":
            query["step"] = self.info.path
        text = query.urlencode(safe=",:![]")
        root = f"{self.url}/regions"
        return {name: f"{root}/{name}?{text}" if text else f"{root}/{name}" for name in REGIONS}

    # --- rights

    @cached_property
    def may_see_costs(self) -> bool:
        return self.actor.may(Right.SEE_COSTS, self.run.flow.team_id)

    @property
    def acts(self) -> list[Act]:
        return acts_on(self.actor, self.run)

    @property
    def may_retry(self) -> bool:
        return self.ended and self.actor.may(Right.CONTROL_RUNS, self.run.flow.team_id)

    @property
    def may_retry_failure(self) -> bool:
        return self.may_retry and self.run.status in ("failed", "cancelled")

    @property
    def has_limits(self) -> bool:
        return any(cap is not None for cap in (self.run.cap_cost, self.run.cap_tokens, self.run.cap_steps))

    @property
    def may_raise(self) -> bool:
        """Whether a higher limit is of use, and this person may give one, up to what the flow allows at least."""
        team = self.run.flow.team_id
        of_use = self.has_limits and (not self.ended or self.run.status == "budget_stopped")
        return of_use and (self.actor.may(Right.CONTROL_RUNS, team) or self.actor.may(Right.RAISE_LIMITS, team))

    @property
    def must_raise(self) -> bool:
        """Whether the run stands still for a limit."""
        stuck = self.run.status == "budget_stopped" or (self.run.status == "waiting_approval" and self.run.reason == "budget")
        return self.may_raise and stuck

    @property
    def retry_from(self) -> str:
        """The step that a retry from a step begins with."""
        return self.info.path if self.info is not None and self.info.item is None else ""

    @property
    def may_edit(self) -> bool:
        return self.run.flow.archived_at is None and self.actor.may(Right.EDIT_FLOWS, self.run.flow.team_id)

    @property
    def step_acts(self) -> StepActs:
        """What is offered at the chosen step; nothing in a pass that is over."""
        seen = self.inspected
        if seen is None or seen.line is None or self.pass_number != self.run.pass_number:
            return StepActs()
        return acts_at(self.actor, self.run, seen.info.kind, seen.line.state)

    @property
    def may_start(self) -> bool:
        return self.actor.may(Right.START_RUNS, self.run.flow.team_id)

    @cached_property
    def mask(self) -> Mask:
        """What must not be shown of this run."""
        return mask_of(self.run)

    @property
    def may_reveal(self) -> bool:
        return self.actor.may(Right.REVEAL, self.run.flow.team_id)

    # --- the head

    @property
    def ended(self) -> bool:
        return self.run.status in TERMINAL_STATES

    @property
    def topic(self) -> str:
        return f"run:{self.run.public_id}"

    @property
    def seconds(self) -> float | None:
        if self.run.started_at is None:
            return None
        return max(((self.run.ended_at or timezone.now()) - self.run.started_at).total_seconds(), 0.0)

    @property
    def since(self) -> datetime | None:
        """When it started, while it goes on."""
        return self.run.started_at if self.run.ended_at is None else None

    @cached_property
    def reason(self) -> Reason:
        """What follows the label of the state: who cancelled, for what it waits."""
        return reason_of(self.run, self.lines)

    @cached_property
    def lineage(self) -> Lineage:
        return lineage_of(self.actor, self.run)

    @cached_property
    def totals(self) -> dict[str, int]:
        """Tokens, calls and retries of the pass that is shown."""
        calls = Call.objects.filter(run=self.run, pass_number=self.pass_number)
        sums = calls.aggregate(inputs=Sum("input_tokens"), outputs=Sum("output_tokens"), calls=Count("id"))
        retries = Attempt.objects.filter(
            run=self.run, pass_number=self.pass_number, status="failed", next_at__isnull=False
        ).count()
        return {name: value or 0 for name, value in sums.items()} | {"retries": retries}

    @cached_property
    def error(self) -> dict[str, Any] | None:
        """Why the run failed: ``{step, class, message}``."""
        found = self.mask.read(self.run.error) if self.run.status in BAD else None
        return found if isinstance(found, dict) else None

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(self.error or {})

    @cached_property
    def error_step(self) -> StepInfo | None:
        return self.step_at(str(self.error.get("step") or "")) if self.error is not None else None

    @cached_property
    def error_line(self) -> StepLine | None:
        """The step in which it failed, at the top level."""
        if self.error is None:
            return None
        key = top_level(str(self.error.get("step") or ""))
        return next((line for line in self.lines if line.path == key), None)

    @cached_property
    def simulated(self) -> bool:
        return any(line.simulated for line in self.lines)

    @cached_property
    def estimated(self) -> bool:
        return any(line.estimated for line in self.lines)

    # --- steps and graph

    @cached_property
    def document(self) -> FlowDocument | None:
        return documents_of([self.run.version_id]).get(self.run.version_id)

    @cached_property
    def lines(self) -> list[StepLine]:
        """The top-level steps, maps with their items counted."""
        return progress_of([self.run], self.pass_number)[self.run.id]

    @cached_property
    def counted_lines(self) -> list[StepLine]:
        """The same, each map with how many of its items are in which state."""
        for line in self.lines:
            line.counts = self.insides.items.get(line.path, {})
        return self.lines

    @cached_property
    def insides(self) -> Insides:
        """What is inside the maps and loops."""
        holding = self.drawing is not None and any(box.kind in ("map", "loop") for box in self.drawing.boxes)
        return insides_of(self.run, self.pass_number) if holding else Insides()

    @cached_property
    def tree(self) -> list[StepLine]:
        """The steps, and below the chosen map the item that is open with its steps."""
        lines = []
        for line in self.counted_lines:
            lines.append(line)
            chosen = self.info.path if self.info is not None else ""
            if chosen.startswith((f"{line.path}[", f"{line.path}/")) or (chosen == line.path and line.kind == "subflow"):
                lines += self._opened()
        for each in lines:
            each.reused_from = self.reused.get(each.path)
        return lines

    def _opened(self) -> list[StepLine]:
        """The items and sub-flows on the way to the chosen path, and the steps of the innermost of them."""
        lines: list[StepLine] = []
        around = self.around
        if around is None:
            return lines
        below = {line.state for line in self.inspected_below}
        for path, label in (*around.parents[1:], (around.path, around.label)):
            inner = path == around.path
            if path.endswith("]") or (inner and around.parents):
                state = next((each for each in ROLL_UP if each in below), "") if inner else ""
                name = label.rpartition(" · ")[2].capitalize() if path.endswith("]") else label
                lines.append(StepLine(path, name, "item" if path.endswith("]") else "subflow", state=state, depth=_depth(path)))
        for line in self.inspected_below:
            line.depth = _depth(f"{around.path}/") if around.kind == "subflow" else _depth(around.path) + 1
            lines.append(line)
        return lines

    @cached_property
    def around(self) -> StepInfo | None:
        """The innermost item, round or sub-flow that the chosen path is, or is inside of."""
        info = self.info
        if info is None:
            return None
        if info.item is not None or info.kind == "subflow":
            return info
        path = info.path.removesuffix(info.key)
        return self.step_at(path[:-1]) if path.endswith(("].", "/")) else None

    @cached_property
    def inspected_below(self) -> list[StepLine]:
        """The steps of the item, round or sub-flow that is open."""
        around = self.around
        if around is None:
            return []
        prefix = f"{around.path}/" if around.kind == "subflow" else f"{around.path}."
        return steps_below(self.run, self.pass_number, prefix, around.inside)

    def step_at(self, path: str) -> StepInfo | None:
        """What stands at a path of this run, its sub-flows included."""
        subflows = subflows_around(self.run, self.pass_number, path) if self._may_lead_into_a_subflow(path) else None
        return step_at(self.document, path, subflows)

    def _may_lead_into_a_subflow(self, path: str) -> bool:
        if "/" in path:
            return True
        found = step_at(self.document, path)
        return found is not None and found.kind in {"subflow", "tool"}

    @cached_property
    def drawing(self) -> Drawing | None:
        return drawn(self.document) if self.document is not None else None

    @cached_property
    def nodes(self) -> list[Node]:
        if self.drawing is None:
            return []
        over = self.ended or self.pass_number < self.run.pass_number
        return nodes_of(
            self.drawing, self.counted_lines, self.insides, self.info.path if self.info is not None else "", ended=over
        )

    @cached_property
    def info(self) -> StepInfo | None:
        """The chosen step: of the address, else where the run failed or stands, else its newest."""
        wanted = self.query.get("step", "")
        if wanted:
            found = self.step_at(wanted[:400])
            if found is None:
                raise NotFound(f"step {wanted[:80]!r} in this version")
            return found
        if self.error_step is not None:
            return self.error_step
        for state in OPENED_FIRST:
            for line in self.lines:
                if line.state == state:
                    return self.step_at(line.path)
        done = [line for line in self.lines if line.state in ("succeeded", "cancelled")] or self.lines
        return self.step_at(done[-1].path if self.ended and done else done[0].path) if done else None

    @cached_property
    def inspected(self) -> Inspected | None:
        if self.info is None:
            return None
        state = self.query.get("items", "")
        after = _number(self.query.get("after"))
        view = inspected(
            self.run, self.pass_number, self.info, _number(self.query.get("attempt")), -1 if after is None else after, state
        )
        view.line = next((line for line in [*self.counted_lines, *self.inspected_below] if line.path == self.info.path), None)
        return view

    # --- the other tabs

    @property
    def true_scale(self) -> bool:
        return self.query.get("scale") == "true"

    @property
    def by_cost(self) -> bool:
        return self.may_see_costs and self.query.get("colour") == "cost"

    @cached_property
    def timeline(self) -> Timeline:
        for line in self.counted_lines:
            line.reused_from = self.reused.get(line.path)
        scale = {"true_scale": self.true_scale, "by_cost": self.by_cost}
        return timeline_of(self.run, self.pass_number, self.counted_lines, self.step_at, **scale)

    @cached_property
    def events(self) -> EventPage:
        types = [each for each in ",".join(self.query.getlist("type")).split(",") if each]
        before = self.query.get("before")
        if before is not None and _number(before) is None:
            raise Invalid("The cursor cannot be used.", problems=[Fault("before", "is no event's number")])
        in_pass = self.pass_number if self.query.get("pass") else None
        return events_before(self.run, _number(before), types, self.query.get("only") == "problems", in_pass)

    @property
    def kept_names(self) -> tuple[str, ...]:
        """The page's choices beside those of a list in it."""
        return ("tab", "pass", "step", "attempt")

    @property
    def clear_events(self) -> str:
        return self.address(tab="events")

    @property
    def error_address(self) -> str:
        """Where the failed step is looked at."""
        return self.address(tab=None, step=self.error_step.path if self.error_step is not None else None, attempt=None)

    @cached_property
    def event_fields(self) -> list[dict[str, Any]]:
        return [
            {"name": "type", "label": "Type", "options": list(TYPES.items())},
            {"name": "only", "label": "Show", "options": [("problems", "Problems only")], "many": True},
        ]

    @cached_property
    def breakdown(self) -> Breakdown:
        return breakdown_of(self.run, self.document)

    @cached_property
    def calls(self) -> CallPage:
        return dearest_calls(
            self.run, self.query.get("of", "")[:400], self.query.get("model", "")[:160], self.query.get("after", "")
        )

    @cached_property
    def requests(self) -> list[Request]:
        found = requests_for(self.actor).filter(run=self.run).select_related("decided_by").order_by("-id")
        return list(found.defer("payload", "show", "answer")[:200])

    @cached_property
    def open_request(self) -> Request | None:
        """What the run asks of people now."""
        if self.run.status != "waiting_approval":
            return None
        still_open = requests_for(self.actor).filter(run=self.run, state__in=OPEN_REQUEST_STATES)
        return still_open.only("id", "title", "due").order_by("id").first()

    @cached_property
    def input(self) -> Any:
        return self.mask.read(self.run.input)

    @cached_property
    def output(self) -> Any:
        return self.mask.read(self.run.output)

    @cached_property
    def state(self) -> RunState:
        return state_of_run(self.run, self.pass_number, self.document)

    @property
    def cap(self) -> Decimal | None:
        return self.run.cap_cost


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None


def _depth(path: str) -> int:
    """How many items, rounds and sub-flows a path is inside of, itself included."""
    return path.count("[") + path.count("/")
