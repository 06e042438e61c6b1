"""What `docs/architecture.md` draws and names is what the code has."""

import re
from pathlib import Path

from flows.engine.states import MOVES, RUN_STATES, TERMINAL_STATES
from orchestrator.catalogue import step_kinds
from tests.docs.paths import ROOT, missing_paths

TEXT = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
ARROW = re.compile(r"^ *(\S+) --> (\S+)$", re.MULTILINE)


def drawn_moves() -> list[tuple[str, str]]:
    diagram = re.search(r"```mermaid\nstateDiagram-v2\n(.*?)```", TEXT, re.DOTALL)
    assert diagram is not None
    lines = [line for line in diagram[1].splitlines() if line.strip()]
    moves = ARROW.findall(diagram[1])
    assert len(moves) == len(lines), "a line of the diagram is no arrow"
    return moves


def test_the_diagram_has_every_legal_move_once_and_no_other() -> None:
    drawn = [move for move in drawn_moves() if "[*]" not in move]

    assert sorted(drawn) == sorted((state, to) for state, targets in MOVES.items() for to in targets)


def test_the_diagram_begins_with_queued_and_ends_in_every_terminal_state() -> None:
    moves = drawn_moves()

    assert [to for state, to in moves if state == "[*]"] == ["queued"]
    assert {state for state, to in moves if to == "[*]"} == TERMINAL_STATES
    assert {state for state, _ in moves} - {"[*]"} == RUN_STATES


def test_every_step_kind_stands_beside_its_role() -> None:
    rows = re.findall(r"^\| (pure|effect|wait|structure|note) \| ([^|]+) \|", TEXT, re.MULTILINE)

    written = {(slug, role) for role, slugs in rows for slug in re.findall(r"`(\w+)`", slugs)}

    assert written == {(slug, str(kind.role)) for slug, kind in step_kinds().items()}


def test_the_paths_that_it_names_exist() -> None:
    assert missing_paths(TEXT, ROOT / "docs") == []


def test_the_functions_of_the_protocol_exist() -> None:
    table = TEXT[TEXT.index("| T0 |") : TEXT.index("The statement locks the runs")]
    code = "\n".join(path.read_text(encoding="utf-8") for path in Path(ROOT, "flows").rglob("*.py"))

    names = [name.rpartition(".")[2] for name in re.findall(r"`(\w+\.\w+|[a-z]+_[a-z]+)`", table)]

    assert [name for name in names if f"def {name}(" not in code] == []
