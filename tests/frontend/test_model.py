"""The canvas's model, run by Node, which builds the browser's files, too; the one on PATH, else the one from its wheel (see the Makefile)."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings

from flows.engine.document import parse_document
from tests.simulation.flows import documents

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
DEMO = sorted((ROOT / "orchestrator" / "demo_flows").glob("*.yaml"))
PATH = {**os.environ, "PATH": f"{os.environ['PATH']}{os.pathsep}{ROOT / '.venv' / 'bin'}"}


@pytest.fixture(scope="module")
def canvas() -> Iterator[subprocess.Popen[str]]:
    """A process that draws, edits and undoes the document of each line."""
    with subprocess.Popen(
        ["node", str(HERE / "roundtrip.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=PATH
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def through(canvas: subprocess.Popen[str], document: Any) -> dict[str, Any]:
    assert canvas.stdin is not None
    assert canvas.stdout is not None
    canvas.stdin.write(json.dumps(document) + "\n")
    canvas.stdin.flush()
    answer: dict[str, Any] = json.loads(canvas.stdout.readline())
    return answer


def test_the_parts_without_a_screen_keep_their_promises() -> None:
    files = [str(path) for path in sorted(HERE.glob("*.test.mjs"))]
    answer = subprocess.run(["node", "--test", *files], capture_output=True, text=True, env=PATH, check=False)

    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("path", DEMO, ids=lambda path: path.stem)
def test_a_flow_of_the_demo_comes_back_as_it_was(canvas: subprocess.Popen[str], path: Path) -> None:
    document = parse_document(path.read_bytes())

    answer = through(canvas, document.as_json())

    assert parse_document(json.dumps(answer["doc"])) == document
    assert answer["drawn"] >= len(document.edges)


@given(document=documents())
@hypothesis_settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_document_comes_back_as_it_was(canvas: subprocess.Popen[str], document: dict[str, Any]) -> None:
    answer = through(canvas, document)

    assert answer["doc"] == document
    assert list(answer["doc"]) == list(document)
