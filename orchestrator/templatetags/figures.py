"""Receipt figures: a number as it is shown, with the exact one behind it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from flows.access.installation import money
from orchestrator.templatetags import numbers

register = template.Library()


def amount(write: Callable[[Any], str], value: Any, estimated: bool, unpriced: bool, simulated: bool, reason: str) -> SafeString:
    exact = numbers.exact(value)
    if exact is None or (unpriced and exact == 0):  # at least nothing says nothing
        known = "" if exact is None else f"{exact:.10f}"
        return format_html(
            '<span class="figure" data-money="{}">{}</span> <span class="chip warn">unpriced</span>', known, numbers.UNKNOWN
        )
    before = "≥ " if unpriced else "~" if estimated else ""
    parts = [format_html('<span class="mark">{}</span>', before)] if before else []
    parts.append(format_html("{}", write(exact)))
    if simulated:
        parts.append(SafeString(' <span class="mark sim">sim</span>'))
    if reason and exact == 0:
        parts.append(format_html(' <span class="because">{}</span>', reason))
    return format_html(
        '<span class="figure" data-money="{}" title="{}">{}</span>',
        f"{exact:f}" if -(exact.as_tuple().exponent) >= 10 else f"{exact:.10f}",  # type: ignore[operator]
        money(f"{exact:,f}") if exact >= 0 else f"{numbers.MINUS}{money(f'{-exact:,f}')}",
        format_html_join("", "{}", ((part,) for part in parts)),
    )


@register.simple_tag
def money_call(
    value: Any, estimated: bool = False, unpriced: bool = False, simulated: bool = False, reason: str = ""
) -> SafeString:
    """What a call or step cost. `reason` says why it cost nothing ("cached", "free model")."""
    return amount(numbers.money_call, value, estimated, unpriced, simulated, reason)


@register.simple_tag
def money_run(
    value: Any, estimated: bool = False, unpriced: bool = False, simulated: bool = False, reason: str = ""
) -> SafeString:
    """What a run cost. `unpriced`: some of its calls have no price, so that the sum is a lower bound."""
    return amount(numbers.money_run, value, estimated, unpriced, simulated, reason)


@register.simple_tag
def money_total(
    value: Any, estimated: bool = False, unpriced: bool = False, simulated: bool = False, reason: str = ""
) -> SafeString:
    """A sum of many runs."""
    return amount(numbers.money_total, value, estimated, unpriced, simulated, reason)


@register.simple_tag
def token_count(value: Any, estimated: bool = False, short: bool = False) -> SafeString:
    """A number of tokens; `short` for cards."""
    if value is None:
        return format_html('<span class="figure">{}</span>', numbers.UNKNOWN)
    text = numbers.tokens_short(value) if short else numbers.tokens(value)
    mark = SafeString('<span class="mark">~</span>') if estimated else ""
    return format_html('<span class="figure" data-tokens="{}" title="{}">{}{}</span>', value, f"{int(value):,}", mark, text)


@register.simple_tag
def lasted(value: Any) -> SafeString:
    """A duration."""
    return format_html('<span class="figure">{}</span>', numbers.duration(value))


@register.simple_tag
def ago(value: datetime | None, placeholder: str = numbers.UNKNOWN) -> SafeString:
    """A moment; the page keeps it true."""
    return moment(value, numbers.when, "ago", placeholder)


@register.simple_tag
def deadline(value: datetime | None, placeholder: str = numbers.UNKNOWN) -> SafeString:
    """The time that is left; the page counts it down."""
    return moment(value, numbers.until, "until", placeholder)


def moment(value: datetime | None, write: Callable[[Any], str], kind: str, placeholder: str) -> SafeString:
    if value is None:
        return format_html('<span class="faint">{}</span>', placeholder)
    iso = value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return format_html(
        '<time class="{}" datetime="{}" data-when="{}">{}</time>', "figure" if kind == "until" else "", iso, kind, write(value)
    )


@register.inclusion_tag("components/meter.html")
def meter(
    spent: Any,
    limit: Any,
    reserved: Any = 0,
    projected: Any = None,
    warn: Any = "0.8",
    label: str = "Budget",
    testid: str = "budget-meter",
) -> dict[str, Any]:
    """Spent and reserved of a limit (dollars), with ticks at the warning and at the limit."""
    cap, used, held = (
        numbers.exact(limit) or Decimal(0),
        numbers.exact(spent) or Decimal(0),
        numbers.exact(reserved) or Decimal(0),
    )
    ahead = numbers.exact(projected)
    full = max(cap, used + held, ahead or Decimal(0)) or Decimal(1)
    threshold = Decimal(str(warn)) * cap

    def share(value: Decimal) -> str:
        return f"{min(max(value / full, Decimal(0)), Decimal(1)) * 100:.2f}%"

    return {
        "label": label,
        "testid": testid,
        "spent": used,
        "reserved": held,
        "limit": cap,
        "projected": ahead,
        "share_spent": share(used),
        "share_reserved": share(held),
        "share_projected": share(ahead - used - held) if ahead is not None and ahead > used + held else "",
        "at_projected": share(used + held),
        "at_warn": share(threshold),
        "at_limit": share(cap),
        "of": used / cap if cap else None,
        "level": "stop" if cap and used >= cap else "warn" if cap and used >= threshold else "fine",
    }
