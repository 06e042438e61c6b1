"""What the components promise to those who use them."""

from __future__ import annotations

import gzip
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.conf import settings
from django.template import engines
from django.test import RequestFactory

from flows.engine.states import ROLL_UP
from orchestrator.templatetags.states import LOOKS, RUN_LOOKS, Segment, strip


def rendered(text: str, path: str = "/runs", **values: Any) -> str:
    return engines["django"].from_string(text).render(values, RequestFactory().get(path))


def test_every_state_has_its_glyph_colour_and_words() -> None:
    icons = (Path(settings.BASE_DIR) / "static/icons.svg").read_text()
    colours = (Path(settings.BASE_DIR) / "static/css/states.css").read_text()
    shown = (Path(settings.BASE_DIR) / "static/css/states-shown.css").read_text()

    assert set(RUN_LOOKS) == set(ROLL_UP)
    for name, look in LOOKS.items():
        assert f'id="{name}"' in icons
        assert f'[data-state="{name}"]' in colours
        assert look.label in rendered("{% state name %}", name=name)
    for name in RUN_LOOKS:
        assert f"& .{name} " in shown


def test_a_strip_is_small_and_says_what_it_shows() -> None:
    steps = [Segment("succeeded", 3, "Webhook")] * 5 + [Segment("waiting_approval", 9, "Send refund"), Segment("queued")]

    drawn = strip(steps)
    longest = strip([Segment(state, at * 7.31, "x") for at, state in enumerate(RUN_LOOKS)] * 9)

    assert 'aria-label="5 of 7 steps succeeded, Needs approval at Send refund"' in drawn
    assert longest.count("<rect") <= 120
    assert len(gzip.compress(longest.encode())) <= 1200


def test_a_crowded_piece_of_a_strip_shows_what_matters_most() -> None:
    drawn = strip([Segment("succeeded", 1)] * 399 + [Segment("failed", 1, "Last")])

    assert drawn.count("<rect") == 40
    assert drawn.count('class="failed"') == 1


def test_every_piece_of_a_strip_lies_within_it() -> None:
    for count in (1, 3, 39, 40, 41, 500):
        bars = re.findall(r'x="([\d.]+)%" width="([\d.]+)%"', strip([Segment("succeeded", at % 7) for at in range(count)]))
        assert all(float(x) + float(width) <= 100.01 for x, width in bars)


def test_an_amount_carries_its_exact_value() -> None:
    shown = rendered("{% money_run cost unpriced=True %}", cost=Decimal("1.20400000009"))

    assert 'data-money="1.20400000009"' in shown
    assert "$1.2040" in shown
    assert "≥" in shown
    assert 'data-money="0.0432000000"' in rendered("{% money_run cost %}", cost="0.0432")
    assert "unpriced" in rendered("{% money_run None %}")
    assert "cached" in rendered('{% money_call 0 reason="cached" %}')


def test_values_from_elsewhere_are_escaped() -> None:
    bad = {"<img src=x>": "<script>alert(1)</script>", "n": ["</details>"]}

    for shown in (rendered("{% json_view bad %}", bad=bad), rendered("{% diff rows %}", rows=[{"name": "<b>", "after": "<i>"}])):
        assert "<script" not in shown
        assert "<img" not in shown
        assert "<b>" not in shown
        assert "<i>" not in shown


def test_what_cites_a_passage_opens_it_and_stays_text() -> None:
    passage = "psg_" + "0a" * 16
    told = f"<b>30 days</b> [{passage}], not xpsg_{'0a' * 16}."

    for shown in (rendered("{% json_view told %}", told=told), rendered("{{ told|cited }}", told=told)):
        assert shown.count(f'<a href="/knowledge/passages/{passage}">{passage}</a>') == 1
        assert "&lt;b&gt;30 days&lt;/b&gt; [" in shown


def test_a_long_json_value_is_cut_and_says_so() -> None:
    shown = rendered("{% json_view value %}", value=list(range(1000)))

    assert shown.count('class="leaf"') <= 200
    assert "more, in the raw text" in shown


FIELDS = [{"name": "state", "label": "State", "options": [("failed", "Failed"), ("running", "Running")]}]


def test_the_filter_bar_shows_what_is_chosen_and_how_to_take_it_away() -> None:
    shown = rendered("{% filter_bar fields 'Search' %}", "/runs?state=failed,running&sort=-cost&cursor=x&foo=1", fields=FIELDS)

    assert "<b>Failed, Running</b>" in shown
    assert 'href="/runs?sort=-cost&amp;foo=1"' in shown
    assert "Ignored: foo" in shown
    assert '<input type="hidden" name="sort" value="-cost">' in shown
    assert shown.count(" checked") == 2


def test_a_column_turns_its_order_and_says_which_it_has() -> None:
    head = "{% sort 'cost' 'Cost' num=True default='-started' %}"

    assert 'href="/runs?sort=-cost"' in rendered(head)
    assert 'aria-sort="descending"' in rendered(head, "/runs?sort=-cost")
    assert 'href="/runs?sort=cost"' in rendered(head, "/runs?sort=-cost")


def test_a_meter_says_all_three_figures() -> None:
    shown = rendered("{% meter '98.6' '120' reserved='6' projected='130' %}")

    assert 'aria-label="Budget: $98.60 spent, $6.00 reserved, $130.00 projected of $120.00"' in shown
    assert 'data-level="warn"' in shown
