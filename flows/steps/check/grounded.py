"""Whether a text says only what stands in its sources, by the words that they share."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from flows.engine.markers import TemplateValue
from flows.steps.check.rules import Rule, text_of

SENTENCE = re.compile(r"[^.!?\n]+(?:[.!?](?=\S)[^.!?\n]+)*[.!?]*\s*")
WORD = re.compile(r"\w+")
SHORTEST = 4  # letters of a word that counts; figures always do
SHOWN = 120  # characters


class GroundedRule(Rule):
    """Of each sentence's longer words at least the share `min` stands in the `sources`, and so do all its figures. This compares
    words, not meaning: a judge does that. Fixed by taking out the sentences that do not."""

    type: Literal["grounded"]
    sources: TemplateValue
    min: float = Field(default=0.6, ge=0, le=1)
    fixes_itself = True

    def findings(self, value: Any, rendered: Mapping[str, Any], names: Mapping[str, Any]) -> Iterator[str]:
        known = _words(text_of(rendered["sources"]))
        for sentence in SENTENCE.findall(text_of(value)):
            if not self._stands_in(sentence, known):
                yield f"not in the sources: {sentence.strip()[:SHOWN]}"

    def fixed(self, value: Any, rendered: Mapping[str, Any]) -> Any:
        if not isinstance(value, str):
            return value
        known = _words(text_of(rendered["sources"]))
        return "".join(sentence for sentence in SENTENCE.findall(value) if self._stands_in(sentence, known)).strip()

    def _stands_in(self, sentence: str, known: set[str]) -> bool:
        words = _words(sentence)
        if any(word not in known for word in words if word[0].isdigit()):
            return False
        return not words or sum(word in known for word in words) / len(words) >= self.min


def _words(text: str) -> set[str]:
    return {word for word in WORD.findall(text.lower()) if len(word) >= SHORTEST or word[0].isdigit()}
