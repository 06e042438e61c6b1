"""Two runs side by side: where they part, and what each step took, cost and gave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from django.db.models import Sum
from django.db.models.functions import Coalesce

from flows.access.masking import mask_of
from flows.engine.masking import NO_MASK, Mask
from flows.models import Attempt, Call, Run
from flows.runs.progress import StepLine, progress_of
from flows.runs.reads import value_of

MOST_CHANGES = 200  # fields of one output that are shown
LONGEST = 2_000  # characters of a field's text
RECENT = 20  # runs that are offered to compare with

Masks = tuple[Mask, Mask]


@dataclass(frozen=True, slots=True)
class Delta:
    """How much B is away from A, and what that is called: ``faster``, ``dearer``, …. The amount has no sign."""

    sign: str  # + | − | ±
    amount: Any
    word: str

    @classmethod
    def of(cls, a: Any, b: Any, more: str, less: str) -> Delta | None:
        """None where one of them is not known."""
        if a is None or b is None:
            return None
        return cls("+", b - a, more) if b > a else cls("−", a - b, less) if b < a else cls("±", a - a, "the same")


@dataclass(frozen=True, slots=True)
class Side:
    """One step in one run."""

    line: StepLine
    output: str | None  # JSON text; None where it gave nothing
    models: tuple[str, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of an output that is not the same, as `components/diff.html` shows it."""

    change: str
    mark: str
    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """One step in both runs. `verdict` is ``same``, ``differs``, ``not in A`` or ``not in B``."""

    key: str
    a: Side | None
    b: Side | None
    verdict: str
    changes: tuple[FieldChange, ...]

    @property
    def label(self) -> str:
        side = self.a or self.b
        return side.line.name if side is not None else self.key

    @property
    def parts(self) -> bool:
        """Whether the runs are not alike here: in a state, or in what it gave."""
        return self.verdict != "same" or self.a is None or self.b is None or self.a.line.state != self.b.line.state

    @property
    def duration(self) -> Delta | None:
        return Delta.of(self._of_a("seconds"), self._of_b("seconds"), "slower", "faster")

    @property
    def cost(self) -> Delta | None:
        return Delta.of(self._of_a("cost"), self._of_b("cost"), "dearer", "cheaper")

    @property
    def tokens(self) -> Delta | None:
        if self.a is None or self.b is None:
            return None
        return Delta.of(self.a.tokens, self.b.tokens, "more", "fewer")

    def _of_a(self, name: str) -> Any:
        return getattr(self.a.line, name) if self.a is not None else None

    def _of_b(self, name: str) -> Any:
        return getattr(self.b.line, name) if self.b is not None else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs and their steps, in the order of A's flow, then those that only B has."""

    a: Run
    b: Run
    rows: tuple[Row, ...]

    @property
    def first(self) -> Row | None:
        """The step where they part first."""
        return next((row for row in self.rows if row.parts), None)

    @property
    def other_flow(self) -> bool:
        return self.a.flow_id != self.b.flow_id

    @property
    def other_version(self) -> bool:
        return self.a.version_id != self.b.version_id

    @property
    def input_changes(self) -> tuple[FieldChange, ...]:
        return tuple(changes_between(value_of(self.a.input), value_of(self.b.input), _masks(self.a, self.b)))

    @property
    def duration(self) -> Delta | None:
        return Delta.of(lasted(self.a), lasted(self.b), "slower", "faster")

    @property
    def cost(self) -> Delta | None:
        return Delta.of(self.a.spent, self.b.spent, "dearer", "cheaper")

    @property
    def tokens(self) -> Delta | None:
        return Delta.of(self.a.spent_tokens, self.b.spent_tokens, "more", "fewer")


def compare(a: Run, b: Run) -> Comparison:
    """The newest passes of two runs, which the actor was given. The number of queries does not depend on how long they are."""
    lines = progress_of([a, b])
    outputs, calls = _outputs(a, b), _calls(a, b)
    sides = {run.id: {line.path: _side(run, line, outputs, calls) for line in lines.get(run.id, [])} for run in (a, b)}
    keys = [*sides[a.id], *(key for key in sides[b.id] if key not in sides[a.id])]
    return Comparison(a, b, tuple(_row(key, sides[a.id].get(key), sides[b.id].get(key), _masks(a, b)) for key in keys))


def _masks(a: Run, b: Run) -> Masks:
    return mask_of(a), mask_of(b)


def candidates(runs: Any, run: Run) -> list[Run]:
    """The newest runs of the same flow, of those `runs` that the actor may see, to compare this one with."""
    found = runs.filter(flow=run.flow_id).exclude(id=run.id).defer("input", "output").order_by("-id")
    return list(found.select_related("flow", "version")[:RECENT])


def _row(key: str, a: Side | None, b: Side | None, masks: Masks) -> Row:
    if a is None or b is None:
        return Row(key, a, b, "not in A" if a is None else "not in B", ())
    if a.output == b.output:
        return Row(key, a, b, "same", ())
    changes = tuple(changes_between(value_of(a.output), value_of(b.output), masks))
    return Row(key, a, b, "differs" if changes else "same", changes)


def _side(
    run: Run,
    line: StepLine,
    outputs: Mapping[tuple[UUID, str], str | None],
    calls: Mapping[tuple[UUID, str], tuple[tuple[str, ...], int]],
) -> Side:
    models, tokens = calls.get((run.id, line.path), ((), 0))
    return Side(line, outputs.get((run.id, line.path)), models, tokens)


def _outputs(a: Run, b: Run) -> dict[tuple[UUID, str], str | None]:
    found = Attempt.objects.filter(run__in=[a, b], status="succeeded", path__regex=r"^(error\.)?[a-z0-9_]+$")
    passes = {a.id: a.pass_number, b.id: b.pass_number}
    rows = found.filter(pass_number__in=set(passes.values())).values_list("run_id", "pass_number", "path", "output")
    return {(run, path): output for run, number, path, output in rows if number == passes[run]}


def _calls(a: Run, b: Run) -> dict[tuple[UUID, str], tuple[tuple[str, ...], int]]:
    """By run and top-level step: the models that were asked, and the tokens of all its calls."""
    passes = {a.id: a.pass_number, b.id: b.pass_number}
    rows = (
        Call.objects.filter(run__in=[a, b], kind="model")
        .values("run_id", "pass_number", "path", "target")
        .annotate(tokens=Coalesce(Sum("input_tokens"), 0) + Coalesce(Sum("output_tokens"), 0))
        .order_by("path")
    )
    found: dict[tuple[UUID, str], tuple[tuple[str, ...], int]] = {}
    for row in rows:
        if row["pass_number"] != passes[row["run_id"]]:
            continue
        key = (row["run_id"], _top(row["path"]))
        models, tokens = found.get(key, ((), 0))
        found[key] = (tuple(dict.fromkeys((*models, row["target"]))), tokens + row["tokens"])
    return found


def _top(path: str) -> str:
    """The step of the flow itself that a path lies in: `rate` of `rate[3].assess`; `error.mail` stays whole."""
    head, _, rest = path.partition(".")
    if head == "error" and rest:
        head = f"error.{rest.partition('.')[0]}"
    return head.partition("[")[0].partition("/")[0]


def changes_between(a: Any, b: Any, masks: Masks = (NO_MASK, NO_MASK)) -> Iterator[FieldChange]:
    """The fields in which two JSON values differ, by their places, at most `MOST_CHANGES`; of what is hidden only that it differs."""
    for n, change in enumerate(_differing(a, b, "", masks)):
        if n == MOST_CHANGES:
            return
        yield change


def _differing(a: Any, b: Any, name: str, masks: Masks) -> Iterator[FieldChange]:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in [*a, *(key for key in b if key not in a)]:
            here = f"{name}.{key}" if name else str(key)
            if key not in b:
                yield FieldChange("removed", "−", here, _text(a[key], masks[0]), None)
            elif key not in a:
                yield FieldChange("added", "+", here, None, _text(b[key], masks[1]))
            else:
                yield from _differing(a[key], b[key], here, masks)
    elif isinstance(a, list) and isinstance(b, list):
        yield from _differing_items(a, b, name, masks)
    elif a != b or isinstance(a, bool) != isinstance(b, bool):
        yield FieldChange("changed", "~", name or "the whole", _text(a, masks[0]), _text(b, masks[1]))


def _differing_items(a: Sequence[Any], b: Sequence[Any], name: str, masks: Masks) -> Iterator[FieldChange]:
    for n in range(max(len(a), len(b))):
        here = f"{name}[{n}]"
        if n >= len(b):
            yield FieldChange("removed", "−", here, _text(a[n], masks[0]), None)
        elif n >= len(a):
            yield FieldChange("added", "+", here, None, _text(b[n], masks[1]))
        else:
            yield from _differing(a[n], b[n], here, masks)


def _text(value: Any, mask: Mask) -> str:
    value = mask.value(value)
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def lasted(run: Run) -> Decimal | None:
    """From its beginning to its end; None while it goes on."""
    if run.ended_at is None:
        return None
    return Decimal(str((run.ended_at - (run.started_at or run.created_at)).total_seconds()))
