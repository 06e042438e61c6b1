"""What was delivered to a webhook, as it may be shown: without what the flow's input marks as secret or personal."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from flows.engine.expressions import ExpressionError
from flows.engine.masking import MASK, NO_MASK, Mask, has_marks, hidden_in, marked_names, named_in
from flows.models import Firing, Trigger
from flows.runs.documents import document_of
from flows.triggers.settings import mapped_input


def mask_of_body(trigger: Trigger, body: Any) -> Mask:
    """What is hidden of a body: what the mapping carries into marked fields of the input, and what stands under their names."""
    schema = document_of(trigger.flow.published_id).input if trigger.flow.published_id is not None else None
    if not has_marks(schema):
        return NO_MASK
    found = list(named_in(body, marked_names(schema)))
    with suppress(ExpressionError):  # where it does not fit the mapping, which is why it was refused, the names say what they can
        found += hidden_in(mapped_input(trigger.settings, body, "shown", ""), schema)
    return Mask(found)


def shown_body(trigger: Trigger, firing: Firing) -> str:
    """The body of a firing as a page shows it; one that is no JSON is hidden where anything is."""
    if not firing.body:
        return ""
    try:
        body = json.loads(firing.body)
    except ValueError:
        return MASK if has_marked_input(trigger) else firing.body
    mask = mask_of_body(trigger, body)
    return json.dumps(mask.value(body), ensure_ascii=False) if mask else firing.body


def has_marked_input(trigger: Trigger) -> bool:
    """Whether the flow's input has any field that is hidden."""
    published = trigger.flow.published_id
    return published is not None and has_marks(document_of(published).input)
