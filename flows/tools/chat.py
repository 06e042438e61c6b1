"""A tool that writes into a chat by its incoming webhook, whose address is a secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field

from flows.engine.failures import BadKey
from flows.tools.base import ToolCall, ToolContext, ToolSettings
from flows.tools.granted import secrets_for
from flows.tools.http import HTTPSettings, HTTPTool

SPECIAL = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
"""Written so that no name becomes a link, a mention or a call of everybody (as Slack and those that take its messages read it)."""


class ChatSettings(ToolSettings):
    """`url_secret` names the secret that holds the webhook's address."""

    url_secret: str = Field(
        min_length=1,
        max_length=80,
        title="Secret",
        description="it holds the webhook's address, and must be granted to this tool",
        json_schema_extra={"of": "secret"},
    )


class ChatTool:
    """A message, as plain text."""

    slug: ClassVar[str] = "chat"
    label: ClassVar[str] = "Chat"
    trusted: ClassVar[bool] = True
    arguments: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "required": ["text"],
        "additionalProperties": False,
        "properties": {"text": {"type": "string", "minLength": 1, "maxLength": 4000}},
    }
    Settings: ClassVar[type[ToolSettings]] = ChatSettings

    async def call(self, call: ToolCall, context: ToolContext) -> Any:
        """What the chat answers, as text. Raises `BadKey` where the secret is missing or holds no address, and what the HTTP tool
        raises."""
        settings: ChatSettings = call.spec.settings
        found = await secrets_for(call.spec.slug, {"url": settings.url_secret}, context)
        try:
            there = HTTPSettings(url=found["url"], response="text")
        except ValueError:
            raise BadKey(f"{call.spec.slug}: the secret {settings.url_secret} holds no http or https address.") from None
        spec = replace(call.spec, settings=there)
        said = {"text": str(call.arguments["text"]).translate(SPECIAL)}
        return await HTTPTool().call(replace(call, spec=spec, arguments=said), context)
