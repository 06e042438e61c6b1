"""Forms: label above, help below, the error beside its field and in a summary at the top."""

from __future__ import annotations

from typing import Any

from django import forms, template
from django.forms.boundfield import BoundField
from django.utils.html import format_html
from django.utils.safestring import SafeString

from flows.models.identifiers import new_id

register = template.Library()


@register.inclusion_tag("components/field.html")
def field(bound: BoundField, mono: bool = False, **attributes: Any) -> dict[str, Any]:
    """One field of a form with all that belongs to it. Further arguments are attributes of the control (`autocomplete="off"`);
    an underscore stands for a hyphen."""
    widget = bound.field.widget
    about = [f"{bound.auto_id}-{part}" for part, there in (("error", bound.errors), ("help", bound.help_text)) if there]
    extra = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    if about:
        extra["aria-describedby"] = " ".join(about)
    if isinstance(
        widget, forms.NumberInput
    ):  # a text field that brings up digits: the browser's number field loses what it cannot read
        widget.input_type = "text"
        extra.setdefault("inputmode", "decimal")
    boxed = isinstance(widget, forms.CheckboxInput)
    if not boxed and not isinstance(widget, forms.RadioSelect | forms.CheckboxSelectMultiple):
        extra["class"] = "input mono" if mono else "input"
    return {
        "field": bound,
        "control": bound.as_widget(attrs=extra),
        "kind": "box"
        if boxed
        else "choices"
        if isinstance(widget, forms.RadioSelect | forms.CheckboxSelectMultiple)
        else "select"
        if isinstance(widget, forms.Select) and not widget.allow_multiple_selected
        else "line",
    }


@register.inclusion_tag("components/form_errors.html")
def form_errors(form: forms.BaseForm) -> dict[str, Any]:
    """What is wrong, at the top of the form; takes the focus and leads to each field."""
    wrong = [(bound, error) for bound in form for error in bound.errors]
    return {"form": form, "wrong": wrong, "general": form.non_field_errors()}


@register.simple_tag
def field_in(place: str, fields: str) -> str:
    """The identifier of the field that a fault names by its `place`; empty where the form has none. `fields` are identifiers with bars
    between them, each after the words for it where a fault calls it otherwise: ``model|Valid from=since``. What has rows names
    the row: ``candidates[1].model`` is ``candidates-1``."""
    known = {words or name: name for words, _, name in (each.rpartition("=") for each in fields.split("|"))}
    first = str(place).partition(",")[0].strip()
    base, row, _ = first.partition("[")
    if row and base in known:
        return f"{known[base]}-{first[len(base) + 1 :].partition(']')[0]}"
    return known.get(first) or known.get(first.rpartition(".")[2]) or ""


@register.simple_tag
def form_key(name: str = "key") -> SafeString:
    """A hidden key of this rendering: the same form sent twice does its work once."""
    return format_html('<input type="hidden" name="{}" value="{}">', name, new_id().hex)
