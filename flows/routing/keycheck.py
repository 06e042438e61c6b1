"""Whether a provider takes a key, asked without a model call: the list of its models, which costs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from flows.access.egress import Answer, Egress, EgressRefused, HTTPError, TooLarge
from flows.routing.providers.cleaning import cleaned

PATIENCE: Final = 10.0  # seconds
LARGEST: Final = 4 * 1024 * 1024  # bytes
NO_KEY: Final = "none"  # what is sent where the catalogue names no key

Verdict = Literal["taken", "refused", "unknown"]


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """What the provider said. `unknown`: it did not say anything about the key."""

    verdict: Verdict
    said: str


@dataclass(frozen=True, slots=True)
class _Probe:
    """Where a provider lists its models, and in which headers it takes a key."""

    base: str
    path: str
    header: str
    before: str = ""
    more: Mapping[str, str] | None = None

    def headers(self, key: str) -> dict[str, str]:
        return {self.header: f"{self.before}{key}", **(self.more or {})}


PROBES: Final[Mapping[str, _Probe]] = {
    "openai": _Probe("https://api.openai.com/v1", "/models", "Authorization", "Bearer "),
    "mistral": _Probe("https://api.mistral.ai/v1", "/models", "Authorization", "Bearer "),
    "anthropic": _Probe("https://api.anthropic.com", "/v1/models", "x-api-key", more={"anthropic-version": "2023-06-01"}),
    "gemini": _Probe("https://generativelanguage.googleapis.com", "/v1beta/models", "x-goog-api-key"),
}


async def check_provider(model: str, api_base: str, key: str, egress: Egress) -> KeyCheck:
    """Asks the provider of `model` (``provider/name``) with this key, or with none where it is empty. Sends one request and ends within
    seconds; what it gives never has the key in it."""
    provider, _, name = model.partition("/")
    if provider == "sim":
        return KeyCheck("taken", "A simulated model needs no key.")
    probe = PROBES.get(provider)
    if probe is None:
        return KeyCheck("unknown", f"How {provider[:40]} takes a key is not known here. Try a prompt instead.")
    return await _asked(probe, api_base, key or NO_KEY, name, egress)


async def _asked(probe: _Probe, base: str, key: str, name: str, egress: Egress) -> KeyCheck:
    address = (base or probe.base).rstrip("/") + probe.path
    try:
        answer = await egress.request(
            "GET", address, headers=probe.headers(key), timeout=PATIENCE, max_bytes=LARGEST, follow_redirects=False
        )
    except EgressRefused as refused:
        return KeyCheck("unknown", refused.message)
    except TimeoutError:
        return KeyCheck("unknown", f"The provider did not answer within {PATIENCE:g} s.")
    except (HTTPError, TooLarge, OSError) as error:
        return KeyCheck("unknown", f"The provider cannot be reached: {cleaned(str(error), key) or type(error).__name__}.")
    said = cleaned(_reason(answer), key)
    if answer.status in (401, 403):
        return KeyCheck("refused", f"The provider answered {answer.status}: {said or 'the key is refused'}")
    if answer.status >= 300:
        return KeyCheck(
            "unknown", f"The provider answered {answer.status}{f': {said}' if said else ''}, which says nothing of the key."
        )
    return KeyCheck("taken", f"The provider took the key. {_about(name, _names(answer))}".strip())


def _body(answer: Answer) -> Any:
    try:
        return orjson.loads(answer.content)
    except ValueError:
        return None


def _reason(answer: Answer) -> str:
    """What the provider wrote of why."""
    body = _body(answer)
    inner = body.get("error", body) if isinstance(body, dict) else None
    for each in (inner, body):
        if isinstance(each, dict):
            told = each.get("message") or each.get("detail")
            if isinstance(told, str):
                return told
    return inner if isinstance(inner, str) else ""


def _names(answer: Answer) -> set[str]:
    body = _body(answer)
    listed = body.get("data", body.get("models")) if isinstance(body, dict) else None
    rows = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    return {str(each.get("id") or each.get("name", "")).removeprefix("models/") for each in rows}


def _about(name: str, names: set[str]) -> str:
    if not names:
        return ""
    if name in names:
        return f"It offers {name}."
    return f"Among the {len(names)} models that it lists {name} is not; check its name."
