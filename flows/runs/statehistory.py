"""The state of a run and how it came to be so: which step set what, and when. Read off the journal, which keeps each change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import connection

from flows.access.masking import mask_of
from flows.engine.document import FlowDocument
from flows.models import Attempt, Run

MOST: Final = 500
"""Changes that are shown, the newest."""

NEWEST: Final = """
SELECT DISTINCT ON (s.key) s.key, s.value::text FROM flows_attempt a CROSS JOIN LATERAL json_each(a.state::json) AS s
WHERE a.run_id = %s AND a.pass = %s AND a.state IS NOT NULL AND a.state <> '' AND strpos(a.path, '/') = 0 ORDER BY s.key, a.seq DESC
"""


@dataclass(frozen=True, slots=True)
class StateChange:
    """One step's change of some keys. `flow` is the path of the sub-flow whose state it is; empty for the run's own."""

    path: str
    at: datetime | None
    values: Mapping[str, Any]
    carried: bool  # whether it was made in an earlier pass, or by the run that this one repeats

    @property
    def flow(self) -> str:
        return self.path.rpartition("/")[0]

    @property
    def lines(self) -> list[tuple[str, str]]:
        """The keys, each with its value in one line of JSON."""
        return [(key, json.dumps(value, ensure_ascii=False)) for key, value in self.values.items()]


@dataclass(frozen=True, slots=True)
class RunState:
    """`now` is the run's own state, as its steps have left it; `initial` as it began. `history` has the newest change first."""

    initial: Mapping[str, Any]
    now: Mapping[str, Any]
    history: list[StateChange]
    more: bool  # whether older changes are not shown

    @property
    def is_used(self) -> bool:
        return bool(self.initial or self.history)


def state_of_run(run: Run, pass_number: int, document: FlowDocument | None) -> RunState:
    """In two queries; of a state that was changed very often, the newest changes."""
    mask = mask_of(run)
    rows = Attempt.objects.filter(run=run, pass_number=pass_number, state__isnull=False).exclude(state="").order_by("-seq")
    found = list(rows.values_list("path", "ended_at", "state", "carried")[: MOST + 1])
    history = [StateChange(path, at, mask.read(state) or {}, carried) for path, at, state, carried in found[:MOST]]
    initial = dict(document.state or {}) if document is not None else {}
    return RunState(initial, initial | (_newest(run, pass_number) if history else {}), history, len(found) > MOST)


def _newest(run: Run, pass_number: int) -> dict[str, Any]:
    """The keys that steps of the run's own flow have set, with what they hold."""
    with connection.cursor() as cursor:
        cursor.execute(NEWEST, [run.id, pass_number])
        return {key: mask_of(run).read(value) for key, value in cursor.fetchall()}
