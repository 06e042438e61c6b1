"""Cutting a text into passages: at headings and paragraphs where it can, within sentences where it must."""

from __future__ import annotations

from dataclasses import dataclass

from semantic_text_splitter import MarkdownSplitter, TextSplitter

SHORTEST, LONGEST = 500, 1_000  # characters that a passage aims at
OVERLAP = 100  # characters that it may repeat of the one before, so that what stands at a boundary is found too


@dataclass(frozen=True, slots=True)
class Cut:
    """Characters `begins` to `ends` of the text."""

    begins: int
    ends: int
    text: str


def cut(text: str, media_type: str) -> list[Cut]:
    """The passages of a text in their order. Every word of it stands in one of them."""
    splitter = (MarkdownSplitter if media_type == "text/markdown" else TextSplitter)((SHORTEST, LONGEST), overlap=OVERLAP)
    return [Cut(begins, begins + len(part), part) for begins, part in splitter.chunk_indices(text)]
