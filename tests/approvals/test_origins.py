"""Where a value comes from is read off the document."""

import pytest

from approvals.origins import INPUT, MODEL, PERSON, TOOL, Origins
from flows.engine.document import parse_document

DOCUMENT = """\
orchestrator: 1
name: n
input: {type: object}
steps:
  fetch: {kind: tool, with: {tool: t, arguments: {id: "{{ input.id }}"}}}
  say: {kind: model, with: {route: r, prompt: "{{ steps.fetch.output }}"}}
  sum: {kind: set, with: {values: {a: "{{ input.a }}"}, state: {seen: "{{ steps.fetch.output }}"}}}
  wrap: {kind: set, with: {values: {deep: [{x: "{{ steps.said.output }}"}]}}}
  said: {kind: set, with: {values: {y: "{{ upper(steps.say.output) }}"}}}
  each:
    kind: map
    with:
      over: steps.fetch.output.lines
      body:
        steps: {rate: {kind: model, with: {route: r, prompt: "{{ item }}"}}}
        edges: [start -> rate]
        output: "{{ steps.rate.output }}"
  plain:
    kind: map
    with:
      over: input.lines
      body:
        steps: {up: {kind: set, with: {values: {z: "{{ upper(item) }}"}}}}
        edges: [start -> up]
        output: "{{ steps.up.output }}"
  ask: {kind: approval, with: {title: t, payload: {a: "{{ input.a }}"}}}
  round: {kind: set, with: {values: {r: "{{ steps.round.output }}"}}}
"""


@pytest.mark.parametrize(
    ("template", "origins"),
    [
        ("fixed", set()),
        ("{{ run.number }}", set()),
        ("{{ input.a }}", {INPUT}),
        ("{{ steps.fetch.output.x }}", {TOOL}),
        ("{{ steps.say.output }}", {MODEL}),
        ("{{ steps.wrap.output.deep[0].x }}", {MODEL}),
        ("{{ len(steps.each.output) }}", {MODEL, TOOL}),
        ("{{ state.seen }}", {INPUT, TOOL, MODEL}),
        ("{{ steps.ask.payload.a }}", {PERSON, INPUT}),
        ("{{ steps.round.output }}", set()),
        ({"a": ["{{ input.a }}", {"b": "{{ steps.say.output }}"}]}, {INPUT, MODEL}),
        ("{{ not an expression", {MODEL}),
    ],
)
def test_a_value_is_followed_to_where_it_begins(template: object, origins: set[str]) -> None:
    found = Origins(parse_document(DOCUMENT)).of(template)

    assert found == origins


def test_a_step_is_found_by_its_path_in_a_run() -> None:
    origins = Origins(parse_document(DOCUMENT))

    assert origins.step("ask") is not None
    assert (origins.step("each[7].rate") or ("",))[0] == "rate"
    assert origins.step("nothing") is None
    assert origins.step("") is None
