"""The audit log from the command line."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandError

from flows.access.actor import Actor
from flows.access.rights import Right, require
from flows.access.sealing import seal_audit, verify
from orchestrator.auditing.api import AuditPage, audit_shape
from orchestrator.auditing.exports import FORMS, export_audit
from orchestrator.auditing.reads import audit_rows, page_of, wanted_of
from orchestrator.management.verbs import VerbCommand

FILTERS = {
    "actor": "who did it",
    "action": "with all that begin like it, such as trigger",
    "object": "an object or its kind",
    "door": "page, api, cli, worker or trigger",
    "request": "the number of a request",
    "from": "a day, UTC",
    "to": "a day, UTC",
}


class Command(VerbCommand):
    help = "Show, export and check the audit log."

    def add_verbs(self) -> None:
        self.verb("verify", "follow the chain of hashes over every row and name the first that does not fit")
        listing = self.verb("list", "the rows that match, the newest first, 50 at a time", shows=True)
        listing.add_argument("--before", default="", help="the row that follows the page that was read")
        export = self.verb("export", "write the rows that match; that somebody did is recorded, too")
        export.add_argument("form", choices=FORMS)
        for parser in (listing, export):
            for name, words in FILTERS.items():
                parser.add_argument(f"--{name}", default="", help=words)

    def do_verify(self, actor: Actor, /, **options: Any) -> None:
        require(actor, Right.SEE_AUDIT)
        seal_audit()
        chain = verify()
        if chain.broken:
            raise CommandError(f"The chain is broken: {chain.broken}. {chain.sealed} rows before it are as they were written.")
        self.stdout.write(f"{chain.sealed} rows are as they were written, {chain.unsealed} not sealed yet; head {chain.head}")

    def do_list(self, actor: Actor, /, **options: Any) -> None:
        wanted = wanted_of({name: options[name] for name in (*FILTERS, "before")})
        rows, older = page_of(audit_rows(actor, wanted), wanted)
        if options["json"]:
            following = str(older) if older is not None else None
            self.write_json(AuditPage, {"items": [audit_shape(row) for row in rows], "next": following})
            return
        for row in rows:
            data = f" {json.dumps(row.data, ensure_ascii=False)}" if row.data else ""
            about = f"{row.subject_kind} {row.subject}".strip()
            self.stdout.write(
                f"{row.id}  {row.at:%Y-%m-%d %H:%M:%S}Z  {row.actor_name} ({row.door})  {row.action}  {about}{data}"
            )
        if older is not None:
            self.stderr.write(f"There are older ones: --before {older}")

    def do_export(self, actor: Actor, /, form: str, **options: Any) -> None:
        for line in export_audit(actor, wanted_of({name: options[name] for name in FILTERS}), form):
            self.stdout.write(line, ending="")
