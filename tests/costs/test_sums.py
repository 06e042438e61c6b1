"""The sums by day: with them and without, every report says the same to the last decimal, whatever happens while they are made."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from flows.costs.folding import differing_sums, fold_everything, fold_zone, forget_sums, wish_for_sums
from flows.costs.reports import PURPOSES, Scope
from flows.costs.sums import SUMMED, Cells, sources_of, standing
from flows.models import Call, DaySum, SummedZone, UnsummedCall
from tests.makers import make_actor, make_flow, make_person, make_run, make_team
from tests.runs.journals import make_call, make_price

pytestmark = pytest.mark.django_db

ZONES = ("UTC", "America/St_Johns", "Asia/Kathmandu")
STATES = ("succeeded", "succeeded", "failed_final", "unknown", "started")


@pytest.fixture
def ledger() -> list[Call]:
    """Calls of every kind over forty days, of two flows and two people, some in flight, unpriced, estimated, cached, simulated."""
    lots = random.Random(4)
    price = make_price(input="3.3333", cached_input="0.7", output="1")
    runs = [
        make_run(make_flow(team=team), status="succeeded", purpose=purpose, started_by=make_person("operator"))
        for team in (None, make_team("ops"))
        for purpose in ("live", "test", "drill")
    ]
    calls = []
    for n in range(150):
        state = lots.choice(STATES)
        cost = None if state == "started" or lots.random() < 0.1 else f"{lots.random():.12f}"
        fields: dict[str, Any] = {"status": state, "simulated": lots.random() < 0.3, "kind": lots.choice(["model", "tool"])}
        fields |= {"target": lots.choice(["a", "b"]), "cached_input_tokens": lots.randint(0, 900), "price_id": price.id}
        fields |= {"usage_source": lots.choice(["provider", "estimated"]), "output_tokens": lots.randint(0, 99)}
        call = make_call(lots.choice(runs), f"s{n}", cost=cost, **fields)
        Call.objects.filter(id=call.id).update(started_at=timezone.now() - timedelta(hours=lots.randint(0, 40 * 24)))
        calls.append(call)
    return calls


def report(*names: str, scope: Scope = Scope()) -> Cells:  # noqa: B008
    return sources_of(make_actor("owner"), scope, *names, at=standing()).by(*names)


@pytest.mark.parametrize("zone", ZONES)
def test_sums_and_ledger_say_the_same_to_the_last_decimal(ledger: list[Call], zone: str) -> None:
    with timezone.override(zone):
        start = (timezone.localtime() - timedelta(days=20)).replace(hour=0, minute=0, second=0, microsecond=0)
        scopes = [Scope(), Scope(start, start + timedelta(days=9)), *(Scope(purpose=each) for each in PURPOSES)]
        scopes += [Scope(models=["a"]), Scope(people=[ledger[0].run.started_by.username])]  # type: ignore[union-attr]
        forget_sums()
        without = [report("day", by, scope=scope) for scope in scopes for by in SUMMED]
        assert SummedZone.objects.filter(zone=zone).exists(), "who reads days of a zone has them summed from then on"
        fold_everything()

        assert sources_of(make_actor("owner"), Scope(), "day", at=standing()).sums is not None
        assert [report("day", by, scope=scope) for scope in scopes for by in SUMMED] == without


def test_a_call_in_flight_is_summed_once_it_has_ended(ledger: list[Call]) -> None:
    fold_everything()
    late = UnsummedCall.objects.filter(zone="UTC").first()
    assert late is not None
    Call.objects.filter(id=late.call_id).update(status="succeeded", settled=Decimal(123))
    before = report("flow")

    fold_zone("UTC")

    assert not UnsummedCall.objects.filter(call_id=late.call_id, zone="UTC").exists()
    assert report("flow") == before
    fold_zone("UTC")
    assert report("flow") == before


def test_what_is_summed_while_a_page_reads_is_not_counted_twice(ledger: list[Call]) -> None:
    expected = report("flow")
    wish_for_sums("UTC")
    fold_everything()
    SummedZone.objects.filter(zone="UTC").update(until=timezone.localdate() - timedelta(days=10))
    DaySum.objects.filter(day__gte=timezone.localdate() - timedelta(days=10)).delete()
    reading = sources_of(make_actor("owner"), Scope(), "flow", at=standing())

    fold_everything()

    assert reading.by("flow") == expected == report("flow")


def test_who_sees_no_other_teams_costs_sees_none_in_the_sums(ledger: list[Call]) -> None:
    narrow = make_actor("operator", team=make_team("other"))
    without = sources_of(narrow, Scope(), "flow", at=standing()).by("flow")
    fold_everything()

    assert sources_of(narrow, Scope(), "flow", at=standing()).by("flow") == without
    assert len(without) < len(report("flow"))


def test_verify_sees_sums_that_are_not_the_ledgers_and_has_them_made_anew(ledger: list[Call]) -> None:
    expected = report("flow")
    fold_everything()
    assert differing_sums() == []
    DaySum.objects.filter(fine=False, calls__gt=0).order_by("id").first().delete()  # type: ignore[union-attr]

    assert differing_sums() == ["UTC"]
    with pytest.raises(CommandError):
        call_command("costs", "verify")

    fold_everything()
    assert differing_sums() == []
    assert report("flow") == expected
