"""The price book: rows with a beginning and an end, never altered; tiers; what a file would do; adjustments of the past."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from flows.access.refusals import Forbidden, Invalid
from flows.costs.actions.add_price import Overlaps, Wanted, add_price
from flows.costs.actions.import_prices import import_prices, preview_prices
from flows.costs.actions.rerate import preview_rerating, rerate
from flows.costs.pricebook import entries_at, unpriced_models
from flows.costs.prices import PriceRow, cost_of, upper_bound
from flows.costs.reports import adjusted, differing_runs
from flows.models import Adjustment, AuditRow, Call, ModelEntry, Price
from flows.models.identifiers import new_id
from flows.routing.providers.base import Usage
from flows.routing.providers.listed import listed_prices, source
from flows.routing.table import current_table
from tests.makers import make_actor, make_run
from tests.runs.journals import make_call, make_price

DAY = timedelta(days=1)


def wanted(model: str = "small-1", figure: str = "1", **fields: Any) -> Wanted:
    ModelEntry.objects.get_or_create(slug=model, defaults={"model": f"openai/{model}"})
    return Wanted(model, {"input": Decimal(figure), "output": Decimal(figure)}, **fields)


@pytest.mark.django_db
def test_PRC_1_a_date_shows_the_rows_that_held_then() -> None:
    now = timezone.now()
    old = make_price(at=now - 60 * DAY, input="1", output="2")
    new = add_price(make_actor("owner"), wanted(figure="3"))

    assert [entry.row for entry in entries_at(now - DAY)] == [old]
    assert [entry.row for entry in entries_at(timezone.now())] == [new]
    assert entries_at(now - DAY)[0].until == new.valid_from
    assert entries_at(now - 61 * DAY) == []


@pytest.mark.django_db
def test_a_row_with_an_end_leaves_the_model_without_a_price() -> None:
    now = timezone.now()
    add_price(make_actor("owner"), wanted(since=now - 2 * DAY, until=now - DAY))

    assert len(entries_at(now - 1.5 * DAY)) == 1
    assert entries_at(now) == []
    assert current_table().model("small-1").price is None


@pytest.mark.django_db
@pytest.mark.parametrize("days", [-3, 0, 4])
def test_PRC_2_overlapping_rows_are_refused_with_both_shown(days: int) -> None:
    now = timezone.now()
    owner = make_actor("owner")
    add_price(owner, wanted(figure="1.5", since=now - 5 * DAY, until=now + 5 * DAY))

    with pytest.raises(Overlaps) as refusal:
        add_price(owner, wanted(figure="2.5", since=now + days * DAY))

    assert "$1.5" in str(refusal.value)
    assert "$2.5" in str(refusal.value)
    assert Price.objects.count() == 1


@pytest.mark.django_db
def test_PRC_2_a_row_that_would_change_the_past_is_refused() -> None:
    now = timezone.now()
    make_price(at=now - 60 * DAY, input="1", output="2")

    with pytest.raises(Overlaps):
        add_price(make_actor("owner"), wanted(since=now - 30 * DAY))

    add_price(make_actor("owner"), wanted(since=now - 90 * DAY))  # nothing held then
    assert [entry.row.input for entry in entries_at(now)] == [1]


@pytest.mark.django_db
def test_a_negative_price_is_refused_by_the_verb_and_by_the_table() -> None:
    with pytest.raises(Invalid) as refusal:
        add_price(make_actor("owner"), wanted(figure="-1"))
    assert "-1 is not a price" in str(refusal.value)
    with pytest.raises(DatabaseError), transaction.atomic():
        make_price(input="1", output="1", cache_write="-1")


@pytest.mark.django_db
def test_only_who_may_manage_prices_adds_one_and_it_is_audited() -> None:
    with pytest.raises(Forbidden):
        add_price(make_actor("builder"), wanted())
    add_price(make_actor("owner"), wanted(source="price sheet 06"))
    row = AuditRow.objects.get(action="price.add")
    assert (row.subject, row.data["input"], row.data["source"]) == ("small-1", "1", "price sheet 06")


@pytest.mark.django_db
def test_a_row_is_never_altered() -> None:
    price = make_price(input="1", output="2")
    for change in (lambda: Price.objects.filter(id=price.id).update(input=9), price.delete):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()


@pytest.mark.django_db
def test_PRC_3_a_preview_tells_what_is_new_changed_and_ignored_and_changes_nothing() -> None:
    make_price("small-1", input="1", output="2")
    make_price("large-1", input="3", output="4")
    ModelEntry.objects.create(slug="new-1", model="openai/new-1")
    text = "model,input,output,source\nsmall-1,1,2,x\nlarge-1,5,6,x\nnew-1,$7,8,x\n"
    owner = make_actor("owner")

    preview = preview_prices(owner, text)

    assert [[line.wanted.model for line in lines] for lines in (preview.new, preview.changed, preview.ignored)] == [
        ["new-1"],
        ["large-1"],
        ["small-1"],
    ]
    assert Price.objects.count() == 2
    assert not AuditRow.objects.exists()
    import_prices(owner, text)
    assert {entry.row.model_id: entry.row.input for entry in entries_at(timezone.now())} == {
        "small-1": 1,
        "large-1": 5,
        "new-1": 7,
    }
    assert len(import_prices(owner, text).ignored) == 3


@pytest.mark.django_db
def test_a_file_with_broken_lines_is_refused_by_line_and_nothing_is_applied() -> None:
    wanted()
    text = "model,input,output,valid_from\nsmall-1,1,2,\nnobody,1,2,\nsmall-1,cheap,2,\nsmall-1,1\nsmall-1,-1,2,\nsmall-1,1,2,someday\n"

    with pytest.raises(Invalid) as refusal:
        import_prices(make_actor("owner"), text)

    assert [problem.place.partition(",")[0] for problem in refusal.value.problems] == [f"line {n}" for n in (3, 4, 5, 6, 7)]
    assert not Price.objects.exists()
    with pytest.raises(Invalid, match="no column 'output'"):
        import_prices(make_actor("owner"), "model,input\n")
    twice = "model,input,output,valid_from\nsmall-1,1,2,2026-01-01\nsmall-1,2,2,2026-01-01\n"
    assert [fault.place for fault in preview_prices(make_actor("owner"), twice).faults] == ["line 3"]
    assert not Price.objects.exists()


@pytest.mark.django_db
def test_PRC_4_a_model_without_a_price_stands_there_with_its_first_call() -> None:
    run = make_run()
    make_call(run, "a", cost=None)
    make_call(run, "b", cost=None)
    make_call(run, "c", cost=None, status="started", usage_source="")

    assert [(each.model, each.calls) for each in unpriced_models(make_actor("auditor"))] == [("small-1", 2)]


@pytest.mark.django_db
def test_PRC_5_a_tier_holds_for_longer_requests_only() -> None:
    owner = make_actor("owner")
    base = add_price(owner, wanted(figure="2"))
    tier = add_price(owner, wanted(figure="4", above=200_000))
    price = current_table().model("small-1").price
    assert price is not None

    assert price.row_for(200_000).id == base.id
    assert price.row_for(200_001).id == tier.id
    assert cost_of(Usage(200_000, 0, 0), price) == Decimal("0.4")
    assert cost_of(Usage(200_001, 0, 0), price) == Decimal("0.800004")
    assert upper_bound(price, 190_000, 0) == Decimal("0.836")  # a tenth more would reach the tier
    assert upper_bound(price, 100_000, 0) == Decimal("0.22")


def test_each_kind_of_token_is_charged_once_at_its_own_price() -> None:
    row = PriceRow(new_id(), Decimal(1), Decimal("0.1"), Decimal(10), Decimal("1.25"), Decimal(20))
    usage = Usage(1_000_000, 200_000, 1_000_000, 400_000, cache_write_tokens=300_000)

    assert cost_of(usage, row) == Decimal("0.5") + Decimal("0.02") + Decimal("0.375") + 6 + 8
    assert cost_of(usage, PriceRow(new_id(), Decimal(1), None, Decimal(10))) == 11


@pytest.mark.django_db
def test_CST_3_a_rerating_is_an_adjustment_and_the_past_stays() -> None:
    run = make_run(status="succeeded", spent="0.5", unpriced=1)
    fresh = make_call(run, "a", cost=None, input_tokens=1_000_000, output_tokens=0)
    wrong = make_call(run, "b", cost="0.5", input_tokens=1_000_000, output_tokens=0)
    now = timezone.now()
    owner = make_actor("owner")
    add_price(owner, wanted(figure="2", since=now - DAY))
    period = ("small-1", now - DAY, now + DAY)

    preview = preview_rerating(owner, *period)
    assert (preview.fresh, preview.corrected, preview.amount) == (1, 1, Decimal("3.5"))
    assert not Adjustment.objects.exists()
    rerate(owner, *period, "the price sheet came late")

    assert {row.call_id: (row.amount, row.priced) for row in Adjustment.objects.all()} == {
        fresh.id: (Decimal(2), False),
        wrong.id: (Decimal("1.5"), True),
    }
    assert set(Call.objects.values_list("settled", flat=True)) == {None, Decimal("0.5")}
    assert differing_runs() == []
    told = adjusted(Call.objects.all())
    assert told is not None
    assert (told.amount, told.calls, told.fresh) == (Decimal("3.5"), 2, 1)
    assert AuditRow.objects.filter(action="price.rerate").count() == 1
    assert rerate(owner, *period, "again").left == 2
    with pytest.raises(Invalid):
        rerate(owner, *period, " ")


def test_the_shipped_prices_are_those_of_the_list_with_its_version() -> None:
    figures = listed_prices("openai/gpt-4o-mini")[0]
    assert figures["input"] == Decimal("0.15")
    assert figures["output"] == Decimal("0.6")
    assert figures["cached_input"] == Decimal("0.075")
    assert "check against your contract" in source()
    assert listed_prices("openai/nobody-1") == {}
    assert listed_prices("sim/small") == {}
    tiered = listed_prices("gemini/gemini-2.5-pro")
    assert list(tiered) == [0, 200_000]
    assert (tiered[0]["input"], tiered[200_000]["input"]) == (Decimal("1.25"), Decimal("2.5"))
