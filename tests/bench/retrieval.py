"""How well passages are found: recall@5 over the documentation in Python's own standard library, by words, by meaning and by both.

A question counts as answered where one of the first five passages is of the module that answers it. The questions avoid the names of
the modules; who asks so does not know them yet.
"""

from __future__ import annotations

import importlib
import pydoc
import sys
import warnings
from collections.abc import Callable
from functools import cache, partial

from tests.bench import Row, measure
from tests.bench.stage import staged

LEFT_OUT = {"antigravity", "idlelib", "this", "turtledemo", "turtle", "tkinter", "lib2to3", "test", "pydoc_data"}
QUESTIONS: dict[str, str | set[str]] = {
    "How do I read and write rows of comma separated values?": "csv",
    "unpack a compressed archive with several files in it": {"zipfile", "tarfile", "shutil"},
    "parse the options that somebody typed on the command line": {"argparse", "optparse", "getopt"},
    "run another program and capture what it prints": "subprocess",
    "numbers with exact decimal digits for money": "decimal",
    "exact arithmetic with numerators and denominators": "fractions",
    "send an electronic mail through a server": "smtplib",
    "keep a list sorted while inserting": "bisect",
    "a priority queue on a plain list": {"heapq", "queue"},
    "choose a random element from a sequence": "random",
    "generate tokens that cannot be guessed, for passwords": "secrets",
    "message digest of a file with sha256": "hashlib",
    "authenticate a message with a shared key": "hmac",
    "universally unique identifiers": "uuid",
    "time zones of the IANA database": "zoneinfo",
    "mean, median and standard deviation": "statistics",
    "compare two texts and show the differences between lines": "difflib",
    "wrap a paragraph to a given width": "textwrap",
    "temporary files that disappear when closed": "tempfile",
    "match file names against shell style wildcards": {"fnmatch", "glob"},
    "cache the results of a function that was called before": "functools",
    "infinite iterators, combinations and permutations": "itertools",
    "schedule events at a later time in one thread": "sched",
    "serialize objects to a stream of bytes and back": {"pickle", "marshal"},
    "a small database in one file with SQL": "sqlite3",
    "read configuration files with sections": "configparser",
    "escape characters for web pages": "html",
    "split an address of the web into scheme, host and path": "urllib.parse",
    "find out how much memory each line allocated": "tracemalloc",
    "measure how long a small piece of code takes": "timeit",
    "record what a program does with levels such as warning and error": "logging",
    "coroutines, tasks and an event loop": "asyncio",
    "look up the country and language conventions for numbers": "locale",
    "translate messages of a program to other languages": "gettext",
    "breakpoints, stepping through a program": {"pdb", "bdb"},
    "convert between binary data and C structures": "struct",
    "encode bytes as printable text for mail": {"base64", "binascii", "quopri"},
    "turn source code into a syntax tree": "ast",
    "weak references that do not keep objects alive": "weakref",
    "classes that only hold data, with generated methods": "dataclasses",
}


def corpus() -> dict[str, str]:
    """The rendered documentation of each module of the standard library that can be imported here, by name."""
    found = {}
    names = sorted(name for name in sys.stdlib_module_names if not name.startswith("_") and name not in LEFT_OUT)
    for name in [*names, "urllib.parse", "urllib.request"]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                module = importlib.import_module(name)
                found[name] = pydoc.render_doc(module, renderer=pydoc.plaintext)[:60_000]
        except Exception:  # noqa: BLE001 (modules of other systems)
            continue
    return found


@cache
def figures() -> dict[str, float]:
    """recall@5 by the way of searching."""
    texts = corpus()
    with staged():
        from flows.access.actor import system
        from flows.retrieval.actions.create_base import create_base
        from flows.retrieval.actions.put_document import put_document
        from flows.retrieval.indexing import index_document
        from flows.retrieval.reads import search
        from flows.retrieval.searching import Search, Way

        base = create_base(system("bench"), "library")
        for name, text in texts.items():
            index_document(put_document(system("bench"), base, name, text.encode()).id)

        def sources(way: Way, question: str) -> set[str]:
            return {hit.source for hit in search(base, Search(question, 5), way)}

        ways: tuple[Way, ...] = ("words", "meaning", "both")
        return {way: _recall(partial(sources, way)) for way in ways}


def _recall(find: Callable[[str], set[str]]) -> float:
    """Of the questions the share whose module is among the sources that `find` gives."""
    wanted = ((question, {each} if isinstance(each, str) else each) for question, each in QUESTIONS.items())
    return sum(bool(find(question) & modules) for question, modules in wanted) / len(QUESTIONS)


@measure("recall_words")
def recall_words() -> Row:
    return Row(round(figures()["words"], 3), "of 40", "informs", ok=True)


@measure("recall_meaning")
def recall_meaning() -> Row:
    return Row(round(figures()["meaning"], 3), "of 40", "informs", ok=True)


@measure("recall_both")
def recall_both() -> Row:
    """Both together find at least as much as the better of the two."""
    found = figures()
    best = max(found["words"], found["meaning"])
    return Row(
        round(found["both"], 3), "of 40", ">= the better of the two", found["both"] >= best, round(best, 3), found["both"] / best
    )
