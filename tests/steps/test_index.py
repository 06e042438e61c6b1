"""The step kind `index`: its settings, and what is known of what it gives."""

from __future__ import annotations

from flows.engine.kinds import Catalogue
from tests.engine.flows import problems_of

CATALOGUE = Catalogue(bases=frozenset({"handbook"}))


def problems(base: str, read: str = "passages") -> list[str]:
    steps = {
        "embed": {"kind": "index", "with": {"base": base}},
        "after": {"kind": "set", "with": {"values": {"x": f"{{{{ steps.embed.output.{read} }}}}"}}},
    }
    return problems_of(steps, ["start -> embed", "embed -> after"], CATALOGUE)


def test_it_needs_a_base_that_there_is_and_gives_the_number_of_passages() -> None:
    assert problems("handbook") == []
    assert problems("handbok")[0].startswith("steps.embed.with.base: the knowledge base `handbok` is not in the catalogue")
    assert "does not exist" in problems("handbook", "documents")[0]
