"""The command that asks the API for the same thing as a button or a page."""

from __future__ import annotations

import json
import shlex
from typing import Any

KEY = "$ORCHESTRATOR_KEY"
"""Stands for the API key: a variable of the shell, so that no key gets into a history."""


def curl(method: str, address: str, body: Any = None) -> str:
    """A command of curl; with a `body` it sends JSON."""
    lines = ["curl" if method == "GET" else f"curl -X {method}", f'-H "Authorization: Bearer {KEY}"']
    if body is not None:
        text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, default=str)
        lines += ["-H 'Content-Type: application/json'", f"--data-binary {shlex.quote(text)}"]
    return " \\\n  ".join([f"{lines[0]} {shlex.quote(address)}", *lines[1:]])
