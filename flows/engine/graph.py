"""A flow ready to run: what the planner and the doors import (`nodes.py` has the parts, `compiling.py` makes them)."""

from __future__ import annotations

from flows.engine.compiling import compile_flow
from flows.engine.nodes import Flow, Graph, Node

__all__ = ["Flow", "Graph", "Node", "compile_flow"]
