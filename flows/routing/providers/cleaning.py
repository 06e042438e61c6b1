"""Messages of providers, made fit to be stored and shown: one line, short, without keys."""

from __future__ import annotations

import re

LONGEST = 400
REMOVED = "[removed]"
_WRAPPING = re.compile(r"^(?:litellm\.)?[A-Za-z]*(?:Error|Exception|Timeout)\s*(?::|-)\s*")
_SECRETS = re.compile(
    r"""(?ix)
    \b(?:bearer|basic)\s+[a-z0-9._~+/=-]{6,}
    | \b(?:sk|pk|rk|key|xox[abp]|gh[opsu]|github_pat|hf|AIza|AKIA)[-_]?[a-z0-9_-]{12,}
    | \beyJ[a-z0-9_-]{8,}\.[a-z0-9_-]+\.[a-z0-9_-]*
    | (?<=://)[^/\s:@]+:[^/\s@]+(?=@)
    | (?:api[_-]?key|access[_-]?token|token|secret|password)["']?\s*[=:]\s*["']?[^\s"',;&]{4,}
    """
)


def cleaned(text: str, *secrets: str) -> str:
    """The message without the names of the libraries that it passed through and without anything that looks like a secret."""
    for secret in secrets:
        if len(secret) >= 4:
            text = text.replace(secret, REMOVED)
    text = _SECRETS.sub(REMOVED, text[: LONGEST * 20].replace("\x00", ""))
    text = " ".join(text.split())
    while (shorter := _WRAPPING.sub("", text, count=1)) != text:
        text = shorter
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
