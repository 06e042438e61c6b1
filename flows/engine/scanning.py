"""Reads the source of an expression before Python's parser sees it.

Python's parser then gets one short ASCII line whose brackets are not nested deeply, with every text literal blanked out: no
string prefixes, comments, line ends or escapes reach it, and a key may be a word of Python's (`error.class`).
"""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass, field

MAX_SOURCE = 4_000
MAX_BRACKETS = 30
MAX_TOKENS = 1_500

_TOKEN = re.compile(
    r"""
      (?P<space>[ \t\r\n]+)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<number>(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)?)
    | (?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    | (?P<sign>\*\*|//|==|!=|<=|>=|:=|[-+*/%<>=()\[\]{},:.&|^~@])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"', "\n": ""}


class ScanError(Exception):
    """The source holds what no expression can."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


@dataclass(slots=True)
class Scanned:
    """`line` for Python's parser; the texts by the offset of their begin, keys that are Python's words by that of their end."""

    line: str = ""
    end: int = 0
    texts: dict[int, str] = field(default_factory=dict)
    words: dict[int, str] = field(default_factory=dict)


def scan(source: str, start: int = 0, *, in_braces: bool = False) -> Scanned:  # noqa: PLR0915  (one loop over the tokens)
    """Scans an expression; with `in_braces` up to the `}}` that ends it (`end` is its offset). Offsets count from `start`."""
    result = Scanned()
    pieces: list[str] = []
    depth = tokens = 0
    position = start
    before = ""  # kind of the last token that is not space
    touching = False  # whether it ends right here
    dotted = False
    while position < len(source):
        if in_braces and depth == 0 and source.startswith("}}", position):
            result.line, result.end = "".join(pieces), position
            return result
        if position - start > MAX_SOURCE:
            raise ScanError(f"an expression has at most {MAX_SOURCE:,} characters", 0)
        found = _TOKEN.match(source, position)
        if found is None:
            raise ScanError(_refusal(source[position]), position - start)
        kind, token = str(found.lastgroup), found.group()
        tokens += 1
        if tokens > MAX_TOKENS:
            raise ScanError(f"an expression has at most {MAX_TOKENS:,} parts", position - start)
        if kind == "space":
            pieces.append(" " * len(token))
            touching = False
            position = found.end()
            continue
        if kind == "text":
            if before == "text":
                raise ScanError("two texts stand side by side; join them with +", position - start)
            if before == "name" and touching and not keyword.iskeyword(pieces[-1]):
                raise ScanError("texts have no prefix such as f or r; write only the quotes", position - start)
            result.texts[position - start] = _whole(_ESCAPE.sub(_unescape, token[1:-1]))
            token = "'" + "x" * (len(token) - 2) + "'"
        elif kind == "name" and before == "number" and touching:
            raise ScanError("a number and a name run together", position - start)
        elif kind == "name" and dotted and keyword.iskeyword(token):
            result.words[found.end() - start] = token
            token = "x" * len(token)
        elif token in ("(", "[", "{"):
            depth += 1
            if depth > MAX_BRACKETS:
                raise ScanError(f"brackets are nested more than {MAX_BRACKETS} deep", position - start)
        elif token in (")", "]", "}"):
            depth = max(0, depth - 1)
        pieces.append(token)
        before, touching, dotted = kind, True, token == "."  # noqa: S105  (no password)
        position = found.end()
    if in_braces:
        raise ScanError("`{{` is not closed by `}}`; a literal brace pair is written {{ '{{' }}", 0)
    if position - start > MAX_SOURCE:
        raise ScanError(f"an expression has at most {MAX_SOURCE:,} characters", 0)
    result.line, result.end = "".join(pieces), position
    return result


def _refusal(character: str) -> str:
    if character in "'\"":
        return "a text is not closed; its quote is missing"
    if character.isalpha():
        return f"the name has the letter `{character}`; write such keys in brackets: input['größe']"
    return f"`{character}` is not part of an expression"


def _whole(text: str) -> str:
    """The text with pairs of surrogate escapes joined, and lone ones replaced: they are no text that can be kept."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _unescape(found: re.Match[str]) -> str:
    code = found[1]
    if len(code) > 1:
        return chr(int(code[1:], 16))
    return _ESCAPES.get(code, found[0])  # any other backslash stays, so that patterns need no doubling
