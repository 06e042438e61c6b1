"""A policy in plain words, as lists and pages say it."""

from __future__ import annotations

from approvals.policies.settings import PolicySettings

ACTS = {"remind": "remind", "escalate": "hand up", "reject": "reject"}


def in_words(settings: PolicySettings) -> str:
    """Who decides: "2 of finance, ops; one of each team"."""
    who = ", ".join([*settings.teams, *settings.people])
    words = [f"{settings.quorum} of {who}"]
    if settings.chosen_by.strip():
        words.append("or whom the payload names")
    if settings.each_team:
        words.append("one of each team")
    if not settings.veto:
        words.append("one rejection does not end it")
    return "; ".join([*words, "never the starter"])


def ladder_in_words(settings: PolicySettings) -> str:
    """ "30m remind → 2h hand up to legal → 1d reject"; empty where there is no deadline."""
    steps = []
    for rung in settings.ladder:
        names = ", ".join([*rung.people, *rung.teams])
        steps.append(f"{rung.after} {ACTS[rung.act]}{f' to {names}' if names else ''}")
    return " → ".join(steps)
