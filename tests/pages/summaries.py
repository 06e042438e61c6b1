"""What the summary of a refused form leads to."""

from __future__ import annotations

import re


def fields_led_to(page: str) -> list[str]:
    """The fields that the summary of what is wrong links to, each of which the page has."""
    summary = re.search(r'data-testid="problems">(.*?)</ul>', page, re.DOTALL)
    assert summary is not None
    led = re.findall(r'<a href="#([\w-]+)"', summary[1])
    assert all(f'id="{each}"' in page for each in led), led
    return led
