"""How long another service asks us to wait."""

from __future__ import annotations

import email.utils
import math
import time
from collections.abc import Mapping

LONGEST_WAIT = 3600.0


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds, at most an hour, of `Retry-After` (a number or an HTTP date, RFC 9110 section 10.2.3) or `retry-after-ms`.

    `headers` finds its names in any case.
    """
    milliseconds = headers.get("retry-after-ms", "")
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(milliseconds) / 1000 if milliseconds else float(value)
    except ValueError:
        parsed = email.utils.parsedate_tz(value)
        if parsed is None:
            return None
        seconds = email.utils.mktime_tz(parsed) - (time.time() if now is None else now)
    if math.isnan(seconds):
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT)
