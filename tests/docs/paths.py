"""The paths that a document names, held against the tree."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
QUOTED = re.compile(r"`([\w.-]+(?:/[\w.<>*-]*)+)`")
LINKED = re.compile(r"\]\((?!https?:|#)([^)#]+)[^)]*\)")
GENERATED = ("static/build/",)


def missing_paths(text: str, folder: Path = ROOT) -> list[str]:
    """The paths in backticks (from the root) and of links (from `folder`) that lead nowhere. A name in angle brackets is a place to
    fill in: what stands before it must exist."""
    quoted = [path for path in QUOTED.findall(text) if not path.startswith(GENERATED) and looks_like_a_path(path)]
    known = [(path, ROOT / path.partition("<")[0].rpartition("/")[0] if "<" in path else ROOT / path) for path in quoted]
    known += [(path, folder / path) for path in LINKED.findall(text)]
    return sorted({path for path, place in known if not place.exists()})


def looks_like_a_path(text: str) -> bool:
    """Whether it begins with a folder of this tree, or has a place to fill in there; `text/plain` does not."""
    first = text.partition("/")[0]
    return (ROOT / first).is_dir()
