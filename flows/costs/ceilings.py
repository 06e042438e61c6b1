"""What budgets allow each single run of steps and time. Dollars, tokens and calls are held call by call (`flows/execution/budgets.py`);
these two are the run's own from its beginning."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import Q

from flows.models import Budget, Flow, Run, Team


def ceiling_for(flow: Flow, person: Any, key: Any, tags: Iterable[str]) -> dict[str, int]:
    """`steps`, and `duration` in seconds, that a run of this flow, started by this person or API key (None: neither), bearing these
    tags, may have at most: one query. What no budget limits is left out."""
    applies = Q(scope="run", subject__in=["", flow.slug]) | Q(scope="flow", subject=flow.slug)
    if flow.team_id is not None:
        applies |= Q(scope="team", subject__in=Team.objects.filter(id=flow.team_id).values("slug"))
    applies |= Q(scope="tag", subject__in=list(tags))
    if person is not None:
        applies |= Q(scope="person", subject=person.username)
    if key is not None:
        applies |= Q(scope="key", subject=str(key.id))
    lowest: dict[str, int] = {}
    for steps, duration in Budget.objects.filter(applies, OF_RUNS, period="run").values_list("steps", "duration"):
        for name, limit in (("steps", steps), ("duration", duration)):
            if limit is not None:
                lowest[name] = min(limit, lowest.get(name, limit))
    return lowest


OF_RUNS = Q(steps__isnull=False) | Q(duration__isnull=False)


def ceiling_of_budgets(run: Run) -> dict[str, int]:
    """The same for a run that exists, by the budgets of now. The run's flow should be loaded."""
    return ceiling_for(run.flow, run.started_by, run.started_key, run.tags)
