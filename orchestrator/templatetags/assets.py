"""Where the built files are, and icons."""

import json
from pathlib import Path
from typing import Any

from django import template
from django.conf import settings
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

MANIFEST = Path(settings.BASE_DIR) / "static" / "build" / "manifest.json"
UNBUILT = {"icons.svg": "icons.svg"}  # what stands in static/ by itself
_read: dict[str, Any] = {"at": None, "files": {}}


@register.simple_tag
def asset(name: str) -> str:
    """The address of a built file, such as ``site.js``; `frontend/build.mjs` names them by their contents."""
    try:
        at = MANIFEST.stat().st_mtime_ns
        if _read["at"] != at:
            _read.update(files=json.loads(MANIFEST.read_text(encoding="utf-8")), at=at)
    except (OSError, ValueError):
        return static(UNBUILT.get(name, f"build/{name}"))  # not built yet
    return static(f"build/{_read['files'].get(name, name)}")


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """One drawing of static/icons.svg. Without a label it is an ornament beside words."""
    return drawn(name, label)


def drawn(name: str, label: str = "") -> SafeString:
    sprite = asset("icons.svg")
    if label:
        shown = '<svg class="icon" role="img" aria-label="{}" data-icon="{}"><use href="{}#{}"/></svg>'
        return format_html(shown, label, name, sprite, name)
    return format_html('<svg class="icon" aria-hidden="true" data-icon="{}"><use href="{}#{}"/></svg>', name, sprite, name)
