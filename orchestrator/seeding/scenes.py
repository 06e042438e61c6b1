"""What goes on here now, by the demonstration: runs in every state that a run can be in, and requests of every kind that wait."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import connection

from approvals.reads import requests_in
from flows.builder.actions.ask_to_publish import ask_to_publish
from flows.builder.actions.change_settings import change_settings
from flows.builder.actions.save_draft import save_draft
from flows.models import Flow, Request, Run
from flows.runs.actions.cancel_run import cancel_run
from flows.runs.actions.pause_run import pause_run
from flows.runs.actions.repeat_run import repeat_run
from flows.runs.actions.retry_run import retry_run
from flows.runs.actions.start_test import start_test
from orchestrator.seeding.cast import SEED, Progress, actor, answer, answer_all, ended, start, wait_for
from orchestrator.seeding.marks import mark
from orchestrator.seeding.tales import CONTRACT, HANGS_UP, NO_SERVICE, refund

FIRST = 1839  # the number of the first of these runs, where no run has one as high
ITEMS = 240  # of the map that is under way
MINE, OPEN = 7, 19  # requests that the operator may decide, and all that are open
NOTHING = {"cost": "0.000001"}
FAILS = "[[sim: fail=503]]"

QUESTION = {"message": "The export stops after ten minutes.", "sender": "carla@example.com"}
LEADS = {"leads": ["Example Ltd", "Sample GmbH", "Specimen SA"], "recipient": "ann@example.com"}
INVOICE = {"text": "Invoice 18 of Sample GmbH: net 210.00, tax 40.00, total 250.00"}
RESEARCH = {
    "question": 'How long is the notice? [[sim: tool=mail.send {"to": "ann@example.com", "subject": "Notice", "text": "Ninety days."}]]',
    "material": "The buyer may end this agreement with a notice of ninety days.",
}
LETTER = {"to": "Ann Example, 1 Sample Street", "about": "the refund of order A-1788", "reference": f"A-1788 {HANGS_UP}"}
BRIEF: dict[str, Any] = {"topics": ["the harbour"], "recipient": "ann@example.com"}


def play(progress: Progress) -> None:
    """Starts all of it and leaves it as it stands then. An engine must be at work. Raises `TooSlow`."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval('flows_run_number', greatest(last_value, %s)) FROM flows_run_number", [FIRST - 1])
    fallback = _fallen_back()  # 1839
    start("letter_on_paper", LETTER, "builder", tags=["team:ops"])  # whether it was posted, nobody knows
    start("support-triage", QUESTION, "builder", tags=["team:ops"], source="webhook")
    failing = start(
        "refund_decision", refund(61, f"A-1842 {NO_SERVICE}"), "operator", source="webhook", tags=["team:ops"]
    )  # 1842
    for given in (refund(120, "A-1843"), refund(44, "A-1844"), refund(310, "A-1845", "The parcel never came. I want a refund.")):
        start("refund_decision", given, "operator", tags=["team:ops"], source="api")
    start("invoice-intake", INVOICE, "operator", source="schedule")
    start("lead-enrichment", LEADS, "builder", limits={**NOTHING, "at_limit": "pause"}, tags=["team:growth"])
    start("contract_check", {"title": "Framework agreement", "document": CONTRACT}, "operator")
    start("lead-enrichment", LEADS, "builder", tags=["team:growth"])
    start("research-within-bounds", RESEARCH, "builder")
    start(
        "refund_decision", refund(420, "A-1851", "I was charged twice on 3 July and want a refund."), "operator", source="webhook"
    )  # 1851
    stopped = start("lead-enrichment", LEADS, "builder", limits={**NOTHING, "at_limit": "stop"}, tags=["team:growth"])
    cancelled = start("support-triage", QUESTION, "builder")
    cancel_run(actor("operator"), cancelled)
    paused = start("invoice-intake", {"text": "Invoice 19 of Specimen SA: net 80.00, tax 16.00, total 96.00"}, "builder")
    pause_run(actor("operator"), paused)
    _queue_behind_a_retry()
    _draft_matters()
    wait_for(progress, "runs that end", 4, lambda: _settled(fallback, failing, stopped.id, cancelled.id))
    _fill_boxes(progress)
    many = "\n\n".join(
        f"Clause {n}: the parties keep what they learn of each other to themselves for {n} months." for n in range(1, ITEMS + 1)
    )
    start("contract_check", {"title": "Catalogue of clauses [[sim: rate=5]]", "document": many}, "operator")
    wait_for(progress, "runs under way", 1, lambda: min(Run.objects.filter(status="running").count(), 1))


def _fallen_back() -> UUID:
    """A run whose model was away, so that the next one of its route answered: again what went well before, by another route."""
    before = Run.objects.filter(flow__slug="support-triage", status="succeeded").order_by("-id").first()
    assert before is not None
    run = repeat_run(actor("builder"), before, from_step="classify", route="rehearsal", tags=["team:ops"])
    mark("run", [run.id])
    return run.id


def _queue_behind_a_retry() -> None:
    """Of the brief one run at a time: the first tries again after hours, the second waits its turn."""
    start("weekly-market-brief", BRIEF, "builder", tags=["team:growth"])
    start("weekly-market-brief", {**BRIEF, "topics": [f"the market hall {FAILS}"]}, "builder", tags=["team:growth"])
    change_settings(actor("owner"), "weekly-market-brief", {"max_running": 1, "keeps_slot": True})


def _draft_matters() -> None:
    """A draft that waits for a second person, and a test that waits for its tester."""
    builder = actor("builder")
    flow = Flow.objects.get(slug="invoice-intake")
    save_draft(
        builder, flow.slug, flow.draft.replace("Copy figures exactly; invent nothing.", "Copy figures exactly. Never guess.")
    )
    ask_to_publish(builder, flow.slug, note="Say plainly that nothing may be guessed")
    test = start_test(builder, "support-triage", QUESTION)
    mark("run", [test.id])
    mark("version", [test.version_id])


def _settled(fallback: UUID, failing: UUID | Run, *others: UUID) -> int:
    """How many have ended as they are meant to: people agree, and what failed is tried once more."""
    failing = failing.id if isinstance(failing, Run) else failing
    answer_all({fallback: "approve", failing: "approve"})
    run = Run.objects.select_related("flow").get(id=failing)
    if run.status == "failed" and run.pass_number == 1:
        retry_run(actor("operator"), run)
    twice = Run.objects.filter(id=failing, pass_number=2, status="failed").count()
    return ended([fallback, *others]) + twice


def _fill_boxes(progress: Progress) -> None:
    """So many requests that the operator finds `MINE`, and everybody `OPEN`. One is partly agreed on."""
    operator = actor("operator")
    wait_for(progress, "runs that come to people", 1, lambda: not _on_their_way())
    for n in range(max(0, MINE - requests_in(operator, "mine").count())):
        start(
            "support-triage", {**QUESTION, "sender": f"customer-{n}@example.com"}, "builder", tags=["team:ops"], source="webhook"
        )
    wait_for(progress, "requests for the operator", MINE, lambda: min(requests_in(operator, "mine").count(), MINE))
    for n in range(max(0, OPEN - _open())):
        start("refund_decision", refund(35 + 60 * n, f"A-19{n:02}"), "operator", tags=["team:ops"], source="api")
    wait_for(progress, "open requests", OPEN, lambda: min(_open(), OPEN))
    large = Request.objects.filter(run__flow__slug="refund_decision", state="pending", payload__contains="310").first()
    if large is not None:
        answer(large, "approve")
    if Run.objects.filter(flow__slug="weekly-market-brief", status="retrying").exists():
        start("weekly-market-brief", BRIEF, "builder", tags=["team:growth"])


def _on_their_way() -> bool:
    """Whether a run may still ask somebody by itself."""
    going = Run.objects.filter(status__in=("queued", "running", "waiting", "retrying"), paused=False)
    return going.exclude(flow__slug="weekly-market-brief").exists()


def _open() -> int:
    return requests_in(SEED, "all").count()
