"""What this installation is configured with, as one ZIP file of the forms that each kind of it has already."""

from __future__ import annotations

import csv
import io
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from django.db import transaction
from django.db.models import Prefetch

from approvals.models import Policy
from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.installation import look_up
from flows.access.rights import Right, require
from flows.api.shapes.flows import flow_settings
from flows.costs.actions.import_prices import exported_rows
from flows.engine.writing import write_yaml
from flows.models import Flow, Membership, Person, RetentionRule, Trigger
from orchestrator.transfer.catalogue import catalogue_here
from orchestrator.transfer.withheld import text_without_secrets, without_secrets

IN_MEMORY = 8 * 1024 * 1024  # bytes; what is larger goes to a temporary file
WRITTEN = (1980, 1, 1, 0, 0, 0)  # the time of each file: the same configuration gives the same bytes
DRAFTS, PUBLISHED = "flows/drafts/", "flows/published/"


@dataclass(frozen=True, slots=True)
class Content:
    """One file, or folder, of an export: what it holds, and how it comes in again; empty where it does not."""

    file: str
    holds: str
    comes: str = ""


CONTENTS = (
    Content(DRAFTS, "each flow's draft", "as the draft; nothing runs before you publish it"),
    Content(
        "flows.yaml", "whose each flow is, its tags, its ceiling, who goes first", "for flows that are new, without their owner"
    ),
    Content(
        "catalogue.yaml",
        "models with the price that holds now, routes, tools, MCP servers, connections, teams with approvers, allowed hosts, budgets",
        "added and altered; what it does not name stays as it is",
    ),
    Content(PUBLISHED, "what is live of each flow"),
    Content("prices.csv", "the whole price book, which its own page imports"),
    Content("policies.yaml", "approval policies in force"),
    Content("triggers.yaml", "schedules and webhooks, without secrets and samples"),
    Content("people.yaml", "people and their roles, without addresses and passwords"),
    Content("retention.yaml", "how long payloads and events are kept"),
    Content("installation.yaml", "name, time zone, label of the currency"),
)
NEVER = (
    "Secrets, API keys, passwords and the addresses of chats are never in it: of a secret it has the name, and where one was typed "
    "into a setting, [removed]. Runs, requests, memories, knowledge bases and the audit log are not configuration; a backup of the "
    "database keeps them."
)


def export_all(actor: Actor) -> IO[bytes]:
    """The ZIP, to be read from its beginning and closed. That it was taken is recorded. Raises `Forbidden`."""
    require(actor, Right.MANAGE_SETTINGS)
    file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - whoever asked closes it
    with transaction.atomic(), zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        count = 0
        for name, text in _files():
            archive.writestr(zipfile.ZipInfo(name, WRITTEN), text, zipfile.ZIP_DEFLATED)
            count += 1
        record_change(actor, "installation.export", "installation", "export", {"files": count})
    file.seek(0)
    return file


def _files() -> Iterator[tuple[str, str]]:
    yield "README.txt", _about()
    settings = {}
    for flow in Flow.objects.select_related("published", "team", "owner").order_by("slug").iterator(chunk_size=100):
        settings[flow.slug] = flow_settings(flow)
        yield f"{DRAFTS}{flow.slug}.yaml", text_without_secrets(flow.draft)
        if flow.published is not None:
            yield f"{PUBLISHED}{flow.slug}.yaml", text_without_secrets(flow.published.document)
    yield "catalogue.yaml", write_yaml(catalogue_here())
    yield "prices.csv", _prices()
    known = look_up()
    values: dict[str, Any] = {
        "flows.yaml": settings,
        "policies.yaml": _policies(),
        "triggers.yaml": _triggers(),
        "people.yaml": _people(),
        "retention.yaml": _retention(),
        "installation.yaml": {"name": known.name, "zone": known.zone, "currency": known.currency},
    }
    for name, value in values.items():
        yield name, write_yaml(without_secrets(value))


def _about() -> str:
    lines = [f"{each.file}: {each.holds}. Comes in again: {each.comes or 'no'}." for each in CONTENTS]
    return "\n".join(["What an installation of Orchestrator is configured with.", "", *lines, "", NEVER, ""])


def _prices() -> str:
    book = io.StringIO()
    csv.writer(book, lineterminator="\n").writerows(exported_rows())
    return text_without_secrets(book.getvalue())


def _policies() -> dict[str, Any]:
    found = Policy.objects.filter(current__isnull=False, retired_at=None).select_related("current").order_by("slug")
    return {each.slug: {"name": each.name, "rules": each.current.rules} for each in found if each.current is not None}


def _triggers() -> list[dict[str, Any]]:
    found = Trigger.objects.select_related("flow", "owner").order_by("flow__slug", "name", "id")
    return [
        {
            "flow": each.flow.slug,
            "kind": each.kind,
            "name": each.name,
            "owner": each.owner.username,
            "paused": each.paused_at is not None,
            "settings": {name: value for name, value in each.settings.items() if name != "sample"},
        }
        for each in found.defer("flow__draft", "flow__replaced_draft")
    ]


def _people() -> list[dict[str, Any]]:
    held = Membership.objects.select_related("team").order_by("team__slug", "role")
    found = Person.objects.prefetch_related(Prefetch("memberships", held)).order_by("username")
    return [
        {
            "username": each.username,
            "name": each.name,
            "active": each.is_active,
            "roles": [
                {"role": one.role, "team": one.team.slug if one.team is not None else None} for one in each.memberships.all()
            ],
        }
        for each in found
    ]


def _retention() -> list[dict[str, Any]]:
    found = RetentionRule.objects.select_related("flow").order_by("flow__slug")
    return [
        {
            "flow": each.flow.slug if each.flow is not None else None,
            "payload_days": each.payload_days,
            "event_days": each.event_days,
        }
        for each in found
    ]
