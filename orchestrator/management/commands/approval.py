"""Approvals from the command line: the verbs of the inbox, by the same rules and in the same audit log."""

from __future__ import annotations

import json
from datetime import UTC
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from approvals.actions.assign import assign
from approvals.actions.claim import claim
from approvals.actions.decide import decide
from approvals.actions.decide_many import risk_of
from approvals.actions.delegate import delegate_all, delegate_request
from approvals.actions.note_view import note_view
from approvals.actions.remark import ask_somebody, comment
from approvals.filters import DUE, NAMES, RISKS, SORTS, WAS, filtered, filters_in
from approvals.questions import hides_figures, is_question
from approvals.reads import BOXES, by_due, request_named, requests_in
from approvals.rules import mask_of_request, wanted
from approvals.showing.ahead import spending_of
from approvals.showing.words import deadline_in_words, decided_in_words
from flows.access.actor import Actor
from flows.access.rights import Right, require_scope
from flows.models import Request
from orchestrator.management.speaking import actor_named, json_given, moment_given, spoken_refusals
from orchestrator.templatetags.numbers import money_run


class Command(BaseCommand):
    help = "List requests, show them, decide on them, hand them over."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(
            dest="verb", required=True, metavar="list|show|decide|claim|assign|delegate|away|comment|ask"
        )
        listing = verbs.add_parser("list", help="the requests of a box, those that are due first in front")
        listing.add_argument("--box", choices=BOXES, help="mine, where somebody is named; else all")
        listing.add_argument("--policy", help="only those that this policy asks")
        listing.add_argument("--risk", choices=RISKS, help="only those of this risk")
        listing.add_argument("--due", choices=sorted(DUE), help="only those that are due by then")
        listing.add_argument("--was", choices=WAS, help="only those that were decided so")
        listing.add_argument("--sort", choices=SORTS, help="instead of those first that are due first")
        listing.add_argument("--limit", type=int, default=50)
        away = verbs.add_parser("away", help="let somebody decide everything in one's place until then")
        away.add_argument("--to", required=True, help="username")
        away.add_argument("--until", required=True, help="such as 2026-12-24T18:00Z")
        for verb, words in (
            ("show", "what is decided on, and how it stands"),
            ("decide", "vote for an outcome"),
            ("claim", "say for ten minutes that one is at it"),
            ("assign", "let one person alone decide"),
            ("delegate", "let somebody decide in one's place on this request"),
            ("comment", "add to the discussion, or answer what one was asked"),
            ("ask", "ask somebody; the deadline goes on counting"),
        ):
            each = verbs.add_parser(verb, help=words)
            each.add_argument("request", help="identifier (req_…)")
            self.add_options(each, verb)
        for each in verbs.choices.values():
            each.add_argument("--as", dest="username", help="the person that does it; only a person decides")

    def add_options(self, parser: CommandParser, verb: str) -> None:
        if verb == "decide":
            parser.add_argument("outcome", help="one of the request's own")
            parser.add_argument("--revision", type=int, required=True, help="as shown; a newer one is not decided")
            parser.add_argument("--set", dest="edits", action="append", default=[], metavar="FIELD=JSON", help="an edit")
            parser.add_argument("--comment", default="")
            parser.add_argument("--confirm", default="", help="the value that the policy wants typed in order to approve")
        if verb == "claim":
            parser.add_argument("--release", action="store_true", help="give it up")
        if verb == "assign":
            parser.add_argument("--to", help="username; without, everybody decides again who may")
        if verb in {"delegate", "ask"}:
            parser.add_argument("--to", required=True, help="username")
        if verb in {"comment", "ask"}:
            parser.add_argument("text")

    def handle(self, *args: Any, verb: str, username: str | None, **options: Any) -> None:
        actor = actor_named(username)
        with spoken_refusals():
            if "request" in options:
                getattr(self, f"do_{verb}")(actor, request_named(actor, options.pop("request")), **options)
            else:
                getattr(self, f"do_{verb}")(actor, **options)

    # --- what there is

    def do_list(self, actor: Actor, box: str | None, limit: int, **options: Any) -> None:
        require_scope(actor, Right.SEE_REQUESTS)
        box = box or ("mine" if actor.person is not None else "all")
        chosen = filters_in({name: options.get(name) or "" for name in NAMES})
        found = filtered(requests_in(actor, box), chosen)
        found = found if box == "done" or "sort" in chosen else by_due(found)
        shown = list(found[: max(0, limit)])
        for each in shown:
            flow = each.asking_flow
            due = f", due {each.due.astimezone(UTC):%Y-%m-%d %H:%M}Z" if each.due is not None and box != "done" else ""
            state = decided_in_words(each) if box == "done" else f"{each.state}, {risk_of(each)} risk{due}"
            where = f" ({flow.name}{f' #{each.run.number}' if each.run is not None else ''})" if flow is not None else ""
            self.stdout.write(f"{each.public_id}: {each.title}{where}: {state}")
        self.stderr.write(f"{len(shown)} of {found.count()} in {box}.")

    def do_show(self, actor: Actor, asked: Request, **options: Any) -> None:
        require_scope(actor, Right.SEE_REQUESTS)
        note_view(actor, asked)
        terms = asked.terms
        self.stdout.write(asked.title)
        for name, value in (
            ("state", asked.state if asked.decided_at is None else decided_in_words(asked)),
            ("revision", asked.revision),
            ("risk", risk_of(asked)),
            ("call", terms.get("tool")),
            ("policy", f"{terms['policy']} v{terms['policy_version']}" if terms.get("policy_version") else None),
            ("decides", " or ".join(wanted(asked))),
            ("votes", f"{asked.votes.filter(revision=asked.revision).count()} of {max(1, int(terms.get('quorum') or 1))}"),
            ("due", f"{asked.due.astimezone(UTC):%Y-%m-%d %H:%M}Z. {deadline_in_words(asked)}" if asked.due else None),
            ("outcomes", ", ".join(terms.get("outcomes") or {})),
            ("may be edited", ", ".join(terms.get("editable") or [])),
            ("seal", asked.payload_hash),
        ):
            if value:
                self.stdout.write(f"{name}: {value}")
        for outcome, spending in spending_of(actor, asked).items() if asked.decided_at is None else ():
            if (estimate := spending.estimate) is not None:
                sim = " sim" if estimate.simulated else ""
                known = "at least" if estimate.unpriced else "about"
                self.stdout.write(f"{outcome}: spends {known} {money_run(estimate.cost)}{sim} (median of {estimate.runs})")
        if hides_figures(actor, asked):
            self.stdout.write("The figures are for those who may see costs.")
            return
        self.stdout.write(json.dumps(mask_of_request(asked).read(asked.payload), indent=2, ensure_ascii=False))

    # --- what people do

    def do_decide(
        self, actor: Actor, asked: Request, outcome: str, revision: int, edits: list[str], comment: str, confirm: str, **_: Any
    ) -> None:
        decision = decide(actor, asked.id, outcome, revision, edited(asked, edits), comment, confirm)
        if decision.closed:
            self.stdout.write(f"{decided_in_words(decision.request)}: {asked.title}")
            return
        missing = f", still needed: {', '.join(decision.missing)}" if decision.missing else ""
        self.stdout.write(f"Your vote is kept, {decision.votes} of {decision.quorum}{missing}: {asked.title}")

    def do_claim(self, actor: Actor, asked: Request, release: bool, **options: Any) -> None:
        claim(actor, asked, release=release)
        self.stdout.write("Given up." if release else "Claimed for ten minutes.")

    def do_assign(self, actor: Actor, asked: Request, to: str | None, **options: Any) -> None:
        assign(actor, asked, to)
        self.stdout.write(f"Assigned to {to}." if to else "Everybody may decide again who could before.")

    def do_delegate(self, actor: Actor, asked: Request, to: str, **options: Any) -> None:
        self.stdout.write(f"{delegate_request(actor, asked, to).taker} may decide in your place.")

    def do_comment(self, actor: Actor, asked: Request, text: str, **options: Any) -> None:
        self.stdout.write(f"Kept as {comment(actor, asked, text).kind}.")

    def do_ask(self, actor: Actor, asked: Request, to: str, text: str, **options: Any) -> None:
        self.stdout.write(f"{ask_somebody(actor, asked, to, text).to} is asked. The deadline goes on counting.")

    def do_away(self, actor: Actor, to: str, until: str, **options: Any) -> None:
        made = delegate_all(actor, to, moment_given("--until", until))
        self.stdout.write(f"{made.taker} decides in your place until {made.until:%Y-%m-%d %H:%M}Z.")


def edited(asked: Request, edits: list[str]) -> Any:
    """The payload with these edits; None without any. What a question takes begins empty. A value that is no JSON is a text."""
    if not edits:
        return None
    payload = {} if is_question(asked) else json.loads(asked.payload)
    if not isinstance(payload, dict):
        raise CommandError("--set: what is decided on here has no fields.")
    for each in edits:
        name, sign, text = each.partition("=")
        if not sign:
            raise CommandError(f"--set: {each!r} is no edit. Write it like amount=400.")
        try:
            payload[name] = json_given(text)
        except CommandError:
            payload[name] = text
    return payload
