"""The step kind `recall`: its settings, and what is known of what it gives."""

from __future__ import annotations

from typing import Any

from tests.engine.flows import problems_of


def problems(read: str, **settings: Any) -> list[str]:
    steps = {
        "find": {"kind": "recall", "with": settings},
        "after": {"kind": "set", "with": {"values": {"x": f"{{{{ steps.find.output.{read} }}}}"}}},
    }
    return problems_of(steps, ["start -> find", "find -> after"])


def test_the_names_that_it_recalls_are_known_and_without_names_any_may_be_there() -> None:
    assert problems("seen", names=["seen"]) == []
    assert problems("sene", names=["seen"])[0].startswith("steps.after.with.values.x: `steps.find.output.sene` does not exist")
    assert problems("anything") == []
    assert problems("seen", names=["Seen!"])[0].startswith("steps.find.with.names")
    assert problems("seen", scope="key", names=["seen"])[0].startswith("steps.find.with: give `key`")
