"""What the reader may do with the run."""

from __future__ import annotations

from flows.access.rights import Right
from flows.engine.states import TERMINAL_STATES
from flows.runs.pages.acts import Act, acts_on
from flows.runs.pages.viewing.choices import Choices


class Rights(Choices):
    """What the reader may do with the run."""

    @property
    def acts(self) -> list[Act]:
        return acts_on(self.actor, self.run)

    @property
    def ended(self) -> bool:
        return self.run.status in TERMINAL_STATES

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
    def may_edit(self) -> bool:
        return self.run.flow.archived_at is None and self.actor.may(Right.EDIT_FLOWS, self.run.flow.team_id)

    @property
    def may_start(self) -> bool:
        return self.actor.may(Right.START_RUNS, self.run.flow.team_id)

    @property
    def may_reveal(self) -> bool:
        return self.actor.may(Right.REVEAL, self.run.flow.team_id)
