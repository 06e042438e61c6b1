"""Lists: every choice is in the address, so that a view can be sent to a colleague."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from django import template
from django.http import QueryDict
from django.template.context import RequestContext
from django.urls import reverse

from flows.access.curl import curl

register = template.Library()

PLACE = ("cursor", "after", "before")  # where one is in a list; every other choice begins at its top


def address(context: RequestContext, **changes: Any) -> str:
    """The address of this page with other parameters; None takes one away."""
    request = context["request"]
    query = request.GET.copy()
    for name in PLACE:
        query.pop(name, None)
    for name, value in changes.items():
        if value is None or value == "":
            query.pop(name, None)
        else:
            query[name] = value
    text = query.urlencode(safe=",:!")
    return f"{request.path}?{text}" if text else str(request.path)


@register.inclusion_tag("components/curl.html", takes_context=True)
def as_curl(context: RequestContext, path: str, *names: str) -> dict[str, str]:
    """A button that copies how a program asks for the same list: the address of the API with those of this page's choices that it
    takes, too (`names`)."""
    request = context["request"]
    chosen = [(name, value) for name in names for value in request.GET.getlist(name) if value]
    query = "&".join(f"{quote(name)}={quote(value, safe=':,!')}" for name, value in chosen)
    url = request.build_absolute_uri(path) + (f"?{query}" if query else "")
    return {"curl": curl("GET", url)}


@register.inclusion_tag("components/curl.html", takes_context=True)
def curl_for(
    context: RequestContext, operation: str, *names: Any, label: str = "Copy as cURL", search: str = "", **body: Any
) -> dict[str, str]:
    """A button that copies how a program asks for what the button beside it does: ``{% curl_for "post_decision" asked.public_id
    outcome="approve" revision=2 %}``. `operation` is a function of the API, `names` fill its address in, the rest is its body; what is
    empty is left out. ``file="flow.yaml"`` sends a file in its place; `search` is what stands behind the address's question mark."""
    path = reverse(f"api:{operation}", args=[str(name) for name in names])
    address = context["request"].build_absolute_uri(f"{path}?{search}" if search else path)
    given: Any = {name: value for name, value in body.items() if value not in (None, "")}
    if "file" in given:
        given = f"@{given['file']}"
    verb = operation.partition("_")[0]
    method = "DELETE" if verb == "remove" else verb.upper()
    return {"curl": curl(method, address, given or None), "label": label, "testid": "copy-request"}


@register.simple_tag(takes_context=True)
def here(context: RequestContext, **changes: Any) -> str:
    """``{% here state="failed" %}``: this page with another choice."""
    return address(context, **changes)


@register.inclusion_tag("components/sort.html", takes_context=True)
def sort(context: RequestContext, name: str, label: str, num: bool = False, default: str = "") -> dict[str, Any]:
    """The head of a column by which the list can be sorted. `default` is the list's own order, such as ``-started``."""
    chosen = context["request"].GET.get("sort", default)
    column = chosen.removeprefix("-")
    falling = chosen.startswith("-")
    turned = name if column == name and falling else f"-{name}"
    return {
        "label": label,
        "num": num,
        "direction": ("descending" if falling else "ascending") if column == name else "",
        "url": address(context, sort=None if turned == default else turned),
    }


@register.inclusion_tag("components/filters.html", takes_context=True)
def filter_bar(
    context: RequestContext, fields: Iterable[Mapping[str, Any]], search: str = "", known: Iterable[str] = ()
) -> dict[str, Any]:
    """The filters of a list, a GET form.

    `fields` are mappings ``{"name", "label", "options": [(value, label), …], "many": True}``; one without options is a line of text.
    `search` is the label of the free text ``q``. Parameters that nobody knows are shown as ignored; `known` names the page's others.
    """
    query: QueryDict = context["request"].GET
    shown = [_filter(context, dict(each), query) for each in fields]
    names = {each["name"] for each in shown} | {"q", "sort", "cols", "tz", "view", *PLACE, *known}
    return {
        "request": context["request"],
        "fields": shown,
        "chosen": [each for each in shown if each["values"]],
        "search": search,
        "q": query.get("q", ""),
        "kept": [(name, query[name]) for name in ("sort", "cols", "tz", "view", *known) if name in query],
        "ignored": [(name, address(context, **{name: None})) for name in query if name not in names],
        "clear": context["request"].path,
        "any": bool(query.get("q")) or any(each["values"] for each in shown),
    }


def _filter(context: RequestContext, each: dict[str, Any], query: QueryDict) -> dict[str, Any]:
    raw = ",".join(query.getlist(each["name"]))
    values = [value for value in raw.removeprefix("!").split(",") if value]
    labels = dict(each.get("options") or [])
    return {
        **each,
        "many": each.get("many", bool(labels)),
        "text": raw,
        "values": values,
        "choices": [(value, label, value in values) for value, label in each.get("options") or []],
        "words": ("not " if raw.startswith("!") else "") + ", ".join(str(labels.get(value, value)) for value in values),
        "without": address(context, **{each["name"]: None}),
    }
