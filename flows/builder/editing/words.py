"""How the forms of the builder name things. A kind may say it itself, by the `description` of a field of its settings."""

from __future__ import annotations

LABELS = {
    "at_deadline": "At the deadline",
    "at_limit": "At a limit",
    "as": "Name of an item",
    "cases": "Cases, tried in order",
    "else": "Otherwise leave by",
    "ignore_case": "Ignore upper and lower case",
    "max_output": "Longest answer (tokens)",
    "on": "Only these errors",
    "on_error": "When it fails for good",
    "on_item_error": "When an item fails",
    "over": "List to go over",
    "seals": "What is approved",
    "first": "First pause",
    "max": "At most",
    "min": "At least",
    "attempts": "Attempts in all",
    "input": "Input of a run",
    "output": "Output",
    "state": "State",
    "calls": "Calls at most",
    "leash": "Leash",
    "max_turns": "Turns at most",
    "parallel": "Calls at once",
    "tools": "Tools that it may call",
    "quorum": "Votes needed",
    "due": "Deadline",
    "show": "What the approver sees",
    "until": "Until a time",
    "for": "For a while",
    "event": "For an event",
    "values": "Values",
    "when": "When this is true",
    "port": "Leave by",
}

TYPES = {
    "string": "text",
    "number": "number",
    "integer": "whole number",
    "boolean": "yes or no",
    "array": "list",
    "object": "object",
}
"""JSON Schema's types as people say them."""

HELP = {
    "input": "What is filled in when a run is started; steps read it as input.name.",
    "state": "What a run remembers from step to step, and how it begins.",
    "route": "A route tries one model after the other; a single model has no fallback.",
    "max_output": "Empty: what the model's entry says.",
    "cache": "An equal question gets the answer that was given before.",
    "join": "How many of the steps that lead here must finish.",
    "deadline": "All attempts together.",
    "timeout": "One attempt.",
    "cost": "Dollars.",
    "attempts": "The first counts.",
    "over": "An expression that gives a list.",
    "as": "A name for the item beside `item`.",
    "seals": "The tool step whose arguments the approver sees and seals. What is approved is what runs.",
    "editable": "Names that the approver may change, one a line.",
    "due": "Such as 4h or 2d.",
    "quorum": "How many must agree.",
    "policy": "A rule of who decides, how many and until when. It stands above what this step says itself.",
    "outcomes": "The names are the ports; say what each means.",
    "when": 'An expression, such as steps.classify.output.topic == "refund".',
    "approvers": "Nobody chosen: whoever may approve this flow's runs may decide.",
    "prompt": "What the model is asked. Type {{ to insert data.",
    "key": "How expressions name the step.",
    "concurrency": "Bodies that run at once.",
    "calls": "How often it may call this tool; empty: as often as its turns allow.",
    "leash": "Free: called at once. Risky: asked about where it cannot be undone. Ask: always asked about. Never: not there. Whatever "
    "it is, an agent that has read what others wrote asks before it writes.",
    "max_turns": "Questions to the model, the last answer included.",
    "limits": "What this may use before a person is asked or it stops.",
}


def spoken(name: str) -> str:
    """A name of the document as words."""
    text = name.strip("_").replace("_", " ")
    return text[:1].upper() + text[1:]
