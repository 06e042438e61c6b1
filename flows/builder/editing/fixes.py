"""Problems as the builder shows them, with a fix where there is only one thing that can be meant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from flows.builder.drafts import Checked, Draft
from flows.engine.problems import Place, Problem

MEANT = re.compile(r"^Did you mean `([^`]+)`\?")
WRONG = re.compile(r"`([^`]+)`")
EDGE = re.compile(r"which is no step|begins at the note|leads to the note|stands here twice|leads to `start`|has no port")


def problems_shown(draft: Draft, checked: Checked) -> list[dict[str, Any]]:
    """Errors first, then warnings: `path`, `place`, `severity`, `message`, `mend`, and `fix` where one is certain."""
    return [*_shown(draft, checked.problems, "error"), *_shown(draft, checked.warnings, "warning")]


def _shown(draft: Draft, problems: Iterable[Problem], severity: str) -> Iterable[dict[str, Any]]:
    for problem in problems:
        yield {
            "path": problem.path,
            "place": list(problem.place),
            "severity": severity,
            "message": problem.message,
            "mend": problem.mend,
            "line": problem.line,
            "fix": fix_of(draft.value, problem),
        }


def fix_of(value: Any, problem: Problem) -> dict[str, Any] | None:
    """One edit of the document: `{"label", "act": "set" | "remove", "place", "value"}`."""
    place = problem.place
    found = _at(value, place)
    if "edges" in place[-2:] and isinstance(found, str) and EDGE.search(problem.message):
        return {"label": "Remove the edge", "act": "remove", "place": list(place), "value": None}
    meant = MEANT.match(problem.mend)
    if meant is None:
        return None
    if problem.message.startswith("unknown key"):
        return _renamed(value, place, meant[1])
    wrong = [word for word in WRONG.findall(problem.message) if isinstance(found, str) and word in found]
    if not wrong or not isinstance(found, str):
        return None
    new = found.replace(wrong[0], meant[1]) if found == wrong[0] else _in_expression(found, problem, meant[1])
    return (
        {"label": f"Change to `{meant[1]}`", "act": "set", "place": list(place), "value": new} if new and new != found else None
    )


def _renamed(value: Any, place: Place, name: str) -> dict[str, Any] | None:
    holder = _at(value, place[:-1])
    if not isinstance(holder, dict) or name in holder or place[-1] not in holder:
        return None
    changed = {name if key == place[-1] else key: each for key, each in holder.items()}
    return {"label": f"Rename to `{name}`", "act": "set", "place": list(place[:-1]), "value": changed}


def _in_expression(text: str, problem: Problem, meant: str) -> str | None:
    """The text with the last name of the wrong path replaced: `steps.clasify.output` with `classify` → `steps.classify.output`."""
    path = WRONG.findall(problem.message)[0]
    if "." in meant and path in text:
        return re.sub(rf"(?<![\w.]){re.escape(path)}(?!\w)", lambda _: meant, text)
    head, dot, last = path.rpartition(".")
    pattern = rf"(?<![\w.]){re.escape(head + dot)}{re.escape(last)}(?!\w)"
    return re.sub(pattern, lambda _: f"{head}{dot}{meant}", text)


def _at(value: Any, place: Place) -> Any:
    for part in place:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value
