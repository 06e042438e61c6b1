"""Exporting a flow as a file's text."""

from __future__ import annotations

from flows.access.actor import Actor
from flows.access.rights import Right, require
from flows.builder.reads import flow_named, version_of


def export_flow(actor: Actor, slug: str, *, version: int | None = None) -> str:
    """The document in its canonical YAML: of a version by number, else the draft. Importing it and exporting again gives the same
    bytes. Raises `NotFound`, `Forbidden`."""
    flow = flow_named(actor, slug)
    require(actor, Right.SEE_FLOWS, flow)
    return flow.draft if version is None else version_of(flow, version).document
