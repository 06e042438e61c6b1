"""The policies as flows name them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from approvals.models import Policy
from approvals.policies.reach import unknown_names, unsatisfiable
from approvals.policies.settings import PolicySettings
from approvals.policies.words import in_words
from flows.engine.kinds import KnownPolicy


class Book:
    """What `flows.builder.policies` asks for."""

    def in_force(self, judged: Collection[str] = ()) -> Mapping[str, KnownPolicy]:
        found = Policy.objects.filter(current__isnull=False, retired_at__isnull=True).select_related("current").order_by("name")
        return {policy.slug: _known(policy, policy.slug in judged) for policy in found}


def _known(policy: Policy, judged: bool) -> KnownPolicy:
    settings = PolicySettings.model_validate(policy.rules)
    problem = problem_of(settings) if judged else ""
    return KnownPolicy(policy.name, f"v{policy.number} · {in_words(settings)}", problem)


def problem_of(settings: PolicySettings) -> str:
    """Why nobody could decide by it as people and teams are now; empty where somebody can."""
    return "; ".join(fault.message for fault in (*unknown_names(settings), *unsatisfiable(settings)))
