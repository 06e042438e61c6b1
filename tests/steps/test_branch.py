"""The step kind `branch`."""

from __future__ import annotations

from typing import Any

import pytest

from flows.engine.failures import ExpressionFailed
from flows.engine.kinds import Done, PureKind
from tests.engine.flows import make_flow

CASES = [{"port": "large", "when": "input.n > 100"}, {"port": "small", "when": "input.n > 10"}]


def leave(n: Any, **more: str) -> Done:
    node = make_flow({"a": {"kind": "branch", "with": {"cases": CASES, **more}}}, ["start -> a"]).graph.nodes["a"]
    names = {"input": {"n": n}}
    assert isinstance(node.kind, PureKind)
    return node.kind.evaluate(node.settings, node.render(names), names)


@pytest.mark.parametrize(("n", "port"), [(200, "large"), (50, "small"), (1, "else")])
def test_it_leaves_by_the_first_case_that_is_true(n, port):
    assert leave(n) == Done(port, port)


def test_it_leaves_by_the_port_of_else():
    assert leave(1, **{"else": "other"}) == Done("other", "other")


def test_it_fails_when_a_case_cannot_be_evaluated():
    with pytest.raises(ExpressionFailed, match=r"cases\[0\]\.when: `>` cannot compare null with a number"):
        leave(None)
