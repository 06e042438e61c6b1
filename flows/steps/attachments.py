"""Images and files beside what a model is asked: checked before anything is sent, and only for models that take them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from flows.engine.failures import BadRequest

IMAGES: Final = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})
FILES: Final = frozenset({"application/pdf", "text/plain", "text/csv", "text/markdown"})
NEEDS: Final[Mapping[str, str]] = {"image_url": "vision", "file": "files"}
"""The capability that a part of a message asks of a model, by the part's type."""

DATA: Final = re.compile(r"data:([a-z]+/[a-z0-9.+-]+);base64,([A-Za-z0-9+/=\s]+)")
MOST: Final = 20
LARGEST: Final = 20 * 1024 * 1024  # bytes of all together, as text


def parts_of(images: Any, files: Any) -> list[dict[str, Any]]:
    """The parts of a message that carry these: each a text or a list of texts, a ``data:…;base64,`` address or, of images, one that
    begins with https. Nulls are left out. Raises `BadRequest` naming which one cannot be used and why."""
    parts = [_image(each, f"images[{n}]") for n, each in enumerate(_listed(images, "images"))]
    parts += [_file(each, f"files[{n}]", n) for n, each in enumerate(_listed(files, "files"))]
    if len(parts) > MOST:
        raise BadRequest(f"{len(parts)} images and files are attached; at most {MOST} are sent.")
    if sum(len(str(part)) for part in parts) > LARGEST:
        raise BadRequest(f"The images and files have more than {LARGEST // 1024 // 1024} MiB together. Send smaller ones.")
    return parts


def attached(messages: Sequence[Mapping[str, Any]], parts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The messages with these parts in the last of the user's."""
    found = [dict(message) for message in messages]
    last = next((message for message in reversed(found) if message["role"] == "user"), None)
    if parts and last is None:
        raise BadRequest("Images and files go with what the user asks, and no message is the user's.")
    if parts and last is not None:
        last["content"] = [{"type": "text", "text": last["content"]}, *parts]
    return found


def needed_for(messages: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The capabilities that whoever answers these messages must have."""
    lists = (message["content"] for message in messages if isinstance(message.get("content"), list))
    return frozenset(NEEDS[part["type"]] for parts in lists for part in parts if part.get("type") in NEEDS)


def _listed(value: Any, name: str) -> list[str]:
    values = value if isinstance(value, list) else [value]
    for number, each in enumerate(values):
        if each is not None and not isinstance(each, str):
            raise BadRequest(f"{name}[{number}] is no text. Give an address such as data:image/png;base64,…")
    return [each for each in values if each]


def _image(address: str, place: str) -> dict[str, Any]:
    if not address.startswith("https://"):
        _checked(address, place, IMAGES, "image")
    return {"type": "image_url", "image_url": {"url": address}}


def _file(address: str, place: str, number: int) -> dict[str, Any]:
    kind = _checked(address, place, FILES, "file")
    return {"type": "file", "file": {"filename": f"file-{number + 1}.{kind.rpartition('/')[2]}", "file_data": address}}


def _checked(address: str, place: str, kinds: frozenset[str], what: str) -> str:
    match = DATA.fullmatch(address)
    if match is None:
        raise BadRequest(
            f"{place} is no {what}: give data:{min(kinds)};base64,… " + ("or an https address." if what == "image" else "")
        )
    kind, data = match.groups()
    if kind not in kinds:
        raise BadRequest(f"{place} is {kind}; of {what}s models take {', '.join(sorted(kinds))}.")
    try:
        base64.b64decode(data, validate=False)
    except (binascii.Error, ValueError):
        raise BadRequest(f"{place} is broken: what stands behind base64, is not base64.") from None
    return kind
