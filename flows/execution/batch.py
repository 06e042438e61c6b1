"""The records of many runs as the journal's statement takes them: one list of JSON for each thing that it does.

A list names only the columns of its own table, so PostgreSQL reads and carries no empty ones, and what can be counted here (how
many events stand before a line, what the calls of a record reserve together) is not counted there.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import orjson

from flows.access.redaction import redacted
from flows.execution.journal import Op, Record

PROGRESS = frozenset({"settle", "result"})


def parameters_of(records: Iterable[Record]) -> tuple[str, ...]:
    """Heads, settlements, begins, events and results of these records, as JSON texts in the order of the statement's parameters.

    Raises `TypeError` or `ValueError` where something of it cannot be written as JSON.
    """
    heads: list[Op] = []
    rows: dict[str, list[Op]] = {"settle": [], "begin": [], "event": [], "result": []}
    for r, record in enumerate(records):
        heads.append(_head(r, record, rows))
    return tuple(redacted(orjson.dumps(each).decode()) for each in (heads, *rows.values()))


def _head(r: int, record: Record, rows: dict[str, list[Op]]) -> Op:
    """What is true of the record as a whole; its lines go into `rows`, each with the place of the record in the batch (`r`), its own
    place in the record (`i`) and the number of events up to it (`k`)."""
    events, begins, progress = 0, 0, False
    reserve, reserve_tokens = "0", 0
    fate: Op = {}
    for i, op in enumerate(record.ops):
        row = {"r": r, "i": i, **op}
        verb, event, data = row.pop("op"), row.pop("event", None), row.pop("data", None)
        if event is not None:
            events += 1
            rows["event"].append({"r": r, "i": i, "k": events, "event": event, "path": op.get("path"), "data": data})
        row["k"] = events
        if verb == "begin":
            begins += 1
            reserve = op["reserve"] if begins == 1 else str(Decimal(reserve) + Decimal(op["reserve"]))
            reserve_tokens += op["reserve_tokens"]
            row["upto"], row["tokens_upto"] = reserve, reserve_tokens
        elif verb == "fate":
            fate = {**row, "fate": i, "k": events if event is not None else None}
        progress = progress or verb in PROGRESS
        if verb in rows:
            rows[verb].append(row)
    return {
        **fate,
        "r": r,
        "run": record.run,
        "epoch": record.epoch,
        "record": record.number,
        "signals": record.signals,
        "steps": record.steps,
        "events": events,
        "progress": progress,
        "begins": begins,
        "reserve": reserve,
        "reserve_tokens": reserve_tokens,
    }
