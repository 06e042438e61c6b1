"""Every address of the pages and of the API, and every topic of the socket, as each role, as somebody of another team, as somebody
without a role and as nobody. The tables say who gets in; an address that they do not know fails the test."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection, transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from approvals.models import Channel, Delegation, Policy, PolicyVersion, Remark, Vote
from approvals.policies.settings import PolicySettings
from flows.access import signin
from flows.access.keys import digest_of
from flows.access.vault import seal
from flows.api import chat
from flows.execution.doorbells import ERRANDS, INBOX
from flows.models import (
    Attempt,
    Budget,
    BudgetHold,
    BudgetPeriod,
    Call,
    Connection,
    Drill,
    Errand,
    Event,
    Firing,
    Flow,
    FlowVersion,
    Invitation,
    KnowledgeBase,
    MCPServer,
    ModelEntry,
    Person,
    Pin,
    Request,
    Run,
    Secret,
    SignIn,
    ToolEntry,
    Trigger,
)
from flows.runs import live
from orchestrator.api import api
from orchestrator.asgi import application
from tests.makers import (
    DOCUMENT,
    make_base,
    make_flow,
    make_key,
    make_memory,
    make_person,
    make_request,
    make_run,
    make_team,
    make_trigger,
    make_versioned_route,
)
from tests.runs.journals import make_call
from tests.sockets import Socket

ROLES = ["viewer", "operator", "approver", "builder", "owner", "auditor"]
SEES = " ".join(ROLES)
CONTROLS = "operator builder owner"
BUILDS = "builder owner"
COSTS = "operator builder owner auditor"
PEOPLE = ["nobody", "stranger", "outsider", *ROLES]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
SECRET = "not for others"  # in the names of all that the outsider may not see


@dataclass(frozen=True)
class Door:
    """What one address does for whom.

    `may` are the roles that get in; the others are refused, naming `right`, or, where `hidden`, find nothing. `thing`: it is about
    something of a team, which others do not see. `open`: nobody gets in, too. `address` fills in the pattern's names.
    """

    method: str
    pattern: str
    may: str = SEES
    right: str = ""
    thing: bool = False
    open: bool = False
    hidden: bool = False
    stranger: str = ""  # what becomes of these two where it is something else
    outsider: str = ""
    query: str = ""
    body: Any = None
    json: bool = False  # a page's script sends it
    records: bool = False  # that somebody looked is recorded
    signed: bool = False  # only a signature opens it, which nobody here has

    @property
    def is_api(self) -> bool:
        return self.pattern.startswith(("api/", "v1/"))

    def address(self, names: dict[str, str]) -> str:
        return "/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda found: names[found[1]], self.pattern) + self.query

    def expected(self, who: str) -> str:
        if self.signed:
            return "door"
        if self.open:
            return "unseen" if self.hidden else "in"
        if who == "nobody":
            return "door"
        if who in ("stranger", "outsider") and (special := self.stranger if who == "stranger" else self.outsider):
            return special
        if self.thing and who in ("stranger", "outsider"):
            return "unseen"
        if who == "outsider" and not self.hidden:  # holds what an operator holds, for what is theirs
            return "in"
        if who in self.may.split() or (not self.right and not self.hidden):
            return "in"
        return "unseen" if self.hidden else "refused"


EDITED = {
    "document": {"orchestrator": 1, "name": SECRET, "steps": {"note": {"kind": "note"}}, "edges": []},
    "revision": 1,
    "place": [],
}
PAGES = [
    Door("GET", "healthz", open=True),
    Door("GET", "login", open=True),
    Door("POST", "login", open=True, body={"username": "viewer", "password": "wrong"}),
    Door("POST", "logout", open=True),
    Door("GET", "welcome", open=True),
    Door("POST", "welcome", open=True, body={"token": "guess"}),
    Door("POST", "look", open=True, body={"theme": "dark"}),
    Door("GET", ""),
    Door("POST", "first-steps"),
    Door("GET", "kept-form"),
    Door("GET", "go/<str:what>", thing=True),
    Door("GET", "shell/search", query=f"?q={SECRET}"),
    Door("GET", "shell/waiting"),
    Door("GET", "shell/killswitch"),
    Door("GET", "killswitch", may="owner", right="killswitch.throw", outsider="refused"),
    Door(
        "POST", "killswitch", may="owner", right="killswitch.throw", outsider="refused", body={"act": "throw", "reason": "A test"}
    ),
    Door("GET", "internal/components", may="owner", hidden=True),
    Door("GET", "internal/components/canvas", may="owner", hidden=True),
    Door("GET", "flows"),
    Door("GET", "flows", query="?part=list"),
    Door("GET", "flows/<str:slug>", thing=True),
    Door("GET", "flows/<str:slug>", thing=True, query="?tab=runs&part=runs"),
    Door("GET", "flows/<str:slug>", thing=True, query="?tab=versions"),
    Door("GET", "flows/<str:slug>/export", thing=True),
    Door("GET", "flows/<str:slug>", thing=True, query="?tab=report"),
    Door("GET", "flows/<str:slug>", thing=True, query="?tab=settings"),
    Door("GET", "flows/new", may=BUILDS, right="flows.edit"),
    Door("POST", "flows/new", may=BUILDS, right="flows.edit", body={"name": "Another"}),
    Door("GET", "flows/import", may=BUILDS, right="flows.edit"),
    Door("POST", "flows/import", may=BUILDS, right="flows.edit", body={"text": DOCUMENT, "act": "import"}),
    Door("GET", "templates"),
    Door("GET", "templates/<slug:template>"),
    Door("POST", "templates/<slug:template>", may=BUILDS, right="flows.edit", body={"name": "Another"}),
    Door("POST", "flows/bulk", body={"act": "nothing"}),
    Door("GET", "flows/<str:slug>/publication", may=BUILDS, right="flows.publish", thing=True),
    Door(
        "POST",
        "flows/<str:slug>/publication",
        may=BUILDS,
        right="flows.publish",
        thing=True,
        body={"note": "new", "revision": "1"},
    ),
    Door("GET", "flows/<str:slug>/versions/compare", thing=True),
    Door("POST", "flows/<str:slug>/versions/compare", thing=True, body={"text": "orchestrator: 1"}),
    Door("GET", "flows/<str:slug>/versions/<int:number>/rollback", may=BUILDS, right="flows.publish", thing=True),
    Door("POST", "flows/<str:slug>/versions/<int:number>/rollback", may=BUILDS, right="flows.publish", thing=True),
    Door("POST", "flows/<str:slug>/draft/restoration", may=BUILDS, right="flows.edit", thing=True, body={"version": "1"}),
    Door("POST", "flows/<str:slug>/settings", may=BUILDS, right="flows.edit", thing=True, body={"tags": "ops"}),
    Door("GET", "flows/<str:slug>/pause", may=CONTROLS, right="runs.control", thing=True),
    Door("POST", "flows/<str:slug>/pause", may=CONTROLS, right="runs.control", thing=True),
    Door("GET", "flows/<str:slug>/archive", may=BUILDS, right="flows.publish", thing=True),
    Door("POST", "flows/<str:slug>/archive", may=BUILDS, right="flows.publish", thing=True),
    Door("GET", "flows/<str:slug>/run", may=CONTROLS, right="runs.start", thing=True),
    Door("POST", "flows/<str:slug>/run", may=CONTROLS, right="runs.start", thing=True, body={"act": "start", "name": "Ann"}),
    Door("GET", "flows/<str:slug>/tests", may=BUILDS, right="flows.edit", thing=True),
    Door("POST", "flows/<str:slug>/tests", may=BUILDS, right="flows.edit", thing=True, body={"input-name": "Ann"}),
    Door("GET", "flows/<str:slug>/tests/extents", may=BUILDS, right="flows.edit", thing=True),
    Door("GET", "flows/<str:slug>/tests/<str:run_id>", may=BUILDS, right="flows.edit", thing=True),
    Door(
        "POST", "flows/<str:slug>/tests/<str:run_id>/answers", may=BUILDS, right="flows.edit", thing=True, body={"path": "greet"}
    ),
    Door("POST", "flows/<str:slug>/pins", may=BUILDS, right="flows.edit", thing=True, body={"step": "greet"}),
    Door("GET", "flows/<str:slug>/drills", thing=True),
    Door("POST", "flows/<str:slug>/drills", may=CONTROLS, right="runs.start", thing=True, body={}),
    Door("GET", "flows/<str:slug>/drills/<str:drill_id>", thing=True),
    Door("GET", "flows/<str:slug>/edit", may="builder owner", right="flows.edit", thing=True, outsider="unseen"),
    Door("GET", "flows/<str:slug>/draft", thing=True),
    Door("PUT", "flows/<str:slug>/draft", may="builder owner", right="flows.edit", thing=True, json=True, body=EDITED),
    Door("POST", "flows/<str:slug>/copies", may="builder owner", right="flows.edit", thing=True, json=True, body=EDITED),
    Door("POST", "flows/<str:slug>/draft/inspection", thing=True, json=True, body=EDITED),
    Door("POST", "flows/<str:slug>/draft/conversion", thing=True, json=True, body=EDITED),
    Door("POST", "flows/<str:slug>/draft/values", thing=True, json=True, body=EDITED),
    Door("POST", "flows/<str:slug>/draft/previews", thing=True, json=True, body={**EDITED, "texts": {}}),
    Door("POST", "hooks/<str:trigger_id>", open=True, json=True, signed=True, body={"name": "Ann"}),
    Door("GET", "flows/<str:slug>", thing=True, query="?tab=triggers"),
    Door("GET", "settings"),
    Door("GET", "settings/people", may="owner", right="people.manage", outsider="refused"),
    Door("GET", "settings/people/invite", may="owner", right="people.manage", outsider="refused"),
    Door("POST", "settings/people/invite", may="owner", right="people.manage", outsider="refused", body={"role": "viewer"}),
    Door("POST", "settings/invitations/<str:invitation_id>/withdrawal", may="owner", right="people.manage", outsider="refused"),
    Door("GET", "settings/people/<slug:username>", may="owner", right="people.manage", outsider="refused"),
    Door("POST", "settings/people/<slug:username>", may="owner", right="people.manage", outsider="refused", body={"name": "x"}),
    Door(
        "POST",
        "settings/people/<slug:username>/roles",
        may="owner",
        right="people.manage",
        outsider="refused",
        body={"role": "viewer"},
    ),
    Door("GET", "settings/people/<slug:username>/deactivation", may="owner", right="people.manage", outsider="refused"),
    Door("POST", "settings/people/<slug:username>/deactivation", may="owner", right="people.manage", outsider="refused"),
    Door("POST", "settings/people/<slug:username>/reset", may="owner", right="people.manage", outsider="refused"),
    Door(
        "POST",
        "settings/people/<slug:username>/sign-ins/<str:sign_in_id>/end",
        may="owner",
        right="people.manage",
        outsider="refused",
    ),
    Door("POST", "settings/people/<slug:username>/sign-ins/end", may="owner", right="people.manage", outsider="refused"),
    Door("GET", "settings/sign-in", may="owner", right="people.manage", outsider="refused"),
    Door("GET", "settings/general", may="owner", right="settings.manage", outsider="refused"),
    Door("POST", "settings/general", may="owner", right="settings.manage", outsider="refused"),
    Door("GET", "settings/teams", may="owner", right="people.manage", outsider="refused"),
    Door("GET", "settings/teams/<slug:slug>/removal", may="owner", right="people.manage", outsider="refused"),
    Door("POST", "settings/teams/<slug:slug>/removal", may="owner", right="people.manage", outsider="refused"),
    Door("POST", "settings/teams", may="owner", right="people.manage", outsider="refused", body={"slug": "new"}),
    Door("GET", "settings/roles"),
    Door("GET", "settings/demonstration", may="owner", right="settings.manage", outsider="refused"),
    Door("POST", "settings/demonstration", may="owner", right="settings.manage", outsider="refused", body={"act": "remove"}),
    Door("GET", "settings/retention", may="owner", right="settings.manage", outsider="refused"),
    Door(
        "POST",
        "settings/retention",
        may="owner",
        right="settings.manage",
        outsider="refused",
        body={"payload_days": "90", "act": "preview"},
    ),
    Door("GET", "settings/data", may="owner", right="settings.manage", outsider="refused"),
    Door("POST", "settings/data", may="owner", right="settings.manage", outsider="refused"),
    Door("GET", "settings/data/export", may="owner", right="settings.manage", outsider="refused", records=True),
    Door("GET", "settings/health", may="owner", right="settings.manage", outsider="refused"),
    Door("GET", "settings/keys"),
    Door("POST", "settings/keys", body={"scopes": ["runs:read"]}),
    Door("POST", "settings/keys/<str:key_id>/revocation", may="owner", hidden=True),
    Door("GET", "me"),
    Door("POST", "me", body={"name": "x"}),
    Door("POST", "me/password", body={"current": "wrong", "fresh": "correct horse battery staple"}),
    Door("POST", "me/sign-ins/<str:sign_in_id>/end", may="", hidden=True),
    Door("GET", "invitations/<str:secret>", open=True),
    Door("POST", "invitations/<str:secret>", open=True, body={"username": "new", "password": "123"}),
    Door("GET", "password/forgotten", open=True),
    Door("POST", "password/forgotten", open=True, body={"email": "nobody@example.com"}),
    Door("GET", "password/reset/<str:uid>/<str:token>", open=True),
    Door("POST", "password/reset/<str:uid>/<str:token>", open=True, body={"fresh": "x"}),
    Door("GET", "audit", may="owner auditor", right="audit.see", outsider="refused"),
    Door(
        "POST",
        "audit/views",
        may="owner auditor",
        right="audit.see",
        outsider="refused",
        body={"name": "Mine", "query": "door=cli"},
    ),
    Door("POST", "audit/verification", may="owner auditor", right="audit.see", outsider="refused"),
    Door("GET", "audit/export.<slug:form>", may="owner auditor", right="audit.see", outsider="refused", records=True),
    Door("GET", "knowledge"),
    Door("GET", "knowledge/new", may=BUILDS, right="flows.edit"),
    Door("POST", "knowledge/new", may=BUILDS, right="flows.edit", body={"slug": "No name"}),
    Door("GET", "knowledge/passages/<str:passage>", thing=True),
    Door("GET", "knowledge/<slug:slug>", thing=True),
    Door("GET", "knowledge/<slug:slug>/progress", thing=True),
    Door(
        "POST", "knowledge/<slug:slug>/documents", may=BUILDS, right="flows.edit", thing=True, body={"source": "a", "text": "b"}
    ),
    Door("POST", "knowledge/<slug:slug>/trials", may=BUILDS, right="flows.edit", thing=True, body={"q": "x"}),
    Door("POST", "knowledge/<slug:slug>/vectors", may=BUILDS, right="flows.edit", thing=True, body={"embedding": ""}),
    Door("POST", "knowledge/<slug:slug>/reindexing", may=BUILDS, right="flows.edit", thing=True),
    Door("GET", "knowledge/<slug:slug>/removal", may=BUILDS, right="flows.edit", thing=True),
    Door("POST", "knowledge/<slug:slug>/removal", may=BUILDS, right="flows.edit", thing=True),
    Door("GET", "knowledge/<slug:slug>/documents/<str:document>", thing=True),
    Door("GET", "knowledge/<slug:slug>/documents/<str:document>/removal", may=BUILDS, right="flows.edit", thing=True),
    Door("POST", "knowledge/<slug:slug>/documents/<str:document>/removal", may=BUILDS, right="flows.edit", thing=True),
    Door("GET", "triggers"),
    Door("GET", "triggers", query="?part=list"),
    Door("GET", "triggers/new", may=BUILDS, right="flows.edit"),
    Door("POST", "triggers/new", may=BUILDS, right="flows.edit", body={"name": "x"}),
    Door("GET", "triggers/<str:trigger_id>", thing=True),
    Door("POST", "triggers/<str:trigger_id>", may=BUILDS, right="flows.edit", thing=True, body={"name": "x"}),
    Door("POST", "triggers/<str:trigger_id>/pause", may=CONTROLS, right="runs.control", thing=True),
    Door("GET", "triggers/<str:trigger_id>/removal", may=BUILDS, right="flows.edit", thing=True),
    Door("POST", "triggers/<str:trigger_id>/removal", may=BUILDS, right="flows.edit", thing=True),
    Door("POST", "triggers/<str:trigger_id>/secret", may=BUILDS, right="flows.edit", thing=True),
    Door("POST", "triggers/<str:trigger_id>/firings", may=CONTROLS, right="runs.start", thing=True),
    Door("POST", "triggers/<str:trigger_id>/firings/<str:firing_id>/replay", may=CONTROLS, right="runs.start", thing=True),
    Door("POST", "triggers/<str:trigger_id>/firings/<str:firing_id>/sample", may=BUILDS, right="flows.edit", thing=True),
    Door("GET", "runs"),
    Door("GET", "runs/compare"),
    Door("POST", "runs/bulk", may=CONTROLS, right="runs.control"),
    Door("POST", "runs/views", body={"name": "Mine", "query": "state=failed"}),
    Door("POST", "runs/exports", body={"form": "csv"}),
    Door("GET", "errands"),
    Door("GET", "errands/<str:errand_id>", may="", hidden=True),  # its own person alone
    Door("GET", "errands/<str:errand_id>/file", may="", hidden=True),
    Door("GET", "shell/errand"),
    Door("GET", "runs/export.csv"),
    Door("GET", "runs/export.json"),
    Door("GET", "runs/<str:run_id>", thing=True),
    Door("GET", "runs/<str:run_id>", thing=True, query="?tab=events"),
    Door("GET", "runs/<str:run_id>", thing=True, query="?tab=io"),
    Door("GET", "runs/<str:run_id>", thing=True, query="?tab=approvals"),
    Door("GET", "runs/<str:run_id>", may=COSTS, right="costs.see", thing=True, query="?tab=cost"),
    Door("GET", "runs/<str:run_id>/cancellation", may=CONTROLS, right="runs.control", thing=True),
    Door("POST", "runs/<str:run_id>/cancellation", may=CONTROLS, right="runs.control", thing=True),
    Door("GET", "runs/<str:run_id>/pause", may=CONTROLS, right="runs.control", thing=True),
    Door("POST", "runs/<str:run_id>/pause", may=CONTROLS, right="runs.control", thing=True),
    Door("GET", "runs/<str:run_id>/resumption", may=CONTROLS, right="runs.control", thing=True),
    Door("POST", "runs/<str:run_id>/resumption", may=CONTROLS, right="runs.control", thing=True),
    Door("GET", "runs/<str:run_id>/retry", may=CONTROLS, right="runs.control", thing=True),
    Door("POST", "runs/<str:run_id>/retry", may=CONTROLS, right="runs.control", thing=True),
    Door("GET", "runs/<str:run_id>/limits", may=CONTROLS, right="runs.limits", thing=True),
    Door("POST", "runs/<str:run_id>/limits", may=CONTROLS, right="runs.limits", thing=True),
    Door("GET", "runs/<str:run_id>/skip", may=CONTROLS, right="runs.control", thing=True, query="?step=greet"),
    Door("POST", "runs/<str:run_id>/skip", may=CONTROLS, right="runs.control", thing=True, query="?step=greet"),
    Door("GET", "runs/<str:run_id>/input", may=CONTROLS, right="runs.control", thing=True, query="?step=greet"),
    Door("POST", "runs/<str:run_id>/input", may=CONTROLS, right="runs.control", thing=True, query="?step=greet"),
    Door("GET", "runs/<str:run_id>/events.jsonl", thing=True),
    Door("GET", "runs/<str:run_id>/hidden-fields", thing=True),
    Door("POST", "runs/<str:run_id>/hidden-fields", may="approver owner", right="payloads.reveal", thing=True),
    Door("GET", "runs/<str:run_id>/regions/<slug:name>", thing=True),
    Door("GET", "costs", may=COSTS, right="costs.see"),
    Door("GET", "costs", may=COSTS, right="costs.see", query="?by=call"),
    Door("GET", "costs/per-run", may=COSTS, right="costs.see"),
    Door("GET", "costs/what-if", may=COSTS, right="costs.see"),
    Door("GET", "costs/export.csv", may=COSTS, right="costs.see"),
    Door("POST", "costs/views", may=COSTS, right="costs.see", body={"name": "By flow", "query": "by=flow"}),
    Door("POST", "costs/views/<str:view_id>/removal", may="", hidden=True),
    Door("GET", "costs/export.jsonl", may=COSTS, right="costs.see"),
    Door("GET", "models", right="flows.see"),
    Door("GET", "models/new", may="owner", right="catalogue.manage", outsider="refused"),
    Door("POST", "models/new", may="owner", right="catalogue.manage", outsider="refused", body={"model": "nonsense"}),
    Door("GET", "models/<str:model>", may="owner", right="catalogue.manage", outsider="refused", stranger="refused"),
    Door("POST", "models/<str:model>", may="owner", right="catalogue.manage", outsider="refused", body={"act": "check"}),
    Door("GET", "tools", right="flows.see"),
    Door("GET", "tools/new", may="owner", right="catalogue.manage", outsider="refused"),
    Door(
        "POST", "tools/new", may="owner", right="catalogue.manage", outsider="refused", body={"kind": "http", "name": "Nonsense!"}
    ),
    Door("GET", "tools/<str:tool>", right="flows.see"),
    Door("GET", "tools/<str:tool>/edit", may="owner", right="catalogue.manage", outsider="refused"),
    Door("POST", "tools/<str:tool>/edit", may="owner", right="catalogue.manage", outsider="refused", body={"url": "nonsense"}),
    Door("POST", "tools/<str:tool>", may=BUILDS, right="routes.edit", outsider="refused", body={"arguments": "{}"}),
    Door("GET", "secrets", may="owner", right="catalogue.manage", outsider="refused"),
    Door("POST", "secrets", may="owner", right="catalogue.manage", outsider="refused", body={"act": "reseal"}),
    Door("GET", "connections", may="owner", right="catalogue.manage", outsider="refused"),
    Door(
        "POST", "connections", may="owner", right="catalogue.manage", outsider="refused", body={"act": "remove", "name": "post"}
    ),
    Door("POST", "connections/<str:server>/check", may="owner", right="catalogue.manage", outsider="refused"),
    Door("GET", "memory", right="runs.see"),
    Door("GET", "memory/<str:entry>", thing=True),
    Door("POST", "memory/<str:entry>", may=CONTROLS, right="runs.control", thing=True, body={"value": "no JSON"}),
    Door("GET", "memory/<str:entry>/removal", may=CONTROLS, right="runs.control", thing=True),
    Door("POST", "memory/<str:entry>/removal", may=CONTROLS, right="runs.control", thing=True),
    Door("GET", "routes/<str:route>", right="flows.see"),
    Door("GET", "routes/new", may=BUILDS, right="routes.edit", outsider="refused"),
    Door("POST", "routes/new", may=BUILDS, right="routes.edit", outsider="refused", body={"act": "add"}),
    Door("GET", "routes/<str:route>/edit", may=BUILDS, right="routes.edit", outsider="refused"),
    Door("POST", "routes/<str:route>/edit", may=BUILDS, right="routes.edit", outsider="refused", body={"act": "add"}),
    Door("GET", "routes/<str:route>/versions", right="flows.see"),
    Door("POST", "routes/<str:route>/rollback", may=BUILDS, right="routes.edit", outsider="refused", body={"number": "1"}),
    Door("POST", "routes/<str:route>/trials", may=BUILDS, right="routes.edit", outsider="refused", body={"prompt": "x"}),
    Door("GET", "budgets", may=COSTS, right="costs.see"),
    Door("GET", "budgets/edit", may="owner", right="budgets.manage", outsider="refused"),
    Door(
        "POST", "budgets/edit", may="owner", right="budgets.manage", outsider="refused", body={"scope": "all", "act": "preview"}
    ),
    Door(
        "POST",
        "budgets/holds/<int:hold_id>/release",
        may="owner",
        right="budgets.manage",
        outsider="refused",
        body={"reason": "it is stuck"},
    ),
    Door("GET", "prices", may=COSTS, right="costs.see"),
    Door("GET", "prices", may=COSTS, right="costs.see", query="?tab=unpriced"),
    Door("GET", "prices/export.csv", may=COSTS, right="costs.see"),
    Door("GET", "prices/new", may="owner", right="prices.manage", outsider="refused"),
    Door(
        "POST",
        "prices/new",
        may="owner",
        right="prices.manage",
        outsider="refused",
        body={"model": "small-1", "input": "nonsense"},
    ),
    Door("GET", "prices/import", may="owner", right="prices.manage", outsider="refused"),
    Door("POST", "prices/import", may="owner", right="prices.manage", outsider="refused", body={"text": "model,input,output"}),
    Door("GET", "prices/rerating", may="owner", right="prices.manage", outsider="refused"),
    Door(
        "POST", "prices/rerating", may="owner", right="prices.manage", outsider="refused", body={"model": "none", "reason": "x"}
    ),
    Door("GET", "costs/calls/<str:call_id>", may=COSTS, right="costs.see", thing=True),
    Door("GET", "costs/calls/<str:call_id>/usage.json", may=COSTS, right="costs.see", thing=True),
    Door("GET", "approvals"),
    Door("GET", "approvals/news"),
    Door("POST", "approvals/bulk", body={"outcome": "approve"}),
    Door("GET", "approvals/policies", stranger="unseen"),
    Door("GET", "approvals/policies/new", may="owner", right="policies.manage", outsider="refused"),
    Door("POST", "approvals/policies/new", may="owner", right="policies.manage", outsider="refused", body={"name": ""}),
    Door("GET", "approvals/policies/<slug:slug>", stranger="unseen"),
    Door(
        "POST",
        "approvals/policies/<slug:slug>",
        may="owner",
        right="policies.manage",
        outsider="refused",
        stranger="unseen",
        body={"name": ""},
    ),
    Door("POST", "approvals/policies/<slug:slug>/retirement", may="owner", right="policies.manage", outsider="refused"),
    Door("GET", "approvals/health", stranger="unseen"),
    Door("GET", "approvals/settings"),
    Door("POST", "approvals/settings", body={"email": "digest"}),
    Door("GET", "approvals/channels", may="owner", right="policies.manage", outsider="refused"),
    Door("POST", "approvals/channels", may="owner", right="policies.manage", outsider="refused", body={"kind": "chat"}),
    Door(
        "POST",
        "approvals/channels/<str:channel_id>",
        may="owner",
        right="policies.manage",
        outsider="refused",
        body={"act": "try"},
    ),
    Door("GET", "approvals/<str:request_id>", thing=True, records=True),
    Door("POST", "approvals/<str:request_id>/claim", thing=True, may="approver owner", right="approvers of team theirs"),
    Door(
        "POST",
        "approvals/<str:request_id>/assignment",
        thing=True,
        may="approver owner",
        right="approvers of team theirs",
        body={"to": ""},
    ),
    Door(
        "POST",
        "approvals/<str:request_id>/delegation",
        thing=True,
        may="approver owner",
        right="approvers of team theirs",
        body={"to": "viewer"},
    ),
    Door("POST", "approvals/<str:request_id>/comments", thing=True, body={"text": "Looks right"}),
    Door(
        "POST",
        "approvals/<str:request_id>/questions",
        thing=True,
        may="approver owner",
        right="approvers of team theirs",
        body={"to": "viewer", "text": "Why?"},
    ),
    Door("POST", "approvals/<str:request_id>/undo", thing=True),
    Door("GET", "approvals/<str:request_id>/news", thing=True),
    Door(
        "POST",
        "approvals/<str:request_id>/decisions",
        may="approver owner",
        right="approvers of team theirs",
        thing=True,
        body={"outcome": "approve", "revision": "1", "edit-amount": "420"},
    ),
]
TRIGGER = {"flow": "theirs", "kind": "webhook", "name": SECRET}
RULES = {"rules": {"teams": ["theirs"]}}
ABSENT = {"to": "approver", "until": "2020-01-01T00:00:00Z"}
CHAT = {"kind": "chat", "name": "Team", "address": "https://chat.example.com/hook"}
DECISION = {"outcome": "approve", "revision": 1}
# The outsider, a builder, may make flows; that a name is taken is told (409), since names are one for the whole installation.
API = [
    Door("GET", "api/v1/", open=True, hidden=True),
    Door("GET", "api/v1/openapi.json", open=True),
    Door("GET", "api/<path:rest>", open=True, hidden=True),
    Door("GET", "api/v1/flows"),
    Door("GET", "api/v1/flows/<slug>", thing=True),
    Door(
        "PUT",
        "api/v1/flows/<slug>",
        may="builder owner",
        right="flows.edit",
        thing=True,
        stranger="refused",
        outsider="in",
        body=DOCUMENT,
    ),
    Door("GET", "api/v1/flows/<slug>/comparison", thing=True),
    Door("POST", "api/v1/flows/<slug>/comparison", thing=True, body=DOCUMENT),
    Door("PATCH", "api/v1/flows/<slug>/settings", may="builder owner", right="flows.edit", thing=True, body={"tags": []}),
    Door("POST", "api/v1/flows/<slug>/pause", may=CONTROLS, right="runs.control", thing=True, body={}),
    Door("POST", "api/v1/flows/<slug>/archive", may="builder owner", right="flows.publish", thing=True, body={}),
    Door("POST", "api/v1/flows/<slug>/publication", may="builder owner", right="flows.publish", thing=True, body={}),
    Door("POST", "api/v1/flows/<slug>/runs", may=CONTROLS, right="runs.start", thing=True, body={"input": {"name": "Ann"}}),
    Door("POST", "api/v1/flows/<slug>/tests", may=BUILDS, right="flows.edit", thing=True, body={"input": {"name": "Ann"}}),
    Door("POST", "api/v1/flows/<slug>/drills", may=CONTROLS, right="runs.start", thing=True, body={}),
    Door("GET", "api/v1/flows/<slug>/drills/<drill_id>", thing=True),
    Door("GET", "api/v1/flows/<slug>/pins", thing=True),
    Door("PUT", "api/v1/flows/<slug>/pins/<step>", may=BUILDS, right="flows.edit", thing=True, body={"output": 1}),
    Door("DELETE", "api/v1/flows/<slug>/pins/<step>", may=BUILDS, right="flows.edit", thing=True),
    Door(
        "POST",
        "api/v1/runs/<run_id>/answers",
        may=BUILDS,
        right="flows.edit",
        thing=True,
        body={"path": "greet", "outcome": "approve"},
    ),
    Door("GET", "api/v1/runs"),
    Door("GET", "api/v1/runs/<run_id>", thing=True),
    Door("GET", "api/v1/runs/<run_id>/events", thing=True),
    Door("GET", "api/v1/runs/<run_id>/calls", thing=True),
    Door("GET", "api/v1/runs/<run_id>/state", thing=True),
    Door("POST", "api/v1/runs/<run_id>/reveal", may="approver owner", right="payloads.reveal", thing=True),
    Door("POST", "api/v1/runs/<run_id>/cancellation", may=CONTROLS, right="runs.control", thing=True),
    Door("POST", "api/v1/runs/<run_id>/pause", may=CONTROLS, right="runs.control", thing=True),
    Door("POST", "api/v1/runs/<run_id>/resumption", may=CONTROLS, right="runs.control", thing=True),
    Door("GET", "api/v1/runs/<run_id>/retry", may=CONTROLS, right="runs.control", thing=True),
    Door("POST", "api/v1/runs/<run_id>/retry", may=CONTROLS, right="runs.control", thing=True, body={}),
    Door("POST", "api/v1/runs/<run_id>/steps/<path:path>/skip", may=CONTROLS, right="runs.control", thing=True, body={}),
    Door(
        "POST",
        "api/v1/runs/<run_id>/steps/<path:path>/input",
        may=CONTROLS,
        right="runs.control",
        thing=True,
        body={"input": {"values": {}}},
    ),
    Door("POST", "api/v1/runs/bulk", may=CONTROLS, right="runs.control", body={"verb": "pause", "runs": []}),
    Door("POST", "api/v1/runs/<run_id>/limits", may=CONTROLS, right="runs.limits", thing=True, body={"cost": "0.50"}),
    Door("POST", "api/v1/runs/<run_id>/deliveries", may=CONTROLS, right="runs.control", thing=True, body={"event": "paid"}),
    Door("GET", "api/v1/approvals"),
    Door("GET", "api/v1/approvals/<request_id>", thing=True, records=True),
    Door("POST", "api/v1/approvals/bulk", body={"items": [], "outcome": "approve"}),
    Door("POST", "api/v1/approvals/<request_id>/undo", thing=True),
    Door("POST", "api/v1/approvals/<request_id>/claim", may="approver owner", right="requests.decide", thing=True),
    Door(
        "POST",
        "api/v1/approvals/<request_id>/assignment",
        may="approver owner",
        right="flows.manage",
        thing=True,
        body={"to": None},
    ),
    Door(
        "POST",
        "api/v1/approvals/<request_id>/delegation",
        may="approver owner",
        right="requests.decide",
        thing=True,
        body={"to": "viewer"},
    ),
    Door("POST", "api/v1/approvals/<request_id>/comments", thing=True, body={"text": "Looks right"}),
    Door(
        "POST",
        "api/v1/approvals/<request_id>/questions",
        may="approver owner",
        right="requests.decide",
        thing=True,
        body={"to": "viewer", "text": "Why?"},
    ),
    Door("GET", "api/v1/delegations"),
    Door("POST", "api/v1/delegations", may="approver owner", right="requests.decide", body=ABSENT),
    Door("DELETE", "api/v1/delegations/<delegation_id>", may="", hidden=True),
    Door("GET", "api/v1/policies"),
    Door("POST", "api/v1/policies/trial", may="owner", right="policies.manage", outsider="refused", body=RULES),
    Door("GET", "api/v1/policies/health"),
    Door("GET", "api/v1/policies/<policy>"),
    Door("PUT", "api/v1/policies/<policy>", may="owner", right="policies.manage", outsider="refused", body={"name": "N"} | RULES),
    Door("DELETE", "api/v1/policies/<policy>", may="owner", right="policies.manage", outsider="refused"),
    Door("GET", "api/v1/policies/<policy>/versions"),
    Door("GET", "api/v1/notices", may="owner", right="policies.manage", outsider="refused"),
    Door("GET", "api/v1/notices/preference"),
    Door("PUT", "api/v1/notices/preference", body={"email": "digest"}),
    Door("GET", "api/v1/channels", may="owner", right="policies.manage", outsider="refused"),
    Door("POST", "api/v1/channels", may="owner", right="policies.manage", outsider="refused", body=CHAT),
    Door("DELETE", "api/v1/channels/<channel_id>", may="owner", right="policies.manage", outsider="refused"),
    Door("POST", "api/v1/channels/<channel_id>/test", may="owner", right="policies.manage", outsider="refused"),
    Door("POST", "api/v1/channels/<channel_id>/secret", may="owner", right="policies.manage", outsider="refused"),
    Door(
        "POST",
        "api/v1/approvals/<request_id>/decisions",
        may="approver owner",
        right="requests.decide",
        thing=True,
        body=DECISION,
    ),
    Door("GET", "api/v1/costs", may=COSTS, right="costs.see"),
    Door("GET", "api/v1/costs/what-if", may=COSTS, right="costs.see"),
    Door("GET", "api/v1/costs/per-run", may=COSTS, right="costs.see"),
    Door("GET", "api/v1/costs/views", may=COSTS, right="costs.see"),
    Door("PUT", "api/v1/costs/views/<view>", may=COSTS, right="costs.see", body={"query": "by=flow"}),
    Door("DELETE", "api/v1/costs/views/<view>", may="", hidden=True),
    Door("GET", "api/v1/flows/<slug>/expected-cost", may=COSTS, right="costs.see", thing=True),
    Door("GET", "api/v1/models", right="flows.see"),
    Door("GET", "api/v1/models/<model>", right="flows.see"),
    Door("PUT", "api/v1/models/<model>", may="owner", right="catalogue.manage", outsider="refused", body={"model": "sim/x"}),
    Door("DELETE", "api/v1/models/<model>", may="owner", right="catalogue.manage", outsider="refused"),
    Door("POST", "api/v1/models/<model>/check", may="owner", right="catalogue.manage", outsider="refused"),
    Door("GET", "api/v1/tools", right="flows.see"),
    Door("GET", "api/v1/tools/<tool>", right="flows.see"),
    Door(
        "PUT",
        "api/v1/tools/<tool>",
        may="owner",
        right="catalogue.manage",
        outsider="refused",
        body={"kind": "python", "effect": "read", "function": "text.split"},
    ),
    Door("PATCH", "api/v1/tools/<tool>", may="owner", right="catalogue.manage", outsider="refused", body={"reversible": True}),
    Door("DELETE", "api/v1/tools/<tool>", may="owner", right="catalogue.manage", outsider="refused"),
    Door("POST", "api/v1/tools/<tool>/accept", may="owner", right="catalogue.manage", outsider="refused"),
    Door("POST", "api/v1/tools/<tool>/trials", may=BUILDS, right="routes.edit", outsider="refused", body={"arguments": {}}),
    Door("GET", "api/v1/connections", may="owner", right="catalogue.manage", outsider="refused"),
    Door(
        "PUT",
        "api/v1/connections/<connection>",
        may="owner",
        right="catalogue.manage",
        outsider="refused",
        body={"kind": "smtp", "host": "mail.example.com"},
    ),
    Door("DELETE", "api/v1/connections/<connection>", may="owner", right="catalogue.manage", outsider="refused"),
    Door("POST", "api/v1/connections/<connection>/check", may="owner", right="catalogue.manage", outsider="refused"),
    Door("GET", "api/v1/secrets", may="owner", right="catalogue.manage", outsider="refused"),
    Door(
        "PUT", "api/v1/secrets/<secret_name>", may="owner", right="catalogue.manage", outsider="refused", body={"value": "0" * 8}
    ),
    Door("DELETE", "api/v1/secrets/<secret_name>", may="owner", right="catalogue.manage", outsider="refused"),
    Door("GET", "api/v1/routes", right="flows.see"),
    Door("GET", "api/v1/routes/<route>", right="flows.see"),
    Door("PUT", "api/v1/routes/<route>", may=BUILDS, right="routes.edit", outsider="refused", body={"candidates": ["spare"]}),
    Door("GET", "api/v1/routes/<route>/versions", right="flows.see"),
    Door("GET", "api/v1/routes/<route>/comparison", right="flows.see", query="?before=1&after=1"),
    Door("POST", "api/v1/routes/<route>/rollback", may=BUILDS, right="routes.edit", outsider="refused", body={"version": 1}),
    Door("DELETE", "api/v1/routes/<route>", may=BUILDS, right="routes.edit", outsider="refused"),
    Door("POST", "api/v1/routes/<route>/dry-run", may=BUILDS, right="routes.edit", outsider="refused"),
    Door("POST", "api/v1/routes/<route>/trials", may=BUILDS, right="routes.edit", outsider="refused", body={"prompt": "x"}),
    Door("POST", "api/v1/routes/<route>/trials/cost", may=BUILDS, right="routes.edit", outsider="refused", body={"prompt": "x"}),
    Door("GET", "api/v1/budgets", may=COSTS, right="costs.see"),
    Door(
        "PUT",
        "api/v1/budgets",
        may="owner",
        right="budgets.manage",
        outsider="refused",
        body={"scope": "all", "period": "day", "cost": "9"},
    ),
    Door(
        "POST",
        "api/v1/budgets/preview",
        may="owner",
        right="budgets.manage",
        outsider="refused",
        body={"scope": "all", "period": "day", "cost": "9"},
    ),
    Door("GET", "api/v1/budgets/<budget_id>/periods", may="owner", right="budgets.manage", outsider="refused"),
    Door("DELETE", "api/v1/budgets/<budget_id>", may="owner", right="budgets.manage", outsider="refused", query="?reason=over"),
    Door("GET", "api/v1/prices", may=COSTS, right="costs.see"),
    Door(
        "POST",
        "api/v1/prices",
        may="owner",
        right="prices.manage",
        outsider="refused",
        body={"model": "none", "input": "1", "output": "1"},
    ),
    Door(
        "POST", "api/v1/prices/import", may="owner", right="prices.manage", outsider="refused", body={"csv": "model,input,output"}
    ),
    Door(
        "POST",
        "api/v1/prices/reratings",
        may="owner",
        right="prices.manage",
        outsider="refused",
        body={"model": "none", "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z", "reason": "x"},
    ),
    Door("GET", "api/v1/knowledge"),
    Door("POST", "api/v1/knowledge", may=BUILDS, right="flows.edit", body={"slug": "No name"}),
    Door("GET", "api/v1/knowledge/<slug>", thing=True),
    Door("PATCH", "api/v1/knowledge/<slug>", may=BUILDS, right="flows.edit", thing=True, body={"embedding": ""}),
    Door("DELETE", "api/v1/knowledge/<slug>", may=BUILDS, right="flows.edit", thing=True),
    Door("GET", "api/v1/knowledge/<slug>/documents", thing=True),
    Door(
        "POST", "api/v1/knowledge/<slug>/documents", may=BUILDS, right="flows.edit", thing=True, body={"source": "a", "text": "b"}
    ),
    Door("GET", "api/v1/knowledge/<slug>/documents/<document>", thing=True),
    Door("DELETE", "api/v1/knowledge/<slug>/documents/<document>", may=BUILDS, right="flows.edit", thing=True),
    Door("POST", "api/v1/knowledge/<slug>/trials", may=BUILDS, right="flows.edit", thing=True, body={"query": "x"}),
    Door("POST", "api/v1/knowledge/<slug>/reindexing", may=BUILDS, right="flows.edit", thing=True),
    Door("GET", "api/v1/memory", right="runs.see"),
    Door("GET", "api/v1/memory/<entry>", right="runs.see", thing=True),
    Door("PUT", "api/v1/memory/<entry>", may=CONTROLS, right="runs.control", thing=True, body={"value": 1}),
    Door("DELETE", "api/v1/memory/<entry>", may=CONTROLS, right="runs.control", thing=True),
    Door("GET", "api/v1/knowledge/<slug>/passages", thing=True, query="?query=x"),
    Door("GET", "api/v1/triggers"),
    Door("POST", "api/v1/triggers", may=BUILDS, right="flows.edit", thing=True, body=TRIGGER),
    Door("GET", "api/v1/triggers/<trigger_id>", thing=True),
    Door("PATCH", "api/v1/triggers/<trigger_id>", may=BUILDS, right="flows.edit", thing=True, body={"name": "x"}),
    Door("DELETE", "api/v1/triggers/<trigger_id>", may=BUILDS, right="flows.edit", thing=True),
    Door("POST", "api/v1/triggers/<trigger_id>/pause", may=CONTROLS, right="runs.control", thing=True),
    Door("POST", "api/v1/triggers/<trigger_id>/secret", may=BUILDS, right="flows.edit", thing=True),
    Door("GET", "api/v1/triggers/<trigger_id>/firings", thing=True),
    Door("POST", "api/v1/triggers/<trigger_id>/firings", may=CONTROLS, right="runs.start", thing=True),
    Door("POST", "api/v1/triggers/<trigger_id>/firings/<firing_id>/replay", may=CONTROLS, right="runs.start", thing=True),
    Door("POST", "api/v1/triggers/<trigger_id>/firings/<firing_id>/sample", may=BUILDS, right="flows.edit", thing=True),
    Door("GET", "api/v1/people", may="owner", right="people.manage", outsider="refused"),
    Door("GET", "api/v1/people/<username>", may="owner", right="people.manage", outsider="refused"),
    Door("PATCH", "api/v1/people/<username>", may="owner", right="people.manage", outsider="refused", body={"name": "x"}),
    Door(
        "POST", "api/v1/people/<username>/roles", may="owner", right="people.manage", outsider="refused", body={"role": "viewer"}
    ),
    Door("POST", "api/v1/people/<username>/deactivation", may="owner", right="people.manage", outsider="refused", body={}),
    Door("GET", "api/v1/invitations", may="owner", right="people.manage", outsider="refused"),
    Door(
        "POST", "api/v1/invitations", may="owner", right="people.manage", outsider="refused", body={"roles": [{"role": "viewer"}]}
    ),
    Door("DELETE", "api/v1/invitations/<invitation_id>", may="owner", right="people.manage", outsider="refused"),
    Door("GET", "api/v1/teams", may="owner", right="people.manage", outsider="refused"),
    Door("DELETE", "api/v1/teams/<slug>", may="owner", right="people.manage", outsider="refused"),
    Door("POST", "api/v1/teams", may="owner", right="people.manage", outsider="refused", body={"slug": "new"}),
    Door("GET", "api/v1/keys"),
    Door(
        "POST",
        "api/v1/keys",
        may="owner",
        right="keys.manage",
        outsider="refused",
        body={"scopes": ["runs:read"], "person": "somebody"},
    ),
    Door("DELETE", "api/v1/keys/<key_id>", may="owner", hidden=True),
    Door("GET", "api/v1/demonstration", may="owner", right="settings.manage", outsider="refused"),
    Door("DELETE", "api/v1/demonstration", may="owner", right="settings.manage", outsider="refused"),
    Door("GET", "api/v1/retention", may="owner", right="settings.manage", outsider="refused"),
    Door("PUT", "api/v1/retention", may="owner", right="settings.manage", outsider="refused", body={"payload_days": 90}),
    Door("POST", "api/v1/retention/preview", may="owner", right="settings.manage", outsider="refused", body={"payload_days": 90}),
    Door("GET", "api/v1/audit", may="owner auditor", right="audit.see", outsider="refused"),
    Door("GET", "api/v1/audit/verification", may="owner auditor", right="audit.see", outsider="refused"),
    Door("POST", "api/v1/flows/<slug>/rollback", may=BUILDS, right="flows.publish", thing=True, body={"version": 1}),
    Door("POST", "api/v1/flows/<slug>/restoration", may=BUILDS, right="flows.edit", thing=True, body={"version": 1}),
    Door(
        "POST",
        "api/v1/budgets/holds/<hold_id>/release",
        may="owner",
        right="budgets.manage",
        outsider="refused",
        body={"reason": "it is stuck"},
    ),
    Door("POST", "api/v1/secrets/resealing", may="owner", right="catalogue.manage", outsider="refused"),
    Door("GET", "api/v1/export", may="owner", right="settings.manage", outsider="refused", records=True),
    Door("POST", "api/v1/import", may="owner", right="settings.manage", outsider="refused"),
    Door("GET", "api/v1/installation", may="owner", right="settings.manage", outsider="refused"),
    Door("PATCH", "api/v1/installation", may="owner", right="settings.manage", outsider="refused", body={"name": "Ours"}),
    Door("POST", "api/v1/installation/mail-test", may="owner", right="settings.manage", outsider="refused"),
    Door("DELETE", "api/v1/retention/flows/<slug>", may="owner", right="settings.manage", outsider="refused"),
    Door("GET", "api/v1/me"),
    Door("PATCH", "api/v1/me", body={"name": "x"}),
    Door("GET", "api/v1/me/sign-ins"),
    Door("DELETE", "api/v1/me/sign-ins/<sign_in_id>", may="", hidden=True),
    Door("GET", "api/v1/people/<username>/sign-ins", may="owner", right="people.manage", outsider="refused"),
    Door("DELETE", "api/v1/people/<username>/sign-ins/<sign_in_id>", may="owner", right="people.manage", outsider="refused"),
    Door("GET", "api/v1/sign-ins", may="owner", right="people.manage", outsider="refused"),
    Door("DELETE", "api/v1/people/<username>/sign-ins", may="owner", right="people.manage", outsider="refused"),
    Door("POST", "api/v1/people/<username>/password-link", may="owner", right="people.manage", outsider="refused"),
    Door("GET", "api/v1/killswitch"),
    Door(
        "POST",
        "api/v1/killswitch",
        may="owner",
        right="killswitch.throw",
        outsider="refused",
        body={"on": True, "reason": "A test"},
    ),
]
CHAT = {"model": "flow/theirs", "messages": [{"role": "user", "content": '{"name": "Ann"}'}]}
MODELS = [
    Door("GET", "v1/models"),
    Door("POST", "v1/chat/completions", may=CONTROLS, right="runs.start", thing=True, body=CHAT),
]
DOORS = PAGES + API + MODELS
TABLES = (
    Pin,
    Run,
    Attempt,
    Call,
    Event,
    Request,
    Vote,
    Remark,
    Delegation,
    Channel,
    PolicyVersion,
    Flow,
    FlowVersion,
    KnowledgeBase,
    Person,
    Trigger,
)


@dataclass
class World:
    """Things of a team, the people who may come by, and the names that fill in an address."""

    names: dict[str, str]
    people: dict[str, Person]


def make_world() -> World:
    theirs, ours = make_team("theirs"), make_team("ours")
    flow = make_flow("theirs", team=theirs)
    Flow.objects.filter(id=flow.id).update(name=SECRET)
    run = make_run(flow, status="waiting_approval", input='{"name": "Ann"}', tags=[SECRET])
    request = make_request(run, terms={"approvers": {"teams": ["theirs"]}})
    Request.objects.filter(id=request.id).update(title=SECRET)
    call = make_call(run, "greet", response={"text": "Hi", "usage": {"prompt_tokens": 3}})
    trigger = make_trigger(flow, "webhook", sample={"name": "Ann"})
    firing = Firing.objects.create(trigger=trigger, mark="1", outcome="started", body='{"name": "Ann"}')
    base, document, passage = make_base(flow.slug, team=theirs)
    KnowledgeBase.objects.filter(id=base.id).update(name=SECRET)
    channel = Channel.objects.create(kind="chat", name="ops", address="http://127.0.0.1:9/x", salt="00")
    policy = Policy.objects.create(slug=flow.slug, name="Refunds")
    rules = PolicySettings(teams=["theirs"]).model_dump(mode="json")
    author = make_person(username="author")
    policy.current = PolicyVersion.objects.create(policy=policy, number=1, rules=rules, by=author)
    policy.save()
    sealed, key_id = seal("SPARE_KEY", "a value of its own")
    month = {"begins": timezone.now(), "ends": timezone.now() + timedelta(days=30)}
    period = BudgetPeriod.objects.create(budget=Budget.objects.create(scope="all", period="month", cost=9), **month)
    held = BudgetHold.objects.create(call_id=call.id, run_id=run.id, epoch=1, period=period, reserved=0, tokens=0)
    names = {
        "channel_id": channel.public_id,
        "policy": policy.slug,
        "delegation_id": "del_" + "0" * 32,
        "view_id": "0" * 32,
        "view": "By flow",
        "hold_id": str(held.id),
        "budget_id": held.period.budget_id.hex,
        "slug": flow.slug,
        "document": document.public_id,
        "passage": passage.public_id,
        "entry": make_memory(flow, value=SECRET).public_id,
        "run_id": run.public_id,
        "request_id": request.public_id,
        "call_id": f"call_{call.id.hex}",
        "what": run.public_id,
        "name": "head",
        "rest": "v1/nothing",
        "form": "csv",
        "number": "1",
        "path": "greet",
        "step": "greet",
        "route": make_versioned_route("balanced", "spare").slug,
        "model": ModelEntry.objects.create(slug="spare", model="sim/spare", api_key_secret="SPARE_KEY").slug,
        "secret_name": Secret.objects.create(name="SPARE_KEY", sealed=sealed, key_id=key_id, fingerprint="").name,
        "tool": ToolEntry.objects.create(
            slug="look.up",
            kind="mcp",
            effect="read",
            repeat="freely",
            settings={"tool": "look", "found": "b", "changed": {"description": "Looks up.", "arguments": {}}},
        ).slug,
        "connection": Connection.objects.create(
            slug="post", kind="smtp", settings={"host": "127.0.0.1", "port": 9, "tls": "none"}
        ).slug,
        "server": MCPServer.objects.create(slug="far", command=["/nowhere/at-all"]).slug,
        "template": "refund_decision",
        "trigger_id": trigger.public_id,
        "firing_id": firing.public_id,
        "drill_id": Drill.objects.create(flow=flow, version=flow.published, ended_at=timezone.now()).public_id,
    }
    somebody = make_person("viewer", username="somebody")
    sign_in = SignIn.objects.create(person=somebody, session_key="elsewhere")
    invitation = Invitation.objects.create(digest=digest_of("secret"), expires_at=timezone.now() + timedelta(days=1))
    names |= {
        "username": somebody.username,
        "sign_in_id": sign_in.public_id,
        "errand_id": Errand.objects.create(by=somebody, kind="runs.retry", key="1", title=SECRET, wanted=3).public_id,
        "invitation_id": invitation.public_id,
        "secret": "secret",
        "key_id": make_key(somebody, "runs:read")[0].public_id,
        "uid": "nobody",
        "token": "nonsense",
    }
    people = {role: make_person(role, username=role, team=theirs if role == "approver" else None) for role in ROLES}
    people["stranger"] = make_person(username="stranger")
    people["outsider"] = make_person("operator", "approver", "builder", username="outsider", team=ours)
    return World(names, people)


@pytest.fixture
def world(db: None, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(chat, "PATIENCE", 0.0)
    signin.client().flushdb()
    return make_world()


def knock(door: Door, who: str, world: World, method: str = "") -> Any:
    client, headers = Client(raise_request_exception=False), {}
    if who != "nobody" and door.is_api:
        headers = {"Authorization": f"Bearer {make_key(world.people[who], 'admin')[1]}"}
    elif who != "nobody":
        client.force_login(world.people[who])
    address, method = door.address(world.names), method or door.method
    if method == "POST" and not door.is_api and not door.json:
        return client.post(address, door.body or {}, headers=headers)
    body = door.body if isinstance(door.body, str) else "" if door.body is None else json.dumps(door.body)
    kind = "application/yaml" if isinstance(door.body, str) else "application/json"
    return client.generic(method, address, body if method not in ("GET", "HEAD") else "", content_type=kind, headers=headers)


def outcome(answer: Any) -> str:
    """What became of a visitor: "in", "door", "unseen", "refused", "no such method" or "broken"."""
    status = answer.status_code
    if status == 401 or (status == 302 and answer["Location"].startswith("/login?next=")):
        return "door"
    named = {403: "refused", 404: "unseen", 405: "no such method"}
    return named.get(status) or ("broken" if status >= 500 else "in")


def snapshot() -> list[Any]:
    """How many rows there are, and how those stand that people act upon."""
    counts = ", ".join(f"(SELECT count(*) FROM {table._meta.db_table})" for table in TABLES)
    stands = "SELECT string_agg(concat_ws(' ', status, seq, cancel_requested, wake_at), ',' ORDER BY id) FROM flows_run"
    asked = "SELECT string_agg(concat_ws(' ', state, revision), ',' ORDER BY id) FROM flows_request"
    drafts = "SELECT string_agg(draft, ',' ORDER BY id) FROM flows_flow"
    # That somebody came, and was turned away, is no change.
    told = "SELECT count(*) FROM flows_auditrow WHERE action NOT IN ('signin', 'refusal', 'approval.refuse')"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {counts}, ({told}), ({stands}), ({asked}), ({drafts})")
        return list(cursor.fetchone())


def name_of(door: Door) -> str:
    return f"{door.method} /{door.pattern}{door.query}"


def patterns(resolver: URLResolver | None = None, before: str = "") -> Iterator[str]:
    for each in (resolver or get_resolver()).url_patterns:
        here = before + str(each.pattern)
        if isinstance(each, URLPattern):
            yield here
        else:
            yield from patterns(each, here)


def test_the_tables_know_every_address() -> None:
    known = {door.pattern for door in DOORS}

    assert set(patterns()) == known, "say in the tables of this file who may come in"


def test_the_tables_know_every_operation_of_the_api() -> None:
    paths = api.get_openapi_schema(path_prefix="")["paths"]
    operations = {
        (method.upper(), "api/v1" + path.replace("{", "<").replace("}", ">")) for path, ways in paths.items() for method in ways
    }
    known = {(door.method, re.sub(r"<\w+:", "<", door.pattern)) for door in API if not door.open}

    assert operations == known, "say in the tables of this file who may come in"


@pytest.mark.parametrize("door", DOORS, ids=name_of)
def test_everybody_gets_where_the_table_says(door: Door, world: World) -> None:
    before = snapshot()
    for who in PEOPLE:
        with transaction.atomic():  # the next one finds everything as it was
            answer = knock(door, who, world)
            got, after = outcome(answer), snapshot()
            transaction.set_rollback(True)
        text, expected = "" if answer.streaming else answer.content.decode(), door.expected(who)
        assert got == expected, f"{who}: {got} ({answer.status_code}), not {expected}: {text[:2000]}"
        assert after == before or (got == "in" and (door.method != "GET" or door.records)), f"{who} changed something"
        if got == "refused":
            assert door.right in text, f"{who} is not told what is missing"
        if who in ("nobody", "stranger", "outsider"):
            assert SECRET not in text, f"{who} reads what is hidden"


@pytest.mark.parametrize("pattern", sorted({door.pattern for door in DOORS}))
def test_a_method_that_an_address_does_not_know_changes_nothing(pattern: str, world: World) -> None:
    doors = [door for door in DOORS if door.pattern == pattern]
    known = {door.method for door in doors} | {"HEAD", "OPTIONS"}
    for who in ("nobody", "stranger", "owner"):
        for method in METHODS:
            if method in known and method not in ("HEAD", "OPTIONS"):
                continue
            before = snapshot()
            answer = knock(doors[0], who, world, method)
            assert answer.status_code < 500, f"{method} by {who}: {answer.status_code}"
            if method not in known and not doors[0].open:
                assert answer.status_code in (302, 401, 403, 404, 405), f"{method} by {who}: {answer.status_code}"
            assert snapshot() == before, f"{method} by {who}"


def test_a_page_without_its_token_is_refused_whoever_sends_it(world: World) -> None:
    for door in PAGES:
        if door.method == "POST" and door.thing:
            client = Client(enforce_csrf_checks=True)
            client.force_login(world.people["owner"])
            before = snapshot()
            assert client.post(door.address(world.names), door.body or {}).status_code == 403, name_of(door)
            assert snapshot() == before


OPENED, AWAY, HIDDEN = None, live.NOT_SIGNED_IN, live.NOT_VISIBLE
TOPICS: dict[str, dict[str, int | None]] = {
    "run:<run_id>": {"nobody": AWAY, "stranger": HIDDEN, "outsider": HIDDEN, **dict.fromkeys(ROLES, OPENED)},
    live.RUNS: {"nobody": AWAY, **dict.fromkeys(PEOPLE[1:], OPENED)},  # a doorbell: it tells nothing but that it rang
    INBOX: {"nobody": AWAY, **dict.fromkeys(PEOPLE[1:], OPENED)},
    ERRANDS: {"nobody": AWAY, **dict.fromkeys(PEOPLE[1:], OPENED)},  # each person's own
}
CLOSES = {"nonsense": live.BAD_ADDRESS, "run:nonsense": live.BAD_ADDRESS, "request:1": live.BAD_ADDRESS, "": live.BAD_ADDRESS}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("topic", TOPICS)
async def test_every_topic_opens_for_whom_the_table_says(topic: str) -> None:
    world = await sync_to_async(make_world)()
    for who, expected in TOPICS[topic].items():
        headers = [(b"origin", b"http://localhost")]
        if who != "nobody":
            headers.append((b"cookie", await sync_to_async(cookie_of)(world.people[who])))
        for wanted in (topic.replace("<run_id>", world.names["run_id"]), *(CLOSES if expected is OPENED else ())):
            code = CLOSES.get(wanted, expected)
            socket = Socket(application, f"/ws/live?topics={wanted}", headers)
            assert (await socket.connect())[0], "it is accepted, so that its closing code arrives"
            message = await socket.receive_output(5)  # type: ignore[no-untyped-call]
            assert message.get("code") == code, f"{who} at {wanted!r}: {message}"
            if topic != "run:<run_id>" and code is OPENED:
                assert json.loads(message["text"]) == {"topic": topic, "data": {"type": "changed"}}
            await socket.disconnect()


def cookie_of(person: Person) -> bytes:
    client = Client()
    client.force_login(person)
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}".encode()
