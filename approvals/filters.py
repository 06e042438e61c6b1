"""What a list of requests can be narrowed to, on the page, over the API and by command, and how the page orders it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal, cast, get_args

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from flows.models import Request

Risk = Literal["low", "medium", "high"]
Due = Literal["hour", "day", "overdue"]
Was = Literal["unchanged", "edited", "rejected"]
RISKS, WAS, SORTS = get_args(Risk), get_args(Was), ("newest",)
DUE: Mapping[Due, timedelta] = {"hour": timedelta(hours=1), "day": timedelta(days=1), "overdue": timedelta(0)}
NAMES = ("policy", "risk", "due", "was", "sort")


def filters_in(given: Mapping[str, str]) -> dict[str, str]:
    """The filters among what is given; what is unknown is left out."""
    found = {name: (given.get(name) or "").replace("\x00", "")[:64] for name in NAMES}
    known = {"risk": RISKS, "due": tuple(DUE), "was": WAS, "sort": SORTS}
    return {name: value for name, value in found.items() if value and value in known.get(name, (value,))}


def filtered(requests: QuerySet[Request], chosen: Mapping[str, str]) -> QuerySet[Request]:
    """Those of one policy, of one risk, due soon, or decided in one way."""
    if "policy" in chosen:
        requests = requests.filter(terms__policy=chosen["policy"])
    if "risk" in chosen:
        wanted = Q(terms__risk=chosen["risk"])
        requests = requests.filter(wanted | Q(terms__risk__isnull=True) if chosen["risk"] == "medium" else wanted)
    if "due" in chosen:
        requests = requests.filter(due__lte=timezone.now() + DUE[cast(Due, chosen["due"])])
    if chosen.get("was") == "rejected":
        return requests.filter(state="rejected")
    if "was" in chosen:
        unchanged = Q(revision=1, answer=F("payload"))
        requests = requests.filter(state="approved", decided_by__isnull=False)
        return requests.filter(unchanged) if chosen["was"] == "unchanged" else requests.exclude(unchanged)
    return requests
