"""What LiteLLM's own price table says of a model: a first price where nobody has entered one.

The table is a file of the package, read without importing it. Its prices are those of public lists; a contract may say otherwise.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

FILE = "model_prices_and_context_window_backup.json"
MILLION = Decimal(1_000_000)
PLACES = Decimal("0.000000001")
NAMES = {
    "input_cost_per_token": "input",
    "cache_read_input_token_cost": "cached_input",
    "cache_creation_input_token_cost": "cache_write",
    "output_cost_per_token": "output",
    "output_cost_per_reasoning_token": "reasoning",
}
TIER = re.compile(r"(?P<name>\w+?)_above_(?P<thousands>\d+)k_tokens")

Figures = dict[str, Decimal | None]


def source() -> str:
    """Where the prices come from, as it stands beside them."""
    return f"LiteLLM {version('litellm')} price list; check against your contract"


def listed_prices(model: str) -> dict[int, Figures]:
    """The figures in dollars per million tokens of LiteLLM's ``provider/name``, by the number of input tokens above which they hold.
    Empty where the table does not have the model, or not what its input and output cost."""
    table = _table()
    provider, _, name = model.partition("/")
    found = table.get(model) or table.get(name)
    if found is None or found.get("litellm_provider", provider) != provider:
        return {}
    tiers: dict[int, Figures] = {0: {}}
    for key, value in found.items():
        tier = TIER.fullmatch(key)
        figure = NAMES.get(tier["name"] if tier else key)
        if figure is not None and isinstance(value, (Decimal, int)):
            tiers.setdefault(int(tier["thousands"]) * 1000 if tier else 0, {})[figure] = (Decimal(value) * MILLION).quantize(
                PLACES
            )
    base = tiers[0]
    if base.get("input") is None or base.get("output") is None:
        return {}
    return {above: base | figures for above, figures in sorted(tiers.items())}


@cache
def _table() -> dict[str, dict[str, Any]]:
    spec = find_spec("litellm")
    if spec is None or spec.origin is None:
        return {}
    table: dict[str, dict[str, Any]] = json.loads((Path(spec.origin).parent / FILE).read_bytes(), parse_float=Decimal)
    return table
