"""What a step that only holds others cannot have as a whole, and what to write instead."""

from __future__ import annotations

from collections.abc import Iterator

from flows.engine.document import Step

_UNFIT = {"": ("timeout", "deadline", "limits"), "agent": ("timeout", "deadline")}
"""What each cannot have, by kind. An agent's `limits` are its bounds."""

_INSTEAD = {
    "agent": {
        "timeout": "Give it `limits: {duration: 5m}`: the time of its turns and calls, without that of people who are asked.",
        "deadline": "Give it `limits: {duration: 5m}`: the time of its turns and calls, without that of people who are asked.",
    },
    "": {
        "timeout": "Give `timeout` to the steps inside it; `limits.duration` of the flow bounds the whole run.",
        "deadline": "Give `deadline` to the steps inside it; `limits.duration` of the flow bounds the whole run.",
        "limits": "Give `limits` to the steps inside it, or to the flow.",
    },
    "subflow": {
        "timeout": "Give `timeout` to the steps of the other flow; `limits.duration` of this flow bounds the whole run.",
        "deadline": "Give `deadline` to the steps of the other flow; `limits.duration` of this flow bounds the whole run.",
        "limits": "Write `limits` into the other flow; they hold for what it does here.",
    },
}
"""What to write instead, by kind."""


def not_as_a_whole(step: Step) -> Iterator[tuple[str, tuple[str, str]]]:
    """What a step that only holds others cannot have: the name, and message and mend. Its items, rounds and steps each succeed
    once, so there is nothing that could be tried again as a whole, and people may be waited for inside."""
    for name in _UNFIT.get(step.kind, _UNFIT[""]):
        if getattr(step, name) is not None:
            yield name, (f"a {step.kind} cannot have `{name}` as a whole", _INSTEAD.get(step.kind, _INSTEAD[""])[name])
