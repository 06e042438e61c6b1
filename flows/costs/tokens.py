"""How many tokens a request holds at most, without the model's tokenizer.

The exact count needs each vendor's tokenizer: a download, tens of megabytes and milliseconds a call, and for most vendors there
is none. What a reservation needs is a bound that is rarely exceeded. Byte-pair tokenizers average four bytes of English a token
and three of other alphabets (a CJK character is three bytes and about one token), but only about two of JSON, code, figures and
encoded data (measured with OpenAI's o200k on each). So: a byte counts for a third of a token, and a digit, punctuation mark or
capital for a whole one. Long hexadecimal text can still exceed this by a twentieth. `upper_bound` adds a tenth, and the bill is
settled by what the provider counted.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

BYTES_A_TOKEN = 3
DENSE = (string.digits + string.punctuation + string.ascii_uppercase).encode()
TOKENS_A_MESSAGE = 8
TOKENS_AN_IMAGE = 2000  # vendors scale images down; the dearest count about 1,600 for one
BYTES_A_FILE_TOKEN = 8  # of a file's text in base64: pages are sent as text and as pictures
TOKENS_A_REQUEST = 16


def _tokens(data: bytes) -> int:
    dense = len(data) - len(data.translate(None, DENSE))
    return -(-(len(data) + 2 * dense) // BYTES_A_TOKEN)


def tokens_of_text(text: str) -> int:
    """An upper estimate for one text."""
    return _tokens(text.encode("utf-8", "replace"))


def tokens_of_request(
    messages: Iterable[Mapping[str, Any]],
    schema: Mapping[str, Any] | None = None,
    tools: Iterable[Mapping[str, Any]] = (),
) -> int:
    """An upper estimate for chat messages with the schema and tools that are sent beside them."""
    total = TOKENS_A_REQUEST
    for message in messages:
        total += TOKENS_A_MESSAGE
        for key, value in message.items():
            if value is None or key == "role":
                continue
            total += tokens_of_text(value) if isinstance(value, str) else _tokens_of_parts(value)
    if schema:
        total += _tokens(orjson.dumps(schema))
    for tool in tools:
        total += TOKENS_A_MESSAGE + _tokens(orjson.dumps(tool))
    return total


def _tokens_of_parts(value: Any) -> int:
    """Of a message's content in parts, or of another of its members."""
    if not (isinstance(value, list) and all(isinstance(part, Mapping) and "type" in part for part in value)):
        return _tokens(orjson.dumps(value))
    total = 0
    for part in value:
        if part["type"] == "image_url":
            total += TOKENS_AN_IMAGE
        elif part["type"] == "file":
            total += TOKENS_AN_IMAGE + len(str((part.get("file") or {}).get("file_data", ""))) // BYTES_A_FILE_TOKEN
        else:
            total += _tokens(orjson.dumps(part))
    return total
