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
            total += tokens_of_text(value) if isinstance(value, str) else _tokens(orjson.dumps(value))
    if schema:
        total += _tokens(orjson.dumps(schema))
    for tool in tools:
        total += TOKENS_A_MESSAGE + _tokens(orjson.dumps(tool))
    return total
