"""Taking in what an export holds: looked at first, then all of it or nothing, by the verbs that each kind has already."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Conflict, Fault, Invalid
from flows.access.rights import Right, require
from flows.builder.actions.change_settings import change_settings
from flows.builder.actions.save_draft import save_draft
from flows.builder.differences import differences
from flows.builder.overview import read
from flows.engine.problems import DocumentError
from flows.engine.writing import write_yaml
from flows.models import Flow, Team
from flows.runs.actions.put_tool import flow_faults
from orchestrator.actions.apply_catalogue import Applied, apply_catalogue
from orchestrator.catalogue_document import CatalogueDocument
from orchestrator.transfer.catalogue import Key, catalogue_here, entries, name_in_list
from orchestrator.transfer.exporting import DRAFTS
from orchestrator.transfer.reading import CATALOGUE, Sent, faults_in, read_sent
from orchestrator.transfer.withheld import is_incomplete, text_without_secrets

OF_NEW_FLOWS = ("tags", "ceiling", "needs_second", "max_running", "keeps_slot", "priority")
OF_THIS_MACHINE = frozenset({"command", "env", "env_secret", "header_env"})
"""What an MCP server says that reaches into this machine (docs/decisions/0054-an-mcp-server-made-on-a-page-has-an-address.md)."""

WITHHELD: Final = "the export has left a secret out of it: make it here by hand"
BY_COMMAND: Final = "only `manage.py installation import`, on the machine, lets this in"

State = Literal["new", "changed", "same", "left"]


@dataclass(frozen=True, slots=True)
class Item:
    """One thing of a file, and what becomes of it; `why` says of what is left why it does not come in."""

    part: str
    name: str
    state: State
    why: str = ""


@dataclass(slots=True)
class Brought:
    """What a file does: its things one by one, each change as a sentence, and what is to be done by hand."""

    items: list[Item] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def take(self, applied: Applied) -> None:
        """Adds what was applied of the catalogue."""
        self.changes += applied.changes
        self.warnings += applied.warnings

    def count(self, state: State) -> int:
        return sum(each.state == state for each in self.items)

    @property
    def counts(self) -> dict[State, int]:
        states: tuple[State, ...] = ("new", "changed", "same", "left")
        return {state: self.count(state) for state in states}

    @property
    def shown(self) -> list[Item]:
        """What is not the same."""
        return [each for each in self.items if each.state != "same"]


def preview_import(actor: Actor, data: bytes) -> Brought:
    """What importing this file would do; changes nothing. Raises as `import_all`."""
    return _import(actor, data, really=False)


def import_all(actor: Actor, data: bytes) -> Brought:
    """Takes in what the file holds of catalogue and flows, in one transaction with its audit rows: the catalogue as `apply_catalogue`
    does, flows as drafts, new ones with their team and settings. Raises `Forbidden`, and `Invalid` naming file and place of each fault.
    """
    return _import(actor, data, really=True)


def _import(actor: Actor, data: bytes, *, really: bool) -> Brought:
    require(actor, Right.MANAGE_SETTINGS)
    sent, brought = read_sent(data), Brought()
    with transaction.atomic():
        before = entries(catalogue_here())
        wanted = _wanted(actor, sent, before, brought)
        try:
            brought.take(apply_catalogue(actor, wanted.model_copy(update={"budgets": ()})))
            faults = _bring_flows(actor, sent, brought)  # they need their teams
            if not faults:
                brought.take(apply_catalogue(actor, CatalogueDocument(budgets=wanted.budgets)))  # these need their flows
        except DocumentError as error:
            faults = faults_in(CATALOGUE, error.problems)
        except (Invalid, Conflict) as refusal:
            faults = _named(CATALOGUE, refusal)
        if faults:
            raise Invalid("Nothing was imported.", problems=faults)
        after = entries(catalogue_here())
        for key in _keys(wanted):
            state: State = "new" if key not in before else "same" if after.get(key) == before[key] else "changed"
            brought.items.append(Item(*key, state))
        brought.items.sort(key=lambda each: (each.part, each.name))
        counts = {str(state): count for state, count in brought.counts.items()}
        record_change(actor, "installation.import", "installation", "import", counts)
        if not really:
            transaction.set_rollback(True)
    return brought


def _wanted(actor: Actor, sent: Sent, before: dict[Key, Any], brought: Brought) -> CatalogueDocument:
    """The catalogue that is to be applied: without what is here already and without what does not come in this way."""
    left: set[Key] = set()
    for key, value in entries(dict(sent.written)).items():
        text = write_yaml(value)
        if key in before and text == write_yaml(before[key]):
            brought.items.append(Item(*key, "same"))
            left.add(key)
        elif why := _why_left(actor, key, value, text, sent.catalogue):
            brought.items.append(Item(*key, "left", why))
            left.add(key)
    document = sent.catalogue
    kept: dict[str, Any] = {
        part: {name: each for name, each in getattr(document, part).items() if (part, name) not in left}
        for part in ("models", "routes", "tools", "mcp", "connections", "teams")
    }
    for part in ("allowed_hosts", "budgets"):
        pairs = zip(getattr(document, part), sent.written.get(part) or (), strict=True)
        kept[part] = tuple(each for each, written in pairs if (part, name_in_list(written)) not in left)
    if kept["mcp"]:
        brought.warnings += [
            f"MCP server {slug}: check it on the page of connections, which takes its tools in." for slug in kept["mcp"]
        ]
    return document.model_copy(update=kept)


def _why_left(actor: Actor, key: Key, value: Any, text: str, document: CatalogueDocument) -> str:
    part, name = key
    if is_incomplete(text):
        return WITHHELD
    if actor.door != "cli" and (part == "allowed_hosts" or (part == "mcp" and OF_THIS_MACHINE & set(value))):
        return BY_COMMAND
    if part == "tools" and (missing := flow_faults(document.tools[name])):
        return f"{missing[0].message}: publish it, then import again"
    return ""


def _keys(document: CatalogueDocument) -> list[Key]:
    named = ("models", "routes", "tools", "mcp", "connections", "teams")
    keys = [(part, name) for part in named for name in getattr(document, part)]
    keys += [("allowed_hosts", host) for host in document.allowed_hosts]
    return keys + [("budgets", f"{each.scope}, {each.period}") for each in document.budgets]


def _bring_flows(actor: Actor, sent: Sent, brought: Brought) -> list[Fault]:
    """Makes each text the draft of its flow; what is wrong with any of them."""
    faults = []
    here = Flow.objects.in_bulk(list(sent.drafts), field_name="slug")
    for slug, text in sent.drafts.items():
        known = here.get(slug)
        if known is not None and text_without_secrets(known.draft) == text:
            brought.items.append(Item("flows", slug, "same"))
        elif is_incomplete(text):
            brought.items.append(Item("flows", slug, "left", WITHHELD))
        else:
            try:
                brought.items.append(_bring_flow(actor, slug, text, known, sent, brought))
            except (Invalid, Conflict) as refusal:
                faults += _named(f"{DRAFTS}{slug}.yaml", refusal)
    return faults


def _bring_flow(actor: Actor, slug: str, text: str, known: Flow | None, sent: Sent, brought: Brought) -> Item:
    if known is None:
        told = sent.settings.get(slug, {})
        save_draft(actor, slug, text, revision=0, team=_team(told.get("team")), runnable=False)
        change_settings(actor, slug, {name: told[name] for name in OF_NEW_FLOWS if name in told})
        brought.changes.append(f"new flow {slug}")
        return Item("flows", slug, "new")
    flow = save_draft(actor, slug, text, runnable=False)
    if flow.revision == known.revision:
        return Item("flows", slug, "same")
    old, new = read(known.draft), read(flow.draft)
    words = differences(old, new).in_words if old is not None and new is not None else "draft"
    brought.changes.append(f"flow {slug}: {words}")
    return Item("flows", slug, "changed")


def _team(slug: Any) -> Team | None:
    """The team that a new flow belongs to. Raises `Invalid` where there is none of this name: it would be everybody's."""
    if slug is None:
        return None
    found = Team.objects.filter(slug=str(slug)[:64].replace("\x00", "")).first()
    if found is None:
        raise Invalid(problems=[Fault("team", f"there is no team {str(slug)[:64]!r}", "Add the team first.")])
    return found


def _named(file: str, refusal: Invalid | Conflict) -> list[Fault]:
    """What was refused, with the name of its file."""
    told = [Fault(f"{file}: {each.place}" if each.place else file, each.message, each.mend) for each in refusal.problems]
    return told or [Fault(file, refusal.message)]
