"""The verbs on runs from the command line."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from flows.access.actor import Actor
from flows.access.installation import look_up
from flows.access.rights import Right
from flows.models import Run
from flows.runs.actions.cancel_run import cancel_run
from flows.runs.actions.control_many import MOST, VERBS, control_many, preview_many
from flows.runs.actions.deliver_event import deliver_event
from flows.runs.actions.edit_input import edit_input
from flows.runs.actions.pause_run import pause_run, resume_run
from flows.runs.actions.raise_limits import raise_limits
from flows.runs.actions.repeat_run import SAME, is_other_version, repeat_run
from flows.runs.actions.retry_run import retry_run
from flows.runs.actions.skip_step import skip_step
from flows.runs.listing import Wanted, matching
from flows.runs.previews import preview_retry
from flows.runs.reads import run_named, runs_listed, steps_of
from orchestrator.management.speaking import actor_named, json_given, spoken_refusals, whole_given
from orchestrator.templatetags.numbers import money_call, money_run


class Command(BaseCommand):
    help = "List, show, cancel, pause, resume, retry and steer runs, and raise their limits."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(
            dest="verb", required=True, metavar="list|show|cancel|pause|resume|retry|limits|skip|input|deliver|many"
        )
        each = verbs.add_parser("list", help="runs, the newest first")
        each.add_argument("--state", default="", help="names of states with commas between; a leading ! excludes them")
        each.add_argument("--flow", default="", help="slugs with commas between; a leading ! excludes them")
        each.add_argument("--tag", action="append", default=[])
        each.add_argument("--text", default="", help="a number, or a part of the flow's name, or a tag")
        each.add_argument("--error", default="", help="a part of what a failed run says")
        each.add_argument("--limit", type=int, default=50)
        each.add_argument("--as", dest="username", help="the person that looks")
        for verb, words in (
            ("show", "how a run and each of its steps stands"),
            ("cancel", "stop a run"),
            ("pause", "let nothing new of a run begin"),
            ("resume", "let a paused run go on"),
            ("retry", "another pass of a run that has ended, or, with something changed, a new run that is linked to it"),
            ("limits", "raise limits of a run; one that a limit has stopped goes on"),
            ("skip", "go past a step"),
            ("input", "set fields of a step's input before it begins"),
            ("deliver", "a named event; one that comes before the run waits for it is kept"),
        ):
            each = verbs.add_parser(verb, help=words)
            each.add_argument("run", help="identifier (run_…) or number")
            self.add_options(each, verb)
        each = verbs.add_parser("many", help="do one verb to every run that matches, the newest first")
        each.add_argument("many_verb", metavar="|".join(VERBS), choices=list(VERBS))
        each.add_argument("--state", help="names of states with commas between")
        each.add_argument("--flow", help="slugs with commas between")
        each.add_argument("--tag", action="append", default=[])
        each.add_argument("--preview", action="store_true", help="say what would happen, and change nothing")
        each.add_argument("--as", dest="username", help="the person that does it")

    def add_options(self, parser: CommandParser, verb: str) -> None:
        parser.add_argument("--as", dest="username", help="the person that does it")
        if verb == "retry":
            parser.add_argument("--from", dest="from_step", help="path of a step that has run; from where it failed by default")
            parser.add_argument("--input", dest="text", help="another input, as JSON")
            parser.add_argument("--version", dest="other_version", help="number of another version, or live")
            parser.add_argument("--route", help="another route or model for the step of --from")
            parser.add_argument("--preview", action="store_true", help="say what would happen, and change nothing")
        if verb == "limits":
            for name, words in (("cost", "dollars"), ("tokens", "a number"), ("steps", "a number"), ("duration", "such as 2d")):
                parser.add_argument(f"--{name}", help=words)
            parser.add_argument("--reason", default="")
        if verb in {"skip", "input"}:
            parser.add_argument("path", help="of the step, as the run's page shows it")
        if verb == "skip":
            parser.add_argument("--output", dest="text", default="null", help="JSON; null by default")
            parser.add_argument("--port", default="done")
            parser.add_argument("--comment", default="")
        if verb == "deliver":
            parser.add_argument("event")
            parser.add_argument("--payload", dest="text", default="null", help="JSON")
            parser.add_argument("--key", help="the same key delivers once")
        if verb == "input":
            parser.add_argument("text", metavar="JSON", help="an object of fields and values")

    def handle(self, *args: Any, verb: str, username: str | None, **options: Any) -> None:
        actor = actor_named(username)
        with spoken_refusals():
            getattr(self, f"do_{verb}")(actor, **options)

    def do_list(
        self, actor: Actor, state: str, flow: str, tag: list[str], text: str, error: str, limit: int, **options: Any
    ) -> None:
        wanted = Wanted(states=state, flows=flow, tags=tuple(tag), text=text, error=error)
        for run in matching(actor, wanted)[: max(0, limit)]:
            self.stdout.write(_line(actor, run))

    def do_show(self, actor: Actor, run: str, **options: Any) -> None:
        found = _named(actor, run)
        self.stdout.write(_line(actor, found))
        costs, steps = _sees_costs(actor, found), steps_of(found)
        for step in steps.steps:
            cost = f", {money_call(step.cost)}" if costs and step.cost else ""
            tries = f", {len(step.attempts)} attempts" if len(step.attempts) > 1 else ""
            error = next((each.error for each in reversed(step.attempts) if each.error), None) if step.state == "failed" else None
            why = f": {error['message']}" if isinstance(error, dict) and "message" in error else ""
            self.stdout.write(f"  {step.path} ({step.kind}): {step.state}{tries}{cost}{why}")
        if not steps.complete:
            self.stderr.write("There are more steps than are shown.")

    def do_deliver(self, actor: Actor, run: str, event: str, text: str, key: str | None, **options: Any) -> None:
        delivery = deliver_event(actor, _named(actor, run), event, json_given(text), key)
        self.stdout.write(f"{delivery.event} is kept until the run takes it.")

    def do_cancel(self, actor: Actor, run: str, **options: Any) -> None:
        self.tell(cancel_run(actor, _named(actor, run)))

    def do_pause(self, actor: Actor, run: str, **options: Any) -> None:
        self.tell(pause_run(actor, _named(actor, run)))

    def do_resume(self, actor: Actor, run: str, **options: Any) -> None:
        self.tell(resume_run(actor, _named(actor, run)))

    def do_retry(
        self,
        actor: Actor,
        run: str,
        from_step: str | None,
        text: str | None,
        other_version: str | None,
        route: str | None,
        preview: bool,
        **options: Any,
    ) -> None:
        found = _named(actor, run)
        version = int(other_version) if other_version is not None and other_version.isdecimal() else other_version
        given = SAME if text is None else json_given(text)
        changed = given is not SAME or route is not None
        if preview:
            self.foretell(actor, found, from_step, version, changed)
        elif changed or is_other_version(found, version):
            self.tell(repeat_run(actor, found, input=given, version=version, from_step=from_step, route=route))
        else:
            self.tell(retry_run(actor, found, from_step))

    def do_limits(self, actor: Actor, run: str, reason: str, **options: Any) -> None:
        given = {name: options[name] for name in ("cost", "duration") if options[name] is not None}
        given |= {name: whole_given(f"--{name}", options[name]) for name in ("tokens", "steps") if options[name] is not None}
        self.tell(raise_limits(actor, _named(actor, run), given, reason=reason))

    def do_skip(self, actor: Actor, run: str, path: str, text: str, port: str, comment: str, **options: Any) -> None:
        self.tell(skip_step(actor, _named(actor, run), path, output=json_given(text), port=port, comment=comment))

    def do_input(self, actor: Actor, run: str, path: str, text: str, **options: Any) -> None:
        fields = json_given(text)
        if not isinstance(fields, dict):
            raise CommandError('The input must be a JSON object of fields, such as {"arguments": {"amount": 7}}.')
        edit = edit_input(actor, _named(actor, run), path, fields)
        self.stdout.write(f"{path}: {edit.before} -> {edit.after}")

    def do_many(
        self, actor: Actor, many_verb: str, state: str | None, flow: str | None, tag: list[str], preview: bool, **options: Any
    ) -> None:
        runs = list(runs_listed(actor, state=state, flow=flow, tags=tag)[:MOST])
        lines = preview_many(actor, many_verb, runs) if preview else control_many(actor, many_verb, runs)
        for line in lines:
            said = line.run.status if line.refusal is None else f"not eligible: {line.refusal.message}"
            self.stdout.write(f"{line.run.public_id} (#{line.run.number}): {said}")
        eligible = sum(line.refusal is None for line in lines)
        self.stdout.write(f"{eligible} of {len(lines)} {'would be' if preview else 'were'} eligible for {many_verb}.")

    def foretell(self, actor: Actor, run: Run, from_step: str | None, version: int | str | None, changed: bool) -> None:
        preview = preview_retry(actor, run, from_step, version=version, changed=changed)
        again = ", ".join(step.path + (" (changes the world again)" if step.wrote else "") for step in preview.again)
        self.stdout.write(f"makes: a new {preview.makes} of version {preview.version}")
        self.stdout.write(f"reuses: {', '.join(preview.reused) or 'nothing'}")
        self.stdout.write(f"runs again: {again or 'nothing that has run'}")
        if preview.cost is not None:
            unknown = f" and {preview.unpriced} calls of unknown cost" if preview.unpriced else ""
            self.stdout.write(f"cost before: {look_up().amount(f'{preview.cost.normalize():f}')}{unknown}")

    def tell(self, run: Run) -> None:
        self.stderr.write(f"{run.public_id} (#{run.number}), pass {run.pass_number}: {run.status} {run.reason}".rstrip())
        self.stdout.write(run.public_id)


def _line(actor: Actor, run: Run) -> str:
    reason = f" ({run.reason})" if run.reason else ""
    cost = f", {money_run(run.spent)}" if _sees_costs(actor, run) else ""
    return f"{run.public_id} (#{run.number}) of {run.flow.slug} v{run.version.number}: {run.status}{reason}{cost}"


def _sees_costs(actor: Actor, run: Run) -> bool:
    return actor.may(Right.SEE_COSTS, run.flow.team_id)


def _named(actor: Actor, name: str) -> Run:
    if name.isdecimal():
        found = Run.objects.filter(number=int(name[:18])).first()
        name = found.public_id if found is not None else name
    return run_named(actor, name)
