"""Policies that flows name: checked when a draft is, offered by the form of an approval."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from approvals.actions.save_policy import retire_policy, save_policy
from flows.access.actor import Actor
from flows.access.refusals import Invalid
from flows.builder.actions.publish_flow import publish_flow
from flows.builder.checking import checked
from flows.builder.editing.inspector import form_at
from flows.builder.editing.options import current_options
from flows.engine.document import parse_document
from flows.engine.problems import DocumentError
from flows.models import AuditRow, Flow, ToolEntry
from orchestrator.actions.apply_catalogue import apply_catalogue
from orchestrator.catalogue import tool_kinds
from orchestrator.catalogue_document import parse_catalogue
from tests.makers import make_actor, make_flow, make_person, make_team

pytestmark = pytest.mark.django_db

DOCUMENT = """\
orchestrator: 1
name: Refund
steps:
  ask: {kind: approval, with: {title: "Pay?", payload: {amount: 1}, policy: refunds}}
edges: [start -> ask]
"""


@pytest.fixture
def owner() -> Actor:
    return make_actor("owner", "builder")


@pytest.fixture(autouse=True)
def refunds(owner: Actor) -> None:
    make_person("approver", username="ann", team=make_team("finance"))
    save_policy(owner, "refunds", "Refunds over 250", {"teams": ["finance"]})


def problems(document: str = DOCUMENT) -> list[str]:
    return [f"{each.path}: {each.message}. {each.mend}" for each in checked(parse_document(document), "refund", None).problems]


def test_an_unknown_policy_is_an_error_that_names_the_nearest(owner: Actor) -> None:
    assert problems() == []
    assert problems(DOCUMENT.replace("policy: refunds", "policy: refund")) == [
        "steps.ask.with.policy: there is no policy `refund` in force. Did you mean `refunds`?"
    ]
    retire_policy(owner, "refunds")
    assert "there is no policy `refunds` in force" in problems()[0]


def test_a_policy_by_which_nobody_can_decide_any_more_is_an_error(owner: Actor) -> None:
    flow = make_flow("refund", document=DOCUMENT, published=False)
    ann = make_person("approver", username="bea", team=make_team("finance"))
    for person in (ann, type(ann).objects.get(username="ann")):
        person.memberships.all().delete()

    assert "nobody could decide by the policy `refunds`: 1 votes are needed and nobody may decide" in problems()[0]
    with pytest.raises(Invalid, match="nobody could decide"):
        publish_flow(owner, flow.slug)
    assert Flow.objects.get(slug="refund").published is None


def test_the_form_of_an_approval_offers_the_policies_in_force(owner: Actor) -> None:
    save_policy(owner, "gone", "Gone", {"teams": ["finance"]})
    retire_policy(owner, "gone")
    step = {"kind": "approval", "with": {"title": "t", "policy": "refunds"}}

    form = form_at({"steps": {"ask": step}}, ("steps", "ask"), current_options())

    assert form is not None
    fields: list[Any] = [*form.main, *(field for section in form.sections for field in section.fields)]
    field = next(each for each in fields if each.name == "policy")
    assert [(each.value, each.label) for each in field.options] == [("refunds", "Refunds over 250")]
    assert field.detail == "v1 · 1 of finance; never the starter"


def test_a_document_without_a_policy_costs_no_query_more(owner: Actor) -> None:
    plain = parse_document(DOCUMENT.replace(", policy: refunds", ", approvers: {teams: [finance]}"))
    with CaptureQueriesContext(connection) as queries:
        checked(plain, "refund", None)

    assert not any("approvals_policy" in query["sql"] for query in queries)


def test_a_tool_names_a_policy_that_is_in_force(owner: Actor) -> None:
    kinds = {kind.slug: kind for kind in tool_kinds()}
    text = "tools: {text.split: {kind: python, effect: read, policy: refunds}}"

    apply_catalogue(owner, parse_catalogue(text, kinds))
    assert ToolEntry.objects.get(slug="text.split").policy == "refunds"
    assert AuditRow.objects.get(action="tool.create").data["policy"] == "refunds"
    with pytest.raises(
        DocumentError, match=r"tools\.text\.split\.policy: .*there is no policy `refnds` in force\. Did you mean `refunds`"
    ):
        apply_catalogue(owner, parse_catalogue(text.replace("refunds", "refnds"), kinds))
