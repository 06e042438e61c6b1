"""A tool that sends mail through a named mail server."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parseaddr
from fnmatch import fnmatchcase
from typing import Any, ClassVar

from django.core.mail import EmailMessage
from pydantic import Field

from flows.engine.failures import BadRequest
from flows.tools.base import ToolCall, ToolContext, ToolSettings
from flows.tools.connections import connection_for
from flows.tools.smtp import send


class MailSettings(ToolSettings):
    """`sender` is who the letters are from; `to` are patterns (``*@example.com``) of whom they may go to, without any to everybody."""

    connection: str = Field(min_length=1, max_length=60, json_schema_extra={"of": "smtp"})
    sender: str = Field(min_length=3, max_length=320, description="who the letters are from")
    to: tuple[str, ...] = Field(
        default=(),
        strict=False,
        max_length=50,
        title="Whom it may write to",
        description="patterns such as *@example.com; without any, everybody",
    )


class MailTool:
    """A letter, as plain text."""

    slug: ClassVar[str] = "mail"
    label: ClassVar[str] = "Mail"
    trusted: ClassVar[bool] = True
    arguments: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "required": ["to", "subject", "text"],
        "additionalProperties": False,
        "properties": {
            "to": {"type": "array", "items": {"type": "string", "maxLength": 320}, "minItems": 1, "maxItems": 50},
            "subject": {"type": "string", "minLength": 1, "maxLength": 300},
            "text": {"type": "string", "maxLength": 200_000},
            "reply_to": {"type": "string", "maxLength": 320},
        },
    }
    Settings: ClassVar[type[ToolSettings]] = MailSettings

    async def call(self, call: ToolCall, context: ToolContext) -> Any:
        """`{to, message_id}` once the server has taken the letter. The identifier is made of the idempotency key, so that a letter that
        is sent again can be known for the same. Raises `BadRequest` for an address that is none or not allowed, and what sending raises."""
        settings: MailSettings = call.spec.settings
        given = call.arguments
        to = [_address(call.spec.slug, each, settings) for each in given["to"]]
        identifier = f"<{call.idempotency_key}@{parseaddr(settings.sender)[1].rpartition('@')[2]}>"
        letter = EmailMessage(
            _line("subject", given["subject"]),
            given["text"],
            settings.sender,
            to,
            reply_to=[_line("reply_to", given["reply_to"])] if given.get("reply_to") else None,
            headers={"Message-ID": identifier},
        )
        connected = await connection_for(call.spec.slug, settings.connection, "smtp", context)
        await send(connected, letter, context.egress, call.timeout)
        return {"to": to, "message_id": identifier}


def _address(tool: str, written: str, settings: MailSettings) -> str:
    address = parseaddr(written)[1]
    if not address or "@" not in address or any(letter in written for letter in "\r\n"):
        raise BadRequest(f"{tool}: {written[:80]!r} is no address of mail.")
    if settings.to and not any(fnmatchcase(address.lower(), each.lower()) for each in settings.to):
        raise BadRequest(f"{tool}: it may not write to {address[:80]}, only to {', '.join(settings.to)}.")
    return address


def _line(name: str, text: str) -> str:
    if "\r" in text or "\n" in text:
        raise BadRequest(f"arguments.{name} must be one line.")
    return text
