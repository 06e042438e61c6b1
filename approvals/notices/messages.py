"""What messages look like: plain text, the facts, and one link to a page on which only a signed-in person can decide."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from approvals.models import Notice
from flows.access.installation import the_installation
from flows.access.keys import KEY_PATTERN


def link(notice: Notice) -> str:
    return f"{settings.SITE_URL.rstrip('/')}{notice.path}"


def mail_of(notice: Notice) -> tuple[str, str]:
    """Subject and text of an e-mail."""
    lines = [notice.subject, "", *facts_lines(notice), "", link(notice), "", FOOT]
    return notice.subject, clean("\n".join(lines))


def digest_of(notices: list[Notice]) -> tuple[str, str]:
    """One e-mail in place of many."""
    lines = [f"{len(notices)} things are new.", ""]
    for notice in notices[:50]:
        lines += [f"- {notice.subject}", f"  {link(notice)}"]
    if len(notices) > 50:
        lines.append(f"- and {len(notices) - 50} more")
    lines += ["", f"{settings.SITE_URL.rstrip('/')}/approvals", "", FOOT]
    return f"{len(notices)} notices from {the_installation().name}", clean("\n".join(lines))


FOOT = "Opening the link decides nothing. How you hear of things: your approval settings."


def chat_body(notice: Notice) -> dict[str, Any]:
    """What a chat's incoming webhook takes: one text. Its control characters are written so that no name becomes a link or a call."""
    lines = [notice.subject, *facts_lines(notice), link(notice)]
    return {"text": clean("\n".join(_quiet(line) for line in lines[:-1]) + f"\n{lines[-1]}")}


def webhook_body(notice: Notice) -> dict[str, Any]:
    """``{type, timestamp, data}`` as Standard Webhooks proposes."""
    request = notice.request
    data = {
        "subject": clean(notice.subject),
        "facts": {name: clean(text) for name, text in notice.facts},
        "url": link(notice),
        "request": request.public_id if request is not None else None,
    }
    return {
        "type": f"orchestrator.{notice.event}",
        "timestamp": notice.created_at.isoformat().replace("+00:00", "Z"),
        "data": data,
    }


def facts_lines(notice: Notice) -> list[str]:
    return [f"{name}: {text}" for name, text in notice.facts]


def clean(text: str) -> str:
    """The text without our own keys, should one have got into it."""
    return KEY_PATTERN.sub("[removed]", text)


def _quiet(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "@\u200b")
