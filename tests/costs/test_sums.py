"""The sums by day: with them and without, every report says the same to the last decimal, whatever happens while they are made."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from flows.costs.folding import differing_sums, fold_everything, fold_zone, forget_sums, wish_for_sums
from flows.costs.grains import SUMMED
from flows.costs.ranking import RANKED, ranked
from flows.costs.reports import GROUPS, OVERLAPPING, PURPOSES, ZERO, Scope, Spend, calls_within, grouped, summed
from flows.costs.sums import Cells, figures_of, sources_of, standing
from flows.costs.tables import table_of
from flows.models import Call, DaySum, RunSum, StepSum, SummedZone, TagSum, UnsummedCall
from flows.runs.actions.tag_run import tag_run
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
        make_run(make_flow(team=team), status="succeeded", purpose=purpose, started_by=make_person("operator"), tags=tags)
        for team, tags in ((None, ["eu", "new"]), (make_team("ops"), []))
        for purpose in ("live", "test", "drill")
    ]
    calls = []
    for n in range(150):
        state = lots.choice(STATES)
        cost = None if state == "started" or lots.random() < 0.1 else f"{lots.random():.12f}"
        fields: dict[str, Any] = {"status": state, "simulated": lots.random() < 0.3, "kind": lots.choice(["model", "tool"])}
        fields |= {"target": lots.choice(["a", "b"]), "cached_input_tokens": lots.randint(0, 900), "price_id": price.id}
        fields |= {"usage_source": lots.choice(["provider", "estimated"]), "output_tokens": lots.randint(0, 99)}
        call = make_call(lots.choice(runs), f"t{n}" if state == "started" else f"s{n % 40}", attempt=n, cost=cost, **fields)
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
        scopes += [Scope(tags=["eu"], models=["b"])]
        wanted = [("day", by, scope) for scope in scopes for by in SUMMED]
        wanted += [("month", by, scope) for scope in scopes[:2] for by in sorted(RANKED)]
        without = [report(*names, scope=scope) for *names, scope in wanted]
        assert SummedZone.objects.filter(zone=zone).exists(), "who reads days of a zone has them summed from then on"
        fold_everything()

        assert all(sources_of(make_actor("owner"), Scope(), by, at=standing()).sums is not None for by in ("day", *RANKED))
        assert [report(*names, scope=scope) for *names, scope in wanted] == without


def test_the_table_by_each_group_is_that_of_the_ledger_by_sums_and_without(ledger: list[Call]) -> None:
    """What `GET /costs` tells, with the calls of today that no sums have."""
    today = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    scopes = [Scope(), Scope(today - timedelta(days=40), timezone.now(), purpose="real"), Scope(steps=["s1", "s2"], models=["a"])]

    def tables() -> list[Any]:
        return [table_of(make_actor("owner"), scope, by) for scope in scopes for by in (*GROUPS, *OVERLAPPING)]

    without = tables()
    calls = [calls_within(make_actor("owner"), scope) for scope in scopes]
    expected = [(summed(each), grouped(each, by)) for each in calls for by in (*GROUPS, *OVERLAPPING)]
    fold_everything()

    assert tables() == without
    for (total, rows), (of_ledger, of_ledgers_rows) in zip(without, expected, strict=True):
        assert replace(total, saved=ZERO) == of_ledger
        assert [figures_of(replace(row, saved=ZERO)) for row in rows] == [figures_of(row) for row in of_ledgers_rows]


@pytest.mark.parametrize("by", sorted(RANKED))
def test_the_dearest_are_the_same_in_the_same_order_by_sums_and_by_ledger(ledger: list[Call], by: str) -> None:
    today = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    for n in range(36):  # most runs have one row of sums, some another day, some calls of today, simulated ones beside others
        run = make_run(ledger[0].run.flow, status="succeeded")
        for hours in (0, 30) if n % 6 == 0 else (-20, 30) if n % 6 == 1 else (30,):
            call = make_call(
                run, f"m{n}", attempt=hours + 99, cost=f"0.{n % 9}1", simulated=n % 4 == 0 or (n % 5 == 0 and hours == 0)
            )
            Call.objects.filter(id=call.id).update(started_at=today + timedelta(hours=1) - timedelta(hours=24 * (n % 9) + hours))
    scopes = [
        Scope(),
        Scope(today - timedelta(days=9), today - timedelta(days=1)),
        Scope(today - timedelta(days=99), purpose="real"),
    ]
    scopes += [Scope(purpose=each) for each in ("simulated", "test")]

    def pages(scope: Scope = scopes[0]) -> list[list[Spend]]:
        return [ranked(make_actor("owner"), scope, by, standing(), after=after, most=10) for after in range(0, 80, 10)]

    every = [pages(scope) for scope in scopes]
    without = every[0]
    fold_everything()

    assert [pages(scope) for scope in scopes] == every
    assert RunSum.objects.filter(alone=True).exists()
    assert RunSum.objects.filter(alone=False).exists()
    whole = [spend for page in without for spend in page]
    assert len({spend.name for spend in whole}) == len(whole) == min(len({name for (name,) in report(by)}), 80)
    assert [spend.cost for spend in whole] == sorted((spend.cost for spend in whole), reverse=True)


def test_what_a_run_had_cost_goes_with_it_to_its_new_tags(ledger: list[Call]) -> None:
    fold_everything()
    run = next(call.run for call in ledger if "eu" in call.run.tags)

    tag_run(make_actor("owner"), run, "late")

    by_sums = report("day", "tag")
    forget_sums()
    assert report("day", "tag") == by_sums
    assert {name for _, name in by_sums} == {"eu", "new", "late", None}
    fold_everything()
    assert differing_sums() == []


def test_a_call_in_flight_is_summed_once_it_has_ended(ledger: list[Call]) -> None:
    fold_everything()
    late = UnsummedCall.objects.filter(zone="UTC").values_list("call_id", flat=True)
    earliest = late.order_by("call_id").first()
    assert earliest is not None
    Call.objects.filter(id__in=late).update(status="succeeded", settled=Decimal(123))
    Call.objects.filter(id=earliest).update(started_at=timezone.now() - timedelta(days=39))
    before = report("flow"), report("month", "step"), report("run")

    fold_zone("UTC")

    assert not late.exists()
    assert differing_sums() == [], "its month and its run's other sums know it, too"
    assert (report("flow"), report("month", "step"), report("run")) == before
    fold_zone("UTC")
    assert (report("flow"), report("month", "step"), report("run")) == before


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


@pytest.mark.parametrize(
    ("table", "chosen"), [(DaySum, {}), (TagSum, {}), (StepSum, {}), (StepSum, {"monthly": True}), (RunSum, {})]
)
def test_verify_sees_sums_that_are_not_the_ledgers_and_has_them_made_anew(
    ledger: list[Call], table: Any, chosen: dict[str, bool]
) -> None:
    expected = report("flow")
    fold_everything()
    RunSum.objects.update(alone=True)
    assert differing_sums() == ["UTC"], "runs of several rows are said to have one"
    RunSum.objects.update(alone=False)
    assert differing_sums() == []
    table.objects.filter(calls__gt=0, **chosen).order_by("id").first().delete()

    assert differing_sums() == ["UTC"]
    with pytest.raises(CommandError):
        call_command("costs", "verify")

    fold_everything()
    assert differing_sums() == []
    assert report("flow") == expected
