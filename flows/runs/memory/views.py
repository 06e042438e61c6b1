"""``/memory``: what runs have left for later ones, who set it when, and putting it right or forgetting it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive, make_aware
from django.views.decorators.http import require_http_methods, require_safe

from flows.access.actor import Actor
from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right, require_somewhere
from flows.memory.actions.change_memory import change_memory
from flows.memory.actions.clear_memory import clear_memory
from flows.memory.actions.delete_memory import delete_memory, require_change
from flows.memory.reads import SCOPES, Wanted, entry_named, flows_with_memory, history_of, matching, may_change, page_of
from flows.models import MemoryEntry

SHOWN = 50


@require_safe
@login_required
def entries(request: Any) -> HttpResponse:
    """The entries that one may see and that match, the newest change first. Raises `Forbidden` where one may see no runs."""
    require_somewhere(request.actor, Right.SEE_RUNS)
    given = {name: request.GET.get(name, "").strip()[:200] for name in ("scope", "flow", "person", "key", "text")}
    if given["scope"] not in SCOPES:
        given["scope"] = ""
    rows, after = page_of(matching(request.actor, Wanted(**given)), request.GET.get("after"), SHOWN, given["text"])
    context = {
        "entries": rows,
        "after": after,
        "wanted": given,
        "scopes": SCOPES,
        "flows": flows_with_memory(request.actor),
        "narrowed": any(given.values()),
    }
    return render(request, "memory/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def entry_page(request: Any, entry: str) -> HttpResponse:
    """One entry with its history; a POST puts it right. What was typed is kept where it is refused. Raises `NotFound`, `Forbidden`."""
    actor: Actor = request.actor
    found = entry_named(actor, entry)
    given = {"value": pretty(found.shown), "expires": _local(found.expires_at)}
    problems: tuple[Fault, ...] = ()
    if request.method == "POST":
        require_change(actor, found)
        given = {"value": request.POST.get("value", ""), "expires": request.POST.get("expires", "")}
        try:
            revision = int(request.POST.get("revision") or 0) or None
            change_memory(actor, found, _value(given["value"]), expires_at=_time(given["expires"]), revision=revision)
        except (Invalid, ValueError) as refusal:
            problems = refusal.problems if isinstance(refusal, Invalid) else (Fault("revision", "is no number"),)
        else:
            request.toast(f"{found.name} is changed.")
            return redirect("memory-entry", found.public_id)
    return render(
        request,
        "memory/entry.html",
        _page(actor, found) | {"given": given, "problems": problems},
        status=422 if problems else 200,
    )


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def removal(request: Any, entry: str) -> HttpResponse:
    """What forgetting means, and, once confirmed, that: of this entry, or with `all` of its whole memory. Raises `NotFound`,
    `Forbidden`."""
    actor: Actor = request.actor
    found = entry_named(actor, entry)
    require_change(actor, found)
    everything = request.POST.get("all", request.GET.get("all", "")) == "yes"
    if request.method != "POST":
        others = MemoryEntry.objects.filter(place=found.place).count()
        return render(request, "memory/removal.html", {"entry": found, "all": everything, "count": others})
    if everything:
        count = clear_memory(actor, found)
        request.toast(f"{count} {'entry is' if count == 1 else 'entries are'} forgotten.")
    else:
        delete_memory(actor, found)
        request.toast(f"{found.name} is forgotten.")
    return redirect("memory")


def _page(actor: Actor, entry: MemoryEntry) -> dict[str, Any]:
    changes = history_of(actor, entry)
    return {
        "entry": entry,
        "value": entry.shown,
        "history": [(change, pretty(change.shown) if change.value is not None else None) for change in changes],
        "may_change": may_change(actor, entry),
    }


def pretty(value: Any) -> str:
    """JSON with its lines and indents."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def _value(text: str) -> Any:
    """JSON. To take anything else for a text would be a guess, so it is refused."""
    try:
        return json.loads(text)
    except ValueError:
        raise Invalid(
            "The memory cannot be changed.",
            problems=[Fault("value", "is no JSON", 'Write text in quotation marks: "like this".')],
        ) from None


def _time(text: str) -> datetime | None:
    """A time in UTC as the form has it; None where the field is empty."""
    if not text.strip():
        return None
    try:
        found = parse_datetime(text.strip())
    except ValueError:
        found = None
    if found is None:
        raise Invalid(
            "The memory cannot be changed.", problems=[Fault("expires", "is no time", "Write one like 2030-01-31T09:00.")]
        )
    return make_aware(found) if is_naive(found) else found


def _local(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M") if moment is not None else ""
