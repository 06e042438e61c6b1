"""Flows as files, and runs from the command line."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from flows.access.actor import Actor
from flows.access.refusals import NotFound
from flows.api.shapes.flows import FlowPage, flow_summary
from flows.builder.actions.archive_flow import archive_flow
from flows.builder.actions.ask_to_publish import ask_to_publish
from flows.builder.actions.export_flow import export_flow
from flows.builder.actions.import_flow import import_flow
from flows.builder.actions.pause_flow import pause_flow
from flows.builder.actions.publish_flow import publish_flow
from flows.builder.actions.restore_draft import restore_draft
from flows.builder.actions.roll_back import roll_back
from flows.builder.listing import EVERY_STATUS, STATUSES, Wanted, flows_listed
from flows.builder.reads import flow_named
from flows.engine.document import document_schema, parse_document
from flows.engine.graph import compile_flow
from flows.engine.kinds import Catalogue
from flows.engine.states import TERMINAL_STATES
from flows.models import Request, Run
from flows.runs.actions.start_run import start_run
from flows.runs.documents import document_of
from flows.steps import known_kinds
from orchestrator.catalogue import tool_kinds
from orchestrator.catalogue_document import parse_catalogue
from orchestrator.management.engines import engine_beats
from orchestrator.management.speaking import CLI, document_lines, spoken_refusals, text_of
from orchestrator.management.verbs import VerbCommand

NO_ENGINE = (
    "No engine is running, so nothing would drive the run. Start one in another terminal, with `make run` or "
    "`python manage.py up`, and try again; without --wait the run is queued until one starts."
)


class Command(VerbCommand):
    help = "List, import, export, validate, publish, pause and run flows, and go back to what they were."

    def add_verbs(self) -> None:
        each = self.verb("list", "the flows by slug", shows=True)
        each.add_argument("--text", default="", help="words in name, slug or description")
        each.add_argument("--tag", action="append", default=[])
        each.add_argument("--status", action="append", default=[], choices=[name for name, _ in STATUSES])
        each = self.verb("import", "make a file the draft of a flow")
        each.add_argument("file", type=Path)
        each.add_argument("--publish", action="store_true", help="and publish it")
        each.add_argument("--slug", help="the flow's name in addresses; the file's name by default")
        each = self.verb("export", "write a flow's document to the standard output")
        each.add_argument("slug")
        each.add_argument("--version", type=int, dest="number", help="number of a version; the draft by default")
        each = self.verb("validate", "check a file; needs no server")
        each.add_argument("file", type=Path)
        each.add_argument("--catalogue", type=Path, help="a catalogue document; without it unknown routes and tools are warnings")
        each = self.verb("run", "start a run")
        each.add_argument("slug")
        each.add_argument(
            "--input",
            default="{}",
            help="JSON, or @FILE: a file with a JSON object; any other text becomes the one required text field of a flow "
            "whose input schema says contentMediaType: text/plain",
        )
        each.add_argument("--wait", action="store_true", help="until the run has ended; prints its output")
        each.add_argument("--timeout", type=float, default=600.0, help="seconds that --wait waits (600)")
        each.add_argument("--key", help="the same key starts the same run")
        self.verb("schema", "print the JSON Schema of the flow document")
        each = self.verb("publish", "make the draft the version that new runs use, or ask somebody else where that takes two")
        each.add_argument("slug")
        each.add_argument("--note", default="")
        for name, words in (
            ("pause", "let it start no new run"),
            ("resume", "let it start runs again"),
            ("archive", "make it read only; it starts nothing"),
            ("unarchive", "let it be as before"),
        ):
            self.verb(name, words).add_argument("slug")
        each = self.verb("rollback", "publish a version that equals an older one, or ask somebody else where that takes two")
        each.add_argument("slug")
        each.add_argument("number", type=int, metavar="VERSION")
        each.add_argument("--note", default="")
        each = self.verb("restore", "make a version, or the draft that was replaced last, the draft")
        each.add_argument("slug")
        each.add_argument("--version", type=int, dest="number", help="number of a version; the replaced draft by default")

    def do_list(self, actor: Actor, text: str, tag: list[str], status: list[str], json: bool, **options: Any) -> None:
        wanted = Wanted(text, tuple(tag), (), tuple(status) or EVERY_STATUS)
        found = list(flows_listed(actor, wanted).select_related("team", "published").order_by("slug"))
        if json:
            self.write_json(FlowPage, {"items": [flow_summary(flow) for flow in found], "next": None})
            return
        for flow in found:
            version = f"version {flow.published.number}" if flow.published is not None else "draft only"
            standing = ", archived" if flow.archived_at else ", paused" if flow.paused_at else ""
            self.stdout.write(f"{flow.slug}: {flow.name}: {version}{standing}")

    def do_publish(self, actor: Actor, slug: str, note: str, **options: Any) -> None:
        if flow_named(actor, slug).needs_second:
            self.stdout.write(f"{slug}: asked as {ask_to_publish(actor, slug, note=note).public_id}")
            return
        self.stdout.write(f"{slug}: published as version {publish_flow(actor, slug, note=note).number}")

    def do_pause(self, actor: Actor, slug: str, **options: Any) -> None:
        self.stdout.write(f"{pause_flow(actor, slug).slug} starts no new run.")

    def do_resume(self, actor: Actor, slug: str, **options: Any) -> None:
        self.stdout.write(f"{pause_flow(actor, slug, paused=False).slug} starts runs again.")

    def do_archive(self, actor: Actor, slug: str, **options: Any) -> None:
        self.stdout.write(f"{archive_flow(actor, slug).slug} is archived.")

    def do_unarchive(self, actor: Actor, slug: str, **options: Any) -> None:
        self.stdout.write(f"{archive_flow(actor, slug, archived=False).slug} is as it was before.")

    def do_rollback(self, actor: Actor, slug: str, number: int, note: str, **options: Any) -> None:
        if flow_named(actor, slug).needs_second:
            asked = ask_to_publish(actor, slug, version=number, note=note or f"Back to v{number}")
            self.stdout.write(f"{slug}: asked as {asked.public_id}")
            return
        back = roll_back(actor, slug, number, note=note)
        self.stdout.write(f"{slug}: published as version {back.number}, which equals version {number}")

    def do_restore(self, actor: Actor, slug: str, number: int | None, **options: Any) -> None:
        flow = restore_draft(actor, slug, number)
        self.stdout.write(f"{slug}: draft, revision {flow.revision}")

    def do_import(self, actor: Actor, file: Path, publish: bool, slug: str | None, **options: Any) -> None:
        name = slug or re.sub(r"[^a-z0-9_-]+", "-", file.stem.lower()).strip("-_")
        with spoken_refusals(str(file)):
            flow, version = import_flow(actor, name, text_of(file), publish=publish)
        done = f"published as version {version.number}" if version is not None else f"saved as draft, revision {flow.revision}"
        self.stdout.write(f"{flow.slug}: {done}")

    def do_export(self, actor: Actor, slug: str, number: int | None, **options: Any) -> None:
        self.stdout.write(export_flow(actor, slug, version=number), ending="")

    def do_validate(self, actor: Actor, file: Path, catalogue: Path | None, **options: Any) -> None:
        known = None
        if catalogue is not None:
            with spoken_refusals(str(catalogue)):
                known = _catalogue(text_of(catalogue))
        with spoken_refusals(str(file)):
            compiled = compile_flow(parse_document(text_of(file)), known_kinds(), known, lenient=known is None)
        for line in document_lines(str(file), compiled.warnings):
            self.stderr.write(f"warning: {line}")
        self.stdout.write(f"{file}: valid")

    def do_schema(self, actor: Actor, **options: Any) -> None:
        self.stdout.write(json.dumps(document_schema(known_kinds()), indent=2))

    def do_run(
        self,
        actor: Actor,
        slug: str,
        input: str,  # noqa: A002 - the option's name
        wait: bool,
        timeout: float,
        key: str | None,
        **options: Any,
    ) -> None:
        if wait and not engine_beats():
            raise CommandError(NO_ENGINE)
        value = self.input_value(slug, input)
        run = start_run(actor, slug, value, key=key, source="cli")
        self.stderr.write(f"{run.public_id} (#{run.number}) of {slug}: {run.status}")
        if not wait:
            self.stdout.write(run.public_id)
            return
        run = self.wait_for(run, timeout)
        if run.output is not None:
            self.stdout.write(json.dumps(json.loads(run.output), indent=2, ensure_ascii=False))
        if run.status != "succeeded":
            raise CommandError(f"The run ended: {run.status}{_why(run)}")

    def wait_for(self, run: Run, timeout: float) -> Run:
        """The run once it has ended; says aloud each state on the way."""
        until, shown, pause = time.monotonic() + timeout, run.status, 0.02
        while run.status not in TERMINAL_STATES:
            if time.monotonic() > until:
                raise CommandError(f"The run has not ended within {timeout:g} s: {run.status}. It goes on without this command.")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)
            run = Run.objects.get(id=run.id)
            if run.status != shown:
                shown = run.status
                self.stderr.write(f"{run.public_id}: {shown}{_asked(run)}")
            if pause == 0.5 and not engine_beats():
                raise CommandError(f"The run is {run.status}, and no engine is running any more. {NO_ENGINE}")
        return run

    def input_value(self, slug: str, given: str) -> Any:
        """The input behind ``--input``: JSON, or a file's JSON object, or a file's text for a flow that takes one text."""
        text, place = (text_of(Path(given[1:])), given[1:]) if given.startswith("@") else (given, "--input")
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            fault = str(error)
        else:
            if isinstance(value, dict) or not given.startswith("@"):
                return value
            fault = "it is no JSON object"
        field = _text_field(slug) if given.startswith("@") else None
        if field is None:
            raise CommandError(f"{place}: not usable as input: {fault}")
        return {field: text}


def _text_field(slug: str) -> str | None:
    """The one required text field of the flow's input that takes plain text."""
    flow = flow_named(CLI, slug)
    if flow.published_id is None:
        raise NotFound(f"published version of {slug}")
    schema = document_of(flow.published_id).input or {}
    required, fields = schema.get("required") or [], schema.get("properties") or {}
    if len(required) != 1:
        return None
    field = fields.get(required[0])
    if not isinstance(field, dict) or field.get("type") != "string" or field.get("contentMediaType") != "text/plain":
        return None
    return str(required[0])


def _catalogue(text: str) -> Catalogue:
    """The names in a catalogue document. Raises `DocumentError`."""
    document = parse_catalogue(text, {kind.slug: kind for kind in tool_kinds()})
    tools = {slug: dict(tool.arguments) or None for slug, tool in document.tools.items()}
    return Catalogue(frozenset(document.routes), frozenset(document.models), tools)


def _asked(run: Run) -> str:
    titles = Request.objects.filter(run=run, state="pending").values_list("title", flat=True)
    return f" – {', '.join(titles)}" if run.status == "waiting_approval" and titles else ""


def _why(run: Run) -> str:
    error = json.loads(run.error) if run.error else {}
    parts = [run.reason, f"{error.get('step')}: {error.get('message')}" if error else ""]
    told = "; ".join(part for part in parts if part)
    return f" ({told})" if told else ""
