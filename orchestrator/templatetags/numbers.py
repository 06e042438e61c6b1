"""How numbers are written: money, tokens, durations, times, shares. Filters give text; the tags of `figures` add what is behind it.

Amounts are exact decimals and are rounded here, once, half up. Unknown is never shown as zero.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from django import template
from django.utils import timezone

from flows.access.installation import money
from orchestrator import clock

register = template.Library()

UNKNOWN = "—"
MINUS = "−"
MINUTE, HOUR, DAY = 60, 3600, 86400


def exact(value: Any) -> Decimal | None:
    """The amount as a decimal; None where there is none."""
    if value is None or value == "":
        return None
    try:
        return value if isinstance(value, Decimal) else Decimal(str(value))
    except InvalidOperation:
        return None


def rounded(value: Decimal, places: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)


def dollars(value: Any, places: int) -> str:
    """An amount with so many places; what is smaller than the last of them is shown as smaller than it."""
    amount = exact(value)
    if amount is None:
        return UNKNOWN
    if amount == 0:
        return money("0")
    sign, amount = (MINUS, -amount) if amount < 0 else ("", amount)
    least = Decimal(1).scaleb(-places)
    if amount < least:
        return f"{sign}<{money(f'{least:f}')}"
    return f"{sign}{money(f'{rounded(amount, places):,f}')}"


@register.filter
def money_call(value: Any) -> str:
    """What one call or step cost: six places."""
    return dollars(value, 6)


@register.filter
def price(value: Any) -> str:
    """Dollars per million tokens: every figure that there is, and at least two places."""
    amount = exact(value)
    if amount is None:
        return UNKNOWN
    whole, _, places = f"{amount.normalize():f}".partition(".")
    return f"{int(whole):,}.{places.ljust(2, '0')}"


@register.filter
def in_currency(text: Any) -> str:
    """An amount that is written already, with the currency's label."""
    return money(str(text))


@register.filter
def money_run(value: Any) -> str:
    """What a run cost: four places."""
    return dollars(value, 4)


@register.filter
def money_total(value: Any) -> str:
    """A sum: two places from a dollar on, four below."""
    amount = exact(value)
    return dollars(amount, 2 if amount is not None and abs(amount) >= 1 else 4)


@register.simple_tag
def limit_words(which: str, value: Any) -> str:
    """An amount of a limit on dollars, tokens or steps; small amounts of money with six places."""
    if which != "cost":
        return f"{int(value):,} {which}"
    amount = exact(value)
    return dollars(amount, 6 if amount is not None and abs(amount) < Decimal("0.01") else 4)


def marked(text: str, *, estimated: bool = False, unpriced: bool = False, simulated: bool = False) -> str:
    """An amount with where it comes from. That something is missing outranks that something is estimated."""
    if text != UNKNOWN and unpriced:
        text = f"≥ {text}"
    elif text != UNKNOWN and estimated:
        text = f"~{text}"
    return f"{text} sim" if simulated else text


@register.filter
def tokens(value: Any) -> str:
    """A number of tokens, as tables show it."""
    return UNKNOWN if value is None or value == "" else f"{int(value):,}"


@register.filter
def tokens_short(value: Any) -> str:
    """A number of tokens, as cards show it: three figures."""
    if value is None or value == "":
        return UNKNOWN
    count = int(value)
    for unit, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if count >= unit:
            share = Decimal(count) / unit
            return f"{rounded(share, 2 if share < 10 else 1 if share < 100 else 0):f}{letter}"
    return f"{count}"


@register.filter
def duration(value: Any) -> str:
    """A length of time, in the two largest units that matter. Takes seconds or a timedelta."""
    if value is None or value == "":
        return UNKNOWN
    seconds = Decimal(str(value.total_seconds() if isinstance(value, timedelta) else value))
    if seconds < 0:
        return UNKNOWN
    if rounded(seconds, 3) < 1:
        return f"{rounded(seconds * 1000, 0):f} ms"
    if rounded(seconds, 1) < MINUTE:
        return f"{rounded(seconds, 1):f} s"
    whole = int(rounded(seconds, 0))
    if whole < HOUR:
        return f"{whole // MINUTE}m {whole % MINUTE:02}s"
    if whole < DAY:
        return f"{whole // HOUR}h {whole % HOUR // MINUTE:02}m"
    return f"{whole // DAY}d {whole % DAY // HOUR}h"


@register.filter
def when(value: Any) -> str:
    """A moment as people say it, in the current time zone."""
    if not isinstance(value, datetime):
        return UNKNOWN
    now, there = timezone.localtime(clock.now()), timezone.localtime(value)
    past = (now - there).total_seconds()
    days = (now.date() - there.date()).days
    if abs(past) < MINUTE:
        return "just now" if past >= 0 else "in a moment"
    if 0 < past < HOUR:
        return f"{int(past // MINUTE)} min ago"
    if -HOUR < past < 0:
        return f"in {int(-past // MINUTE)} min"
    if days == 0:
        return f"{int(past // HOUR)} h ago" if past > 0 else f"in {int(-past // HOUR)} h"
    if days in (1, -1):
        return f"{'Yesterday' if days == 1 else 'Tomorrow'} {there:%H:%M}"
    return dated(there, now.date())


def dated(moment: datetime, today: date) -> str:
    """Day and time; the year only where it is another."""
    year = "" if moment.year == today.year else f" {moment.year}"
    return f"{moment.day} {moment:%b}{year} {moment:%H:%M}"


@register.filter
def until(value: Any) -> str:
    """How long a deadline leaves: under an hour to the second."""
    if not isinstance(value, datetime):
        return UNKNOWN
    left = int((value - clock.now()).total_seconds() // 1)
    if left < 0:
        return "overdue"
    return when(value) if left >= HOUR else f"00:{left // MINUTE:02}:{left % MINUTE:02}"


@register.filter
def percent(value: Any, places: Any = None) -> str:
    """A share of one. One place below ten per cent, none above; `places` where a line always shows so many."""
    share = exact(value)
    if share is None:
        return UNKNOWN
    share *= 100
    if places is not None:
        return f"{rounded(share, int(places)):f} %"
    if 0 < share < Decimal("0.1"):
        return "<0.1 %"
    if share == 0:
        return "0 %"
    return f"{rounded(share, 1 if abs(share) < Decimal('9.95') else 0):f} %"
