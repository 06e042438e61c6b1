"""Reading what somebody sends to be imported: the ZIP of an export, or a catalogue document alone."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flows.access.refusals import Fault, Invalid
from flows.builder.checking import faults
from flows.engine.problems import DocumentError, Problem
from flows.engine.yamltext import MAX_BYTES, parse_yaml
from orchestrator.catalogue import tool_kinds
from orchestrator.catalogue_document import CatalogueDocument, parse_catalogue
from orchestrator.transfer.exporting import DRAFTS

CATALOGUE, SETTINGS = "catalogue.yaml", "flows.yaml"
MOST_FILES = 10_000
MOST_BYTES = 64 * 1024 * 1024  # of all that is read, unpacked
_DRAFT = re.compile(re.escape(DRAFTS) + r"([a-z0-9][a-z0-9_-]{0,79})\.yaml")


@dataclass(frozen=True, slots=True)
class Sent:
    """What can come in of a file: the catalogue, as it was read and as it was written; by their names flows' drafts and settings."""

    catalogue: CatalogueDocument = field(default_factory=CatalogueDocument)
    written: Mapping[str, Any] = field(default_factory=dict)
    drafts: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def read_sent(data: bytes) -> Sent:
    """Raises `Invalid` naming each file and place."""
    texts = _unpacked(data) if data.startswith(b"PK") else {CATALOGUE: _text(CATALOGUE, data)}
    drafts = {found[1]: text for name, text in texts.items() if (found := _DRAFT.fullmatch(name))}
    if CATALOGUE not in texts and not drafts:
        mend = f"Send the ZIP of an export, or its {CATALOGUE}."
        raise _refused([Fault("file", f"holds neither {CATALOGUE} nor {DRAFTS}", mend)])
    settings = _settings(texts[SETTINGS]) if SETTINGS in texts else {}
    if CATALOGUE not in texts:
        return Sent(drafts=drafts, settings=settings)
    try:
        document = parse_catalogue(texts[CATALOGUE], {kind.slug: kind for kind in tool_kinds()})
        return Sent(document, parse_yaml(texts[CATALOGUE]).value or {}, drafts, settings)
    except DocumentError as error:
        raise _refused(faults_in(CATALOGUE, error.problems)) from None


def faults_in(file: str, problems: Iterable[Problem]) -> list[Fault]:
    """What is wrong with a document, with the name of its file."""
    return [Fault(f"{file}: {each.place}" if each.place else file, each.message, each.mend) for each in faults(problems)]


def _settings(text: str) -> Mapping[str, Mapping[str, Any]]:
    try:
        value = parse_yaml(text).value
    except DocumentError as error:
        raise _refused(faults_in(SETTINGS, error.problems)) from None
    if isinstance(value, dict) and all(isinstance(each, dict) for each in value.values()):
        return value
    raise _refused([Fault(SETTINGS, "is no object of flows with their settings")])


def _unpacked(data: bytes) -> dict[str, str]:
    """By name the files that can come in. What an archive claims of itself is not believed: each is read up to its bound."""
    texts, room = {}, MOST_BYTES
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            known = [
                each for each in archive.infolist() if each.filename in (CATALOGUE, SETTINGS) or _DRAFT.fullmatch(each.filename)
            ]
            if len(known) > MOST_FILES:
                raise _refused([Fault("file", f"has more than {MOST_FILES:,} files")])
            for each in known:
                with archive.open(each) as stream:
                    found = stream.read(min(MAX_BYTES, room) + 1)
                room -= len(found)
                if len(found) > MAX_BYTES or room < 0:
                    raise _refused([Fault(each.filename, "is too large", f"A document has at most {MAX_BYTES:,} bytes.")])
                texts[each.filename] = _text(each.filename, found)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise _refused([Fault("file", f"is no ZIP that can be read: {error}")]) from None
    return texts


def _text(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refused([Fault(name, f"is not UTF-8 at byte {error.start}", "Save it as UTF-8.")]) from None


def _refused(problems: list[Fault]) -> Invalid:
    return Invalid("Nothing can be imported.", problems=problems)
