"""What the model is told: what it was asked, what it said, what its calls gave or why they were not made, and its bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flows.execution.jsontext import dump
from flows.steps.prompting import messages_of

MOST_OF_A_RESULT = 20_000
"""Characters of one result that the model is given."""

CONCLUDE = "You have reached a bound of this task ({bound}). Answer now with what you have; no tool can be called any more."

SUMMED_UP = "Your first {turns} turns are not shown any more. What they came to:\n\n{text}"
LEFT_OUT = "Your first {turns} turns are not shown any more."


def conversation(
    opening: Mapping[str, Any], turns: Sequence[Mapping[str, Any]], summary: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """The chat messages up to now; of turns that have been summed up, now (`summary`) or before, only what they came to."""
    summary = summary or summary_of(turns)
    messages = messages_of(opening)
    if summary is not None:
        said = SUMMED_UP if summary["text"] else LEFT_OUT
        messages.append({"role": "user", "content": said.format(turns=summary["turns"], text=summary["text"])})
    return [*messages, *messages_of_turns(turns[summary["turns"] if summary is not None else 0 :])]


def summary_of(turns: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The newest summary, ``{turns, text}``: of how many turns from the first, and what they came to; None where there is none."""
    return next((turn["summary"] for turn in reversed(turns) if turn.get("summary")), None)


def messages_of_turns(turns: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the model said in these turns, and what its calls gave."""
    messages: list[dict[str, Any]] = []
    for turn in turns:
        asked = [_asked(call) for call in turn["calls"]]
        if turn["asked"]:
            messages.append({"role": "assistant", "content": turn["text"] or None, **({"tool_calls": asked} if asked else {})})
        for number, call in enumerate(turn["calls"]):
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": heard_of(call, turn["results"], number)})
    return messages


def heard_of(call: Mapping[str, Any], results: Mapping[str, Any], number: int) -> str:
    """What the model hears of one call: its result as text or JSON, or in words why there is none."""
    if call["verdict"] == "no":
        return f"Error: {call['why']}"
    made = results.get(f"call[{number}]") or {}
    asked = (results.get(f"permission[{number}]") or {}).get("output")
    if isinstance(asked, dict) and made.get("outcome") is None and made.get("error") is None:
        comment = asked.get("comment") or "No reason was given."
        return (
            f"Refused: {'nobody decided in time' if asked.get('by') is None else asked['by'] + ' refused this call'}. {comment}"
        )
    error = made.get("error")
    if error is not None:
        return f"Error: {error['message']}"
    result = made.get("output")
    said = result if isinstance(result, str) else dump(result)
    if len(said) > MOST_OF_A_RESULT:
        return f"{said[:MOST_OF_A_RESULT]}… (cut: {len(said):,} characters)"
    return said


def _asked(call: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": call["id"], "type": "function", "function": {"name": call["tool"], "arguments": dump(call["arguments"])}}
