"""What stands above the tabs: state and its reason, figures, why it failed."""

from __future__ import annotations

from decimal import Decimal
from functools import cached_property
from urllib.parse import urlencode

from django.db.models import Count, OuterRef, Subquery, Sum
from django.db.models.functions import JSONObject
from django.http import QueryDict

from flows.access.querysets import requests_for
from flows.engine.states import OPEN_REQUEST_STATES
from flows.models import Attempt, Call, Request, Run
from flows.runs.lineage import Lineage, lineage_of
from flows.runs.listing import counted, fingerprint_of, in_words, matching, wanted_by
from flows.runs.pages.viewing.steps import Steps
from flows.runs.progress import StepLine, top_level
from flows.runs.reasons import Reason, reason_of


class Head(Steps):
    """What stands above the tabs: state and its reason, figures, why it failed."""

    @property
    def topic(self) -> str:
        return f"run:{self.run.public_id}"

    @cached_property
    def reason(self) -> Reason:
        """What follows the label of the state: who cancelled, for what it waits."""
        return reason_of(self.run, self.lines)

    @cached_property
    def lineage(self) -> Lineage:
        return lineage_of(self.actor, self.run)

    @cached_property
    def totals(self) -> dict[str, int]:
        """Tokens, calls and retries of the pass that is shown: one query."""
        of_pass = {"run": OuterRef("pk"), "pass_number": self.pass_number}
        calls = Call.objects.filter(**of_pass).order_by().values("pass_number")
        sums = JSONObject(inputs=Sum("input_tokens"), outputs=Sum("output_tokens"), calls=Count("id"))
        again = Attempt.objects.filter(**of_pass, status="failed", next_at__isnull=False).order_by().values("pass_number")
        found, retries = Run.objects.values_list(
            Subquery(calls.annotate(sums=sums).values("sums")), Subquery(again.annotate(n=Count("id")).values("n"))
        ).get(id=self.run.id)
        nothing = {"inputs": 0, "outputs": 0, "calls": 0}
        return {name: (found or nothing)[name] or 0 for name in nothing} | {"retries": retries or 0}

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(self.error or {})

    @cached_property
    def same_error(self) -> str:
        """The address of the runs with the same error, without its path; empty where the run has none."""
        return f"flow={self.run.flow.slug}&{urlencode({'fingerprint': self.fingerprint}, safe='@[]')}" if self.run.error else ""

    @cached_property
    def same_errors(self) -> str:
        """How many these are, as that list says it; empty where there is none, as for a test's."""
        count = counted(matching(self.actor, wanted_by(QueryDict(self.same_error)))) if self.same_error else 0
        return f"{in_words(count)} run{'' if count == 1 else 's'}" if count else ""

    @cached_property
    def error_line(self) -> StepLine | None:
        """The step in which it failed, at the top level."""
        if self.error is None:
            return None
        key = top_level(str(self.error.get("step") or ""))
        return next((line for line in self.lines if line.path == key), None)

    @property
    def error_address(self) -> str:
        """Where the failed step is looked at."""
        return self.address(tab=None, step=self.error_step.path if self.error_step is not None else None, attempt=None)

    @cached_property
    def simulated(self) -> bool:
        return any(line.simulated for line in self.lines)

    @cached_property
    def estimated(self) -> bool:
        return any(line.estimated for line in self.lines)

    @property
    def cap(self) -> Decimal | None:
        return self.run.cap_cost

    @cached_property
    def open_request(self) -> Request | None:
        """What the run asks of people now."""
        if self.run.status != "waiting_approval":
            return None
        still_open = requests_for(self.actor).filter(run=self.run, state__in=OPEN_REQUEST_STATES)
        return still_open.only("id", "title", "due").order_by("id").first()
