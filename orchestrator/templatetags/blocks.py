"""Components that hold other content."""

# ruff: noqa: A002 - arguments are called like the attributes of HTML that they become

from typing import Any

from django import template
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

register = template.Library()


def wrapped(name: str, content: str, values: dict[str, Any]) -> SafeString:
    return SafeString(render_to_string(f"components/{name}.html", {"content": SafeString(content), **values}))


@register.simple_block_tag
def panel(
    content: str, title: str, count: Any = None, id: str = "", flush: bool = False, link: str = "", link_label: str = ""
) -> SafeString:
    """A titled region. `flush`: its content (a table, a list) goes to the edge."""
    values = {"title": title, "count": count, "id": id, "flush": flush, "link": link, "link_label": link_label}
    return wrapped("panel", content, values)


@register.simple_block_tag
def dialog(content: str, id: str, title: str, size: str = "", opened: bool = False, foot: str = "") -> SafeString:
    """A dialog of the page, opened by an element with ``data-dialog="<id>"``. `size` is empty, ``wide`` or ``drawer``;
    `opened`: it opens as soon as it is there (what htmx brings)."""
    return wrapped("dialog", content, {"id": id, "title": title, "size": size, "opened": opened})


@register.simple_block_tag
def disclosure(content: str, title: str, open: bool = False) -> SafeString:
    """Content behind a line that opens it."""
    return wrapped("disclosure", content, {"title": title, "open": open})


@register.simple_block_tag
def menu(content: str, label: str, icon: str = "more", text: str = "", end: bool = True, primary: bool = False) -> SafeString:
    """A button with a menu of `menu-item` links and buttons. `text` is shown beside the icon; else `label` is its name."""
    return wrapped("menu", content, {"label": label, "icon": icon, "text": text, "end": end, "primary": primary})
