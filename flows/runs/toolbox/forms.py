"""The forms of tools and connections: what was typed becomes what it means, or a list of what is wrong with it."""

from __future__ import annotations

from datetime import date
from typing import Any

from flows.access.refusals import Fault, Invalid
from flows.models import ToolEntry
from flows.runs.toolbox.entries import SERVER, ConnectionPart

LONGEST_TIMEOUT = 86_400.0
TRUST = {"": None, "yes": True, "no": False}


def terms_of(entry: ToolEntry) -> dict[str, str]:
    """What a tool counts as, as its form shows it."""
    return {
        "effect": entry.effect,
        "repeat": entry.repeat,
        "reversible": "yes" if entry.reversible else "",
        "trusted": "" if entry.trusted is None else "yes" if entry.trusted else "no",
        "timeout": f"{entry.timeout:g}" if entry.timeout else "",
        "description": entry.description,
        "policy": entry.policy,
    }


def terms_typed(given: Any) -> dict[str, str]:
    """The same as somebody typed it."""
    names = ("effect", "repeat", "reversible", "trusted", "timeout", "description", "policy")
    return {name: given.get(name, "").strip() for name in names}


def terms_from(given: Any) -> dict[str, Any]:
    """The terms that a posted form means. Raises `Invalid` naming each field."""
    typed = terms_typed(given)
    faults: list[Fault] = []
    timeout = _seconds(typed["timeout"], faults)
    if typed["effect"] not in {"read", "write"}:
        faults.append(Fault("effect", "must be read or write"))
    if typed["repeat"] not in {"freely", "keyed", "lookup", "never"}:
        faults.append(Fault("repeat", "must be freely, keyed, lookup or never"))
    if len(typed["description"]) > 1000:
        faults.append(Fault("description", "is longer than 1,000 characters"))
    if faults:
        raise Invalid("The tool was not changed.", problems=faults)
    return {
        "effect": typed["effect"],
        "repeat": typed["repeat"],
        "reversible": typed["reversible"] == "yes",
        "trusted": TRUST.get(typed["trusted"]),
        "timeout": timeout,
        "description": typed["description"],
        "policy": typed["policy"],
    }


def connection_from(given: Any) -> ConnectionPart:
    """The connection that a posted form means; what its kind does not have is left out. Raises `Invalid` naming each field."""
    faults: list[Fault] = []
    text = {name: given.get(name, "").strip() for name in ("kind", "label", "secret", "host", "user", "database", "tls", "url")}
    own = ("url",) if text["kind"] == SERVER else ("host", "user", "database", "tls")
    extra: dict[str, Any] = {name: text[name] for name in own if text[name]}
    port, until = given.get("port", "").strip(), given.get("expires_on", "").strip()
    if port and text["kind"] != SERVER:
        extra["port"] = int(port) if port.isascii() and port.isdigit() and len(port) < 6 else 0
    expires: date | None = None
    if until:
        try:
            expires = date.fromisoformat(until)
        except ValueError:
            faults.append(Fault("expires_on", "is no day", "Write it like 2027-03-31."))
    if faults:
        raise Invalid("The connection cannot be used as it is.", problems=faults)
    part = {"kind": text["kind"], "label": text["label"][:120], "secret": text["secret"][:80], "expires_on": expires}
    return ConnectionPart.model_validate({**part, **extra})


def _seconds(text: str, faults: list[Fault]) -> float | None:
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST_TIMEOUT:
        faults.append(Fault("timeout", "must be a number of seconds up to 86400"))
        return None
    return seconds
