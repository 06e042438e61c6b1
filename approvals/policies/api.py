"""Approval policies over HTTP, and how reviewing goes."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from approvals.actions.save_policy import retire_policy, save_policy
from approvals.models import Policy
from approvals.policies.health import Figures, figures_of, loads_of
from approvals.policies.reads import policy_named
from approvals.policies.settings import read_settings
from approvals.policies.trying import Tried, tried_on_last_runs
from flows.access.rights import Right, require, require_scope
from flows.api.auth import actor_of
from flows.api.problems import ProblemDocument
from flows.api.shapes import Time

router = Router(tags=["policies"])

REFUSALS = {403: ProblemDocument, 404: ProblemDocument, 409: ProblemDocument, 422: ProblemDocument}
RULES = (
    "description, tools, flows, when, people, teams, chosen_by, quorum, each_team, veto, reason (never, reject, always), editable, "
    "risk (low, medium, high), bulk, confirm, channels, ladder [{after, act: remind | escalate | reject, people, teams}]"
)


class PolicyIn(Schema, extra="forbid"):
    name: str
    rules: dict[str, Any] = Field(description=RULES)
    based_on: int | None = Field(None, description="the number of the version that was changed; another one now is 409")


class RulesIn(Schema, extra="forbid"):
    rules: dict[str, Any] = Field(description=RULES)


class PolicyShape(Schema):
    slug: str
    name: str
    version: int
    retired_at: Time | None
    rules: dict[str, Any] = Field(description=RULES)


class PolicyList(Schema):
    items: list[PolicyShape]


class VersionShape(Schema):
    number: int
    by: str
    at: Time
    rules: dict[str, Any]


class VersionList(Schema):
    items: list[VersionShape]


class TriedShape(Schema):
    run: str
    path: str
    tool: str
    fields: dict[str, str]
    problem: str


class TrialShape(Schema):
    runs: int
    calls: int
    asked: list[TriedShape]
    failed: list[TriedShape]


class FiguresShape(Schema):
    policy: str = Field(description="empty: all approvals")
    asked: int
    decided: int
    median_seconds: float | None
    unchanged: float | None
    edited: float | None
    rejected: float | None
    hasty: float | None = Field(description="share decided within 3 seconds of opening it")
    streak: int = Field(description="approved unchanged in a row, until now")
    narrow: bool = Field(description="whether the rule seems too wide")


class LoadShape(Schema):
    person: str
    decided: int
    hasty: float
    unchanged: float


class HealthShape(Schema):
    figures: list[FiguresShape]
    loads: list[LoadShape]


@router.get("/policies", response={200: PolicyList})
def list_policies(request: HttpRequest) -> Any:
    """All policies, by name."""
    require_scope(actor_of(request), Right.SEE_REQUESTS)
    found = Policy.objects.filter(current__isnull=False).select_related("current").order_by("name")
    return {"items": [_shape(each) for each in found]}


@router.post("/policies/trial", response={200: TrialShape, 403: ProblemDocument, 422: ProblemDocument})
def post_policy_trial(request: HttpRequest, body: RulesIn) -> Any:
    """On what these rules would have asked in the last 100 runs that you may see. Changes nothing."""
    actor = actor_of(request)
    require(actor, Right.MANAGE_POLICIES)
    trial = tried_on_last_runs(actor, read_settings(body.rules))
    asked, failed = [_tried(each) for each in trial.asked], [_tried(each) for each in trial.failed]
    return {"runs": trial.runs, "calls": trial.calls, "asked": asked, "failed": failed}


@router.get("/policies/health", response={200: HealthShape})
def get_health(request: HttpRequest) -> Any:
    """How reviewing went in 30 days, by policy and by person."""
    actor = actor_of(request)
    require_scope(actor, Right.SEE_REQUESTS)
    return {"figures": [_figures(each) for each in figures_of(actor).values()], "loads": loads_of(actor)}


@router.get("/policies/{policy}", response={200: PolicyShape, 404: ProblemDocument})
def get_policy(request: HttpRequest, policy: str) -> Any:
    """One policy, as it is in force."""
    require_scope(actor_of(request), Right.SEE_REQUESTS)
    return _shape(policy_named(policy))


@router.put("/policies/{policy}", response={200: PolicyShape} | REFUSALS)
def put_policy(request: HttpRequest, policy: str, body: PolicyIn) -> Any:
    """Saves the next version. Open requests keep theirs; rules that nobody could satisfy are refused."""
    save_policy(actor_of(request), policy, body.name, body.rules, body.based_on)
    return _shape(policy_named(policy))


@router.delete("/policies/{policy}", response={200: PolicyShape, 403: ProblemDocument, 404: ProblemDocument})
def delete_policy(request: HttpRequest, policy: str) -> Any:
    """Takes it out of force. Its versions stay."""
    return _shape(retire_policy(actor_of(request), policy))


@router.get("/policies/{policy}/versions", response={200: VersionList, 404: ProblemDocument})
def list_versions(request: HttpRequest, policy: str) -> Any:
    """All its versions, the newest first."""
    require_scope(actor_of(request), Right.SEE_REQUESTS)
    found = policy_named(policy).versions.select_related("by").order_by("-number")
    return {"items": [{"number": each.number, "by": each.by.username, "at": each.at, "rules": each.rules} for each in found]}


def _shape(policy: Policy) -> dict[str, Any]:
    return {
        "slug": policy.slug,
        "name": policy.name,
        "version": policy.number,
        "retired_at": policy.retired_at,
        "rules": policy.rules,
    }


def _tried(each: Tried) -> dict[str, Any]:
    return {"run": each.run.public_id, "path": each.path, "tool": each.tool, "fields": dict(each.fields), "problem": each.problem}


def _figures(each: Figures) -> dict[str, Any]:
    names = ("policy", "asked", "decided", "median_seconds", "unchanged", "edited", "rejected", "hasty", "streak", "narrow")
    return {name: getattr(each, name) for name in names}
