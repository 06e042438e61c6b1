"""``python -m tests.bench [--only NAME]``: one table, and ``bench.json``; exit 1 if a target was missed."""

import argparse
import json
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from tests.bench import MODULES, ROWS, Row
from tests.bench.stage import prepare

RESULT = Path("bench.json")
LINE = "{:<24} {:>12} {:<8} {:>10} {:>7}  {:<14} {}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", metavar="NAME", help="only the rows whose name begins like this")
    only = parser.parse_args().only or ""
    prepare()
    for module in MODULES:
        import_module(f"tests.bench.{module}")
    chosen = [name for name in ROWS if name.startswith(only)]
    if not chosen:
        sys.exit(f"No row is called {only!r}; there are: {', '.join(ROWS)}.")
    print(LINE.format("name", "figure", "unit", "limit", "ratio", "target", ""), flush=True)
    results = []
    for name in chosen:
        row = ROWS[name]()
        results.append({"name": name, **asdict(row)})
        print(line(name, row), flush=True)
    RESULT.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0 if all(result["ok"] for result in results) else 1


def line(name: str, row: Row) -> str:
    limit = "" if row.limit is None else f"{row.limit:,.4g}"
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    return LINE.format(name, f"{row.figure:,.4g}", row.unit, limit, ratio, row.target, "ok" if row.ok else "MISSED")


if __name__ == "__main__":
    sys.exit(main())
