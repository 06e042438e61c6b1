"""The steps of the run, and the one that is looked at."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

from flows.access.refusals import NotFound
from flows.engine.document import FlowDocument
from flows.engine.drawing import Drawing, drawn
from flows.engine.states import ROLL_UP
from flows.models import Attempt
from flows.runs.documents import documents_of
from flows.runs.graph import Node, nodes_of
from flows.runs.inspection import ITEMS, Inspected, StepInfo, inspected, step_at, subflows_around
from flows.runs.items import Insides, Looked, insides_of
from flows.runs.lineage import taken_over
from flows.runs.pages.viewing.choices import number_in
from flows.runs.pages.viewing.rights import Rights
from flows.runs.progress import StepLine, progress_of, steps_below

BAD = ("failed", "budget_stopped")
NO_ROOM = '"budget"'
OPENED_FIRST = ("failed", "budget_stopped", "waiting_approval", "retrying", "running", "waiting")


class Steps(Rights):
    """The steps of the run, and the one that is looked at."""

    @cached_property
    def document(self) -> FlowDocument | None:
        return documents_of([self.run.version_id]).get(self.run.version_id)

    @cached_property
    def error(self) -> dict[str, Any] | None:
        """Why the run failed or was stopped: ``{step, class, message}``."""
        found = self.mask.read(self.run.error) if self.run.status in BAD else None
        if found is None and self.run.status == "budget_stopped":
            found = self._refused_call()
        return found if isinstance(found, dict) else None

    def _refused_call(self) -> dict[str, Any] | None:
        """The call for which there was no room: a run that its limit has stopped has no error of its own."""
        refused = Attempt.objects.filter(run=self.run, pass_number=self.pass_number, error__contains=NO_ROOM).order_by("-id")
        path, text = refused.values_list("path", "error").first() or ("", None)
        found = self.mask.read(text)
        return {**found, "step": path} if isinstance(found, dict) and found.get("class") == "budget" else None

    @cached_property
    def error_step(self) -> StepInfo | None:
        return self.step_at(str(self.error.get("step") or "")) if self.error is not None else None

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
        """What is inside the maps and loops, and the items of the chosen one that are looked at."""
        holding = self.drawing is not None and any(box.kind in ("map", "loop") for box in self.drawing.boxes)
        return insides_of(self.run, self.pass_number, self.looked) if holding or self.looked is not None else Insides()

    @cached_property
    def reused(self) -> dict[str, int]:
        """The steps shown whose results were taken over into this pass, with the pass that made them."""
        shown = [*self.lines, *self.inspected_below]
        return taken_over(self.run, self.pass_number, [line.path for line in shown])

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
    def sought(self) -> int | None:
        """The number of the item or round that the address looks for, as people write it: ``9873``, ``#9,873``, ``item 9873``."""
        written = re.sub(r"[\s,#.\u202f]|item|round", "", self.query.get("item", ""), flags=re.IGNORECASE)
        return number_in(written)

    @cached_property
    def looked(self) -> Looked | None:
        """The items or rounds that the address asks for, where the chosen step is a map or loop."""
        info = self.info
        if info is None or info.item is not None or not info.inside or info.kind in ("agent", "subflow"):
            return None
        rounds, after = info.kind == "loop", number_in(self.query.get("after"))
        if self.sought is not None:
            return Looked(info.path, self.sought - (2 if rounds else 1), ITEMS + 1, rounds=rounds)
        return Looked(info.path, -1 if after is None else after, ITEMS + 1, self.query.get("items", ""), rounds)

    @cached_property
    def inspected(self) -> Inspected | None:
        if self.info is None:
            return None
        attempt = number_in(self.query.get("attempt"))
        view = inspected(self.run, self.pass_number, self.info, attempt, self.insides.page)
        view.line = next((line for line in [*self.counted_lines, *self.inspected_below] if line.path == self.info.path), None)
        return view

    @property
    def found(self) -> str:
        """The path of the item that the address looks for; empty where it has not begun."""
        if self.sought is None or self.inspected is None or self.info is None or not self.inspected.items:
            return ""
        first = self.inspected.items[0]
        return first.path if first.name.endswith(f" {self.sought}") else ""


def _depth(path: str) -> int:
    """How many items, rounds and sub-flows a path is inside of, itself included."""
    return path.count("[") + path.count("/")
