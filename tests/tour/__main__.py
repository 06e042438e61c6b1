"""``python -m tests.tour minutes``: from a bare clone to a run that is finished, approved and explained, timed step by step.
``python -m tests.tour screenshots``: the pictures of the README, taken on the demonstration."""

from __future__ import annotations

import argparse

from tests.tour.minutes import first_minutes
from tests.tour.screenshots import take_screenshots


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.tour", description=__doc__)
    parser.add_argument("what", choices=("minutes", "screenshots"))
    return first_minutes() if parser.parse_args().what == "minutes" else take_screenshots()


if __name__ == "__main__":
    raise SystemExit(main())
