"""Tools, and what they reach, as people write them, in the catalogue's document, on pages and over HTTP: what each may say, and what is
wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from flows.engine.contradictions import unusable
from flows.engine.document import JSONObject, Part
from flows.engine.explaining import model_problems
from flows.engine.problems import Place, did_you_mean
from flows.routing.entries import Duration, Texts, plain
from flows.tools.base import Effect, Repeat, ToolKind
from flows.tools.connections import KINDS


class ToolPart(Part):
    """What stands beside these keys belongs to the tool's kind. `known_for` is how long the service knows a key; `result` the JSON
    Schema of what a call gives; `description` what it is for, which models read, too; `trusted` whether its answers are nobody else's
    words, so that a run that has read them is not tainted; `policy` the approval policy that rules on an agent's calls of it, which stays
    as it is where nothing is said, and goes where it is empty.
    """

    model_config = {**Part.model_config, "extra": "allow"}

    kind: str
    effect: Effect
    repeat: Repeat | None = None
    arguments: JSONObject = Field(default_factory=dict)
    timeout: Duration | None = None
    reversible: bool = False
    max_in_flight: int | None = Field(default=None, gt=0, strict=True)
    known_for: Duration | None = None
    result: JSONObject = Field(default_factory=dict)
    description: str = Field(default="", max_length=1000)
    trusted: bool | None = None
    policy: str | None = Field(default=None, max_length=64)

    @property
    def repeats(self) -> str:
        """A read may be repeated freely, a write never, where nothing else is said."""
        return self.repeat or ("freely" if self.effect == "read" else "never")

    def stored(self, kind: ToolKind) -> dict[str, Any]:
        """As it stands in the tool's row; `kind` says what its tools take where the part does not."""
        return {
            "kind": self.kind,
            "effect": self.effect,
            "repeat": self.repeats,
            "arguments": plain(dict(self.arguments or kind.arguments)),
            "settings": tool_settings(self),
            "timeout": self.timeout,
            "reversible": self.reversible,
            "max_in_flight": self.max_in_flight,
            "known_for": self.known_for,
            "result": dict(self.result),
            "description": self.description,
            **({"policy": self.policy} if self.policy is not None else {}),
            "trusted": self.trusted,
        }


class MCPPart(Part):
    """An MCP server: `command` starts it, or `url` is its address. Values of `env` and `header_env` are names of environment
    variables of this installation, those of `env_secret` and `header_secret` names of secrets that are granted to it."""

    command: Texts = ()
    env: dict[str, str] = Field(default_factory=dict)
    url: str = ""
    header_env: dict[str, str] = Field(default_factory=dict)
    env_secret: dict[str, str] = Field(default_factory=dict)
    header_secret: dict[str, str] = Field(default_factory=dict)
    expires_on: date | None = Field(default=None, strict=False)

    @model_validator(mode="after")
    def _one_way(self) -> MCPPart:
        if bool(self.command) == bool(self.url):
            raise PydanticCustomError("one_way", "give either `command` or `url`")
        return self


class ConnectionPart(Part):
    """A service that tools reach by its name. What stands beside these keys belongs to the connection's kind; `secret` is the name of
    that which holds its password."""

    model_config = {**Part.model_config, "extra": "allow"}

    kind: str
    label: str = Field(default="", max_length=120)
    secret: str = Field(default="", max_length=80)
    expires_on: date | None = Field(default=None, strict=False)

    def stored(self) -> dict[str, Any]:
        """As it stands in the connection's row."""
        settings = KINDS[self.kind].model_validate(self.model_extra or {}).model_dump(mode="json")
        return {
            "kind": self.kind,
            "label": self.label,
            "settings": settings,
            "secret": self.secret,
            "expires_on": self.expires_on,
        }


SERVER: Final = "mcp"
"""The kind of a connection that is an MCP server."""


def read_server(part: ConnectionPart) -> tuple[MCPPart | None, list[tuple[Place, str, str]]]:
    """The MCP server that a connection of that kind means, or what is wrong with it. It has an address: whoever names a command lets it
    run here, which is left to whoever applies a catalogue document on the machine. Its header `Authorization` holds the connection's
    secret, where it names one."""
    extra = dict(part.model_extra or {})
    local = [name for name in ("command", "env", "env_secret", "header_env") if extra.pop(name, None)]
    faults: list[tuple[Place, str, str]] = [
        (("connections", "", name), "a server that is started here is named in a catalogue document only", "Give `url`.")
        for name in local
    ]
    if part.secret and not extra.get("header_secret"):
        extra["header_secret"] = {"Authorization": part.secret}
    if not faults:
        faults += _address_faults(str(extra.get("url") or ""))
    try:
        server = MCPPart.model_validate({**extra, "expires_on": part.expires_on})
    except ValidationError as error:
        faults += [
            (("connections", "", *_place(each.path)), each.message, each.mend) for each in model_problems(error, MCPPart, {})
        ]
    return (None, faults) if faults else (server, [])


def _address_faults(url: str) -> list[tuple[Place, str, str]]:
    parts = urlsplit(url)
    if parts.scheme in ("http", "https") and parts.hostname and not parts.username and not parts.password and len(url) <= 200:
        return []
    return [(("connections", "", "url"), "must be an http or https address without a password", "")]


def tool_settings(part: ToolPart) -> dict[str, Any]:
    """The keys of a tool that belong to its kind, as plain JSON values."""
    return {name: plain(value) for name, value in (part.model_extra or {}).items()}


def tool_faults(slug: str, tool: ToolPart, kinds: Mapping[str, ToolKind]) -> Iterator[tuple[Place, str, str]]:
    """What types cannot say of a tool: where it stands, what is wrong, how to mend it."""
    place = ("tools", slug)
    kind = kinds.get(tool.kind)
    if kind is None:
        yield (*place, "kind"), f"there is no tool kind `{tool.kind[:40]}`", did_you_mean(tool.kind, kinds)
        return
    try:
        kind.Settings.model_validate(tool_settings(tool))
    except ValidationError as error:
        for problem in model_problems(error, kind.Settings, {}):
            yield (*place, *_place(problem.path)), problem.message, problem.mend
    for name, schema in (("arguments", tool.arguments), ("result", tool.result)):
        for inner, message in unusable(dict(schema)) if schema else ():
            yield (*place, name, *inner), message, ""
    if tool.known_for is not None and tool.repeats != "keyed":
        yield (
            (*place, "known_for"),
            "only a tool with `repeat: keyed` is repeated by its key",
            "Remove it, or write `repeat: keyed`.",
        )
    extra = tool.model_extra or {}
    if tool.repeats == "keyed" and tool.kind == "http" and not extra.get("idempotency_header"):
        yield (*place, "repeat"), "`keyed` needs the header that carries the key", "Add `idempotency_header: Idempotency-Key`."
    if tool.repeats == "lookup" and tool.kind == "http" and not extra.get("find"):
        yield (
            (*place, "repeat"),
            "`lookup` needs an address that tells what became of a call",
            "Add `find` with {key} in its path.",
        )


def connection_faults(slug: str, part: ConnectionPart) -> Iterator[tuple[Place, str, str]]:
    """The same of a connection."""
    place = ("connections", slug)
    settings = KINDS.get(part.kind)
    if settings is None:
        yield (*place, "kind"), f"there is no kind of connection `{part.kind[:40]}`", did_you_mean(part.kind, KINDS)
        return
    try:
        settings.model_validate(part.model_extra or {})
    except ValidationError as error:
        for problem in model_problems(error, settings, {}):
            yield (*place, *_place(problem.path)), problem.message, problem.mend


def _place(path: str) -> Place:
    return tuple(part for part in path.split(".") if part)
