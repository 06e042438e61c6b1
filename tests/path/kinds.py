"""Flows that together use every kind of step. Each effect names the run and the step that it belongs to."""

from __future__ import annotations

ARGUMENTS = 'arguments: {{run: "{{{{ run.id }}}}", step: {step}}}'


def effect(tool: str, step: str) -> str:
    return f"kind: tool\n    with: {{tool: effects.{tool}, {ARGUMENTS.format(step=step)}}}"


POLISH = """\
orchestrator: 1
name: Polish
input: {type: object, required: [text, rounds], properties: {text: {type: string}, rounds: {type: integer}}}
state: {rounds: []}
steps:
  again:
    kind: loop
    with:
      until: loop.round >= input.rounds
      max: 5
      body:
        steps:
          draft:
            kind: model
            with: {route: loop, prompt: "Run {{ run.id }}, round {{ loop.round }}: {{ input.text }}", max_output: 50}
          noted:
            kind: set
            with: {state: {rounds: "{{ state.rounds + [loop.round] }}"}}
        edges: [start -> draft, draft -> noted]
        output: "{{ steps.draft.output }}"
edges: [start -> again]
output: {text: "{{ steps.again.output }}", rounds: "{{ state.rounds }}"}
"""

ASKED = """\
orchestrator: 1
name: Asked
input: {type: object, required: [message], properties: {message: {type: string}}}
steps:
  draft:
    kind: model
    with: {route: loop, prompt: "Run {{ run.id }}: {{ input.message }}", max_output: 50}
  ask:
    kind: approval
    with: {title: "Send this?", payload: {run: "{{ run.id }}"}, outcomes: {approve: approve, reject: reject}, approvers: {teams: [legal]}}
edges: [start -> draft, draft -> ask]
output: "{{ steps.ask.output.outcome }}: {{ steps.draft.output }}"
"""

FRAGILE = f"""\
orchestrator: 1
name: Fragile
input: {{type: object}}
steps:
  look: {{kind: set, with: {{values: {{found: "{{{{ input.nothing.there }}}}"}}}}}}
edges: [start -> look]
on_error:
  steps:
    tidy:
      {effect("keyed", "fragile/error.tidy")}
  edges: [start -> tidy]
""".replace("\n    with:", "\n      with:")

EVERYTHING = f"""\
orchestrator: 1
name: Everything
input:
  type: object
  required: [items, amount, at]
  properties:
    items: {{type: array, items: {{type: string}}}}
    amount: {{type: number}}
    at: {{type: string}}
limits: {{cost: 5.00, steps: 200, duration: 1h, at_limit: stop}}
state: {{begun: false}}
steps:
  why: {{kind: note, with: {{text: Every kind of step.}}}}
  begin: {{kind: set, with: {{values: {{double: "{{{{ input.amount * 2 }}}}"}}, state: {{begun: true}}}}}}
  decide:
    kind: branch
    with: {{cases: [{{port: large, when: steps.begin.output.double > 100}}], else: small}}
  little: {{kind: set, with: {{values: {{never: true}}}}}}
  keyed:
    {effect("keyed", "keyed")}
    retry: {{attempts: 3, first: 100ms}}
  never:
    {effect("never", "never")}
  lookup:
    {effect("lookup", "lookup")}
  rate:
    kind: map
    with:
      over: input.items
      as: name
      concurrency: 2
      on_item_error: collect
      body:
        steps:
          assess:
            kind: model
            with: {{route: loop, prompt: "Run {{{{ run.id }}}}, item {{{{ index }}}}: {{{{ name }}}}", max_output: 50}}
          ask:
            kind: approval
            with:
              title: "Take {{{{ name }}}}"
              payload: {{name: "{{{{ name }}}}"}}
              outcomes: {{approve: approve, reject: reject}}
              approvers: {{teams: [legal]}}
          refuse: {{kind: set, with: {{values: {{bad: "{{{{ item.no.such }}}}"}}}}}}
        edges: [start -> assess, assess -> ask, ask.reject -> refuse]
        output: "{{{{ steps.ask.output.by }}}}"
  polish: {{kind: subflow, with: {{flow: polish, input: {{text: "{{{{ input.items[0] }}}}", rounds: 2}}}}}}
  fragile: {{kind: subflow, with: {{flow: fragile, input: {{}}}}}}
  mended: {{kind: set, with: {{values: {{step: "{{{{ error.step }}}}", class: "{{{{ error.class }}}}"}}}}}}
  rest: {{kind: wait, with: {{for: 1s}}}}
  moment: {{kind: wait, with: {{until: "{{{{ input.at }}}}"}}}}
  word: {{kind: wait, with: {{event: go, timeout: 1h}}}}
  silence: {{kind: wait, with: {{event: nobody, timeout: 1s}}}}
  quiet: {{kind: set, with: {{values: {{heard: nothing}}}}}}
  rule:
    kind: check
    with:
      value: "{{{{ steps.word.output.text }}}}"
      rules: [{{type: length, max: 3}}]
  long: {{kind: set, with: {{values: {{verdict: "{{{{ steps.rule.output.verdict }}}}"}}}}}}
  shrug: {{kind: set, on_error: continue, with: {{values: {{bad: "{{{{ int(input.items[0]) }}}}"}}}}}}
  first: {{kind: set, join: any, with: {{values: {{seen: true}}}}}}
  research:
    kind: agent
    with:
      route: mind
      prompt: 'Do it [[sim: tool=effects.keyed {{"run": "{{{{ run.id }}}}", "step": "research.turn[0].call[0]"}}]]'
      tools: [{{tool: effects.keyed, leash: free}}]
      max_output: 100
  embed: {{kind: index, with: {{base: terms}}}}
  find: {{kind: retrieve, with: {{base: terms, query: How long may a refund take?, top: 1}}}}
  keep: {{kind: remember, with: {{values: {{run: "{{{{ run.id }}}}", cited: "{{{{ steps.find.output[0].source }}}}"}}}}}}
  recall: {{kind: recall, with: {{names: [run, cited]}}}}
  approve:
    kind: approval
    with:
      title: "Refund {{{{ input.amount }}}}"
      seals: refund
      editable: [count]
      outcomes: {{approve: approve, reject: reject}}
      approvers: {{teams: [legal]}}
  refund:
    kind: tool
    with: {{tool: effects.keyed, arguments: {{run: "{{{{ run.id }}}}", step: refund, count: 7}}}}
edges:
  - start -> begin
  - begin -> decide
  - decide.small -> little
  - decide.large -> keyed
  - keyed -> never
  - never -> lookup
  - lookup -> rate
  - lookup -> polish
  - lookup -> fragile
  - fragile.error -> mended
  - lookup -> rest
  - rest -> moment
  - lookup -> word
  - word -> rule
  - rule.fail -> long
  - lookup -> silence
  - silence.timeout -> quiet
  - lookup -> shrug
  - shrug -> first
  - quiet -> first
  - lookup -> research
  - research -> embed
  - embed -> find
  - find -> keep
  - keep -> recall
  - recall -> approve
  - little -> approve
  - rate -> approve
  - polish -> approve
  - mended -> approve
  - moment -> approve
  - long -> approve
  - first -> approve
  - approve.approve -> refund
output:
  rated: "{{{{ steps.rate.output }}}}"
  polished: "{{{{ steps.polish.output }}}}"
  mended: "{{{{ steps.mended.output }}}}"
  heard: "{{{{ steps.quiet.output.heard }}}}"
  verdict: "{{{{ steps.long.output.verdict }}}}"
  little: "{{{{ steps.little.output }}}}"
  shrug: "{{{{ steps.shrug.error.class }}}}"
  happened: "{{{{ steps.never.output }}}}"
  adopted: "{{{{ steps.lookup.output.key }}}}"
  refund: "{{{{ steps.refund.output.body.count }}}}"
  begun: "{{{{ state.begun }}}}"
  embedded: "{{{{ steps.embed.output.passages }}}}"
  recalled: "{{{{ steps.recall.output }}}}"
  nothing: "{{{{ get(steps.little.output, 'never', 'skipped') }}}}"
"""

CHAIN = f"""\
orchestrator: 1
name: Chain
input: {{type: object, properties: {{delay: {{type: number}}}}}}
limits: {{cost: 1.00, at_limit: pause}}
steps:
  think:
    kind: model
    with: {{route: loop, prompt: "[[serve: slow delay={{{{ get(input, 'delay', 0) }}}}]] Run {{{{ run.id }}}}", max_output: 50}}
  first:
    {effect("keyed", "first")}
  last:
    {effect("keyed", "last")}
edges: [start -> think, think -> first, first -> last]
output: {{first: "{{{{ steps.first.output.id }}}}", last: "{{{{ steps.last.output }}}}"}}
on_error:
  steps:
    tell:
      {effect("keyed", "error.tell")}
  edges: [start -> tell]
""".replace("    tell:\n      kind: tool\n    with:", "    tell:\n      kind: tool\n      with:")

NEVER = f"""\
orchestrator: 1
name: Never
steps:
  once:
    {effect("never", "once")}
edges: [start -> once]
output: "{{{{ steps.once.output }}}}"
"""

DEAR = """\
orchestrator: 1
name: Dear
limits: {cost: 2.00, at_limit: pause}
steps:
  one: {kind: model, with: {route: dear, prompt: "[[serve: dear say=x]] Run {{ run.id }}, one", max_output: 1}}
  two: {kind: model, with: {route: dear, prompt: "[[serve: dear say=x]] Run {{ run.id }}, two", max_output: 1}}
edges: [start -> one, one -> two]
output: "{{ steps.two.output }}"
"""

WAITING = """\
orchestrator: 1
name: Waiting
steps:
  word: {kind: wait, with: {event: go}}
edges: [start -> word]
output: "{{ steps.word.output }}"
"""

OVER = """\
orchestrator: 1
name: Over
input: {type: object}
steps:
  each:
    kind: map
    with: {over: input.list, body: {steps: {x: {kind: set, with: {values: {}}}}, edges: [start -> x], output: "{{ index }}"}}
edges: [start -> each]
output: "{{ steps.each.output }}"
"""

LINE = """\
orchestrator: 1
name: Circle
steps:
  again: {kind: set, with: {values: {}}}
edges: [start -> again]
"""

CIRCLE = LINE.replace("{kind: set, with: {values: {}}}", "{kind: subflow, with: {flow: circle, version: 1}}")
"""Of its version 1; without `version` it would be its own."""

BOUNDLESS = """\
orchestrator: 1
name: Boundless
steps:
  again:
    kind: loop
    with: {until: "false", body: {steps: {x: {kind: set, with: {values: {}}}}, edges: [start -> x], output: "{{ loop.round }}"}}
edges: [start -> again]
"""

FLOWS = {
    "polish": POLISH,
    "fragile": FRAGILE,
    "everything": EVERYTHING,
    "chain": CHAIN,
    "never": NEVER,
    "dear": DEAR,
    "waiting": WAITING,
    "over": OVER,
}
"""By slug, those that others run before the others."""
