"""Asking a knowledge base by hand, with its model's vectors."""

from __future__ import annotations

from typing import Final

from django.db import transaction

from flows.access.actor import Actor
from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right, require
from flows.engine.document import Limits, load_document
from flows.models import KnowledgeBase, Run
from flows.retrieval.searching import LONGEST_QUERY
from flows.runs.actions.start_test import tested_version
from flows.runs.beginning import begin_run, input_text
from flows.runs.embedding import flow_of, tag_of

FOUND: Final = 5
DOCUMENT: Final = {
    "orchestrator": 1,
    "name": "Questions asked by hand",
    "input": {"type": "object", "required": ["question"], "properties": {"question": {"type": "string"}}},
    "limits": {"duration": "5m"},
    "edges": ["start -> look"],
    "output": "{{ steps.look.output }}",
}


def try_search(actor: Actor, base: KnowledgeBase, question: str, *, source: str = "page") -> Run:
    """Looks for the question as a `retrieve` step does, by words and by meaning: a run of purpose `test`, whose call of the base's model
    stands in the ledger. It belongs to the flow that is kept for the base's vectors. Raises `Forbidden`, and `Invalid` for a question
    that is none."""
    require(actor, Right.EDIT_FLOWS, base.team)
    asked = question.strip()
    if not 0 < len(asked) <= LONGEST_QUERY:
        raise Invalid(
            "Nothing was looked for.", problems=[Fault("query", f"has {len(asked)} characters", "Ask something shorter.")]
        )
    look = {"kind": "retrieve", "with": {"base": base.slug, "query": "{{ input.question }}", "top": FOUND}}
    document = load_document({**DOCUMENT, "steps": {"look": look}})
    with transaction.atomic():
        flow = flow_of(base)
        version = tested_version(actor, flow, document)
        given = input_text({"question": asked}, document.input)
        return begin_run(
            actor,
            flow,
            version.id,
            given,
            document.limits or Limits(),
            source=source,
            tags=[f"{tag_of(base)}:asked"],
            purpose="test",
        )
