"""Factories of what an engine writes about a run: attempts and calls."""

from __future__ import annotations

import json
import uuid
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils import timezone

from flows.models import Attempt, Call, ModelEntry, Price, Run

DOCUMENT = """\
orchestrator: 1
name: Review
input: {type: object, properties: {clauses: {type: array}}}
limits: {cost: 2.00}
steps:
  split: {kind: set, label: Split, with: {values: {a: 1}}}
  rate:
    kind: map
    label: Rate each
    with:
      over: input.clauses
      body:
        steps:
          assess: {kind: model, label: Assess one, with: {route: small, prompt: x}}
        edges: [start -> assess]
  judge: {kind: model, label: Judge, with: {route: small, prompt: x}}
  tell: {kind: set, label: Tell, with: {values: {a: 1}}}
edges: [start -> split, split -> rate, rate -> judge, judge -> tell, judge.error -> tell]
output: {}
"""


def make_attempt(run: Run, path: str, n: int = 1, *, status: str = "succeeded", **fields: Any) -> Attempt:
    """An attempt as the journal records it; `output` and `error` are JSON values."""
    for name in ("output", "error"):
        if name in fields:
            fields[name] = json.dumps(fields[name])
    if status not in ("open", "waiting"):
        fields.setdefault("ended_at", timezone.now())
    fields.setdefault("pass_number", run.pass_number)
    return Attempt.objects.create(run=run, path=path, n=n, status=status, seq=n, kind=fields.pop("kind", "model"), **fields)


def make_call(run: Run, path: str, attempt: int = 1, n: int = 1, *, cost: str | None = "0.1", **fields: Any) -> Call:
    """A call that has ended well, unless `fields` say otherwise; `request` and `response` are JSON values."""
    for name in ("request", "response"):
        if name in fields:
            fields[name] = json.dumps(fields[name])
    plain = {
        "status": "succeeded",
        "kind": "model",
        "target": "small-1",
        "repeat": "freely",
        "usage_source": "provider",
        "input_tokens": 1000,
        "cached_input_tokens": 0,
        "output_tokens": 100,
        "reasoning_tokens": 0,
        "idempotency_key": uuid.uuid4(),
        "epoch": 1,
        "seq": n,
        "pass_number": run.pass_number,
        "ended_at": timezone.now(),
    }
    settled = None if cost is None else Decimal(cost)
    return Call.objects.create(run=run, path=path, attempt=attempt, n=n, settled=settled, **(plain | fields))


def make_price(model: str = "small-1", at: datetime | None = None, above: int = 0, **figures: str | None) -> Price:
    """A price row in dollars per million tokens."""
    entry, _ = ModelEntry.objects.get_or_create(slug=model, defaults={"model": f"openai/{model}"})
    values = {name: None if value is None else Decimal(value) for name, value in figures.items()}
    moment = {"valid_from": at} if at is not None else {}
    return Price.objects.create(model=entry, above=above, **values, **moment)
