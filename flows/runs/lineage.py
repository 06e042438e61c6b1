"""Where a run comes from and what came of it: its passes, the runs that it repeats or that repeat it, and what was taken over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Max

from flows.access.actor import Actor
from flows.access.querysets import runs_for
from flows.models import Attempt, Run
from flows.runs.reads import passes_of

FORKS = 5  # that a page names
VERBS = {"retry": "retried", "skip": "a step skipped", "limits": "limits raised"}


@dataclass(frozen=True, slots=True)
class PassLine:
    """One pass in the words of a menu."""

    number: int
    words: str


@dataclass(frozen=True, slots=True)
class Lineage:
    """`origin` is the run that this one repeats, `forks` the newest that repeat it; `more` says that there are others."""

    origin: Run | None
    forks: tuple[Run, ...]
    more: bool


def pass_lines(run: Run) -> list[PassLine]:
    """The passes of a run, the newest first: one query, none where there is only one."""
    if run.pass_number == 1:
        return [PassLine(1, "")]
    lines = [PassLine(1, "as it was started")]
    for each in passes_of(run):
        by = f" by {each.by.username}" if each.by is not None else ""
        at = f" from {each.from_path}" if each.from_path else ""
        lines.append(PassLine(each.number, f"{VERBS.get(each.verb, each.verb)}{at}{by}"))
    return lines[::-1]


def lineage_of(actor: Actor, run: Run) -> Lineage:
    """What the actor may see of it: at most two queries."""
    seen = runs_for(actor).only("id", "number", "origin_path")
    origin = seen.filter(id=run.origin_id).first() if run.origin_id is not None else None
    forks = list(seen.filter(origin=run).order_by("-id")[: FORKS + 1])
    return Lineage(origin, tuple(forks[:FORKS]), len(forks) > FORKS)


def taken_over(run: Run, pass_number: int, paths: Iterable[str]) -> dict[str, int]:
    """By path of the steps whose results were taken over into this pass: the pass that made them; 0 where it was the run that this
    one repeats. At most two queries."""
    wanted = list(paths)
    if pass_number == 1 and run.origin_id is None:
        return {}
    here = Attempt.objects.filter(run=run, path__in=wanted)
    carried = set(here.filter(pass_number=pass_number, carried=True).values_list("path", flat=True))
    if not carried:
        return {}
    made = (
        here.filter(path__in=carried, pass_number__lt=pass_number, carried=False).values_list("path").annotate(Max("pass_number"))
    )
    return {**dict.fromkeys(carried, 0), **dict(made)}
