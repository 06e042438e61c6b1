"""The flows and the catalogue of the fault tests. Each effect and each question names the run and the step that it belongs to."""

from __future__ import annotations

import json

CLAUSES = """\
orchestrator: 1
name: Clauses
input:
  type: object
  required: [clauses, delay]
  properties:
    clauses: {type: array, items: {type: string}}
    delay: {type: number}
limits: {cost: 5.00, at_limit: stop}
steps:
  rate:
    kind: map
    with:
      over: input.clauses
      as: clause
      concurrency: 6
      on_item_error: stop
      body:
        steps:
          assess:
            kind: model
            with:
              route: loop
              prompt: "[[serve: slow delay={{ input.delay }}]] Run {{ run.id }}, clause {{ index }}: {{ clause }}"
              max_output: 100
        edges:
          - start -> assess
        output: "{{ steps.assess.output }}"
  post:
    kind: tool
    with:
      tool: effects.keyed
      arguments: {run: "{{ run.id }}", step: post, count: "{{ len(steps.rate.output) }}"}
edges:
  - start -> rate
  - rate -> post
output: {count: "{{ len(steps.rate.output) }}"}
"""

PARKING = """\
orchestrator: 1
name: Parking
steps:
  approve:
    kind: approval
    with:
      title: Go on
      payload: {run: "{{ run.id }}"}
      outcomes: {approve: approve, reject: reject}
      approvers: {teams: [legal]}
      due: 1h
      at_deadline: reject
  beside:
    kind: tool
    with: {tool: effects.keyed, arguments: {run: "{{ run.id }}", step: beside}}
  after:
    kind: tool
    with: {tool: effects.keyed, arguments: {run: "{{ run.id }}", step: after}}
edges:
  - start -> approve
  - start -> beside
  - approve.approve -> after
output: {by: "{{ steps.approve.output.by }}"}
"""

MARKS = """\
orchestrator: 1
name: Marks
input: {type: object, required: [at], properties: {at: {type: string}}}
state: {rounds: 0}
steps:
  again:
    kind: loop
    with:
      until: state.rounds >= 3
      max: 5
      body:
        steps:
          think:
            kind: model
            retry: {attempts: 8, backoff: exponential, first: 100ms, max: 1s}
            with: {route: loop, prompt: "Run {{ run.id }}, {{ input.at }}, round {{ loop.round }}", max_output: 100}
          mark:
            kind: tool
            with:
              tool: effects.keyed
              arguments: {run: "{{ run.id }}", step: "{{ input.at }}/again[{{ loop.round - 1 }}].mark", count: "{{ loop.round }}"}
          count: {kind: set, with: {state: {rounds: "{{ state.rounds + 1 }}"}}}
        edges: [start -> think, think -> mark, mark -> count]
        output: "{{ steps.mark.output.body.count }}"
edges: [start -> again]
output: "{{ steps.again.output }}"
"""

NESTED = """\
orchestrator: 1
name: Nested
input: {type: object, properties: {fails: {type: boolean}}}
steps:
  each:
    kind: map
    with:
      over: "['a', 'b']"
      concurrency: 2
      body:
        steps:
          ask:
            kind: approval
            with: {title: "Mark {{ item }}", payload: {run: "{{ run.id }}", item: "{{ item }}"}, approvers: {teams: [legal]}}
          inner: {kind: subflow, with: {flow: marks, input: {at: "each[{{ index }}].inner"}}}
        edges: [start -> ask, ask.approve -> inner]
        output: "{{ steps.inner.output }}"
  looked_up:
    kind: tool
    with: {tool: effects.lookup, arguments: {run: "{{ run.id }}", step: looked_up}}
  fails:
    kind: check
    with:
      value: "{{ get(input, 'fails', false) }}"
      rules: [{type: expression, expression: not value}]
edges: [start -> each, each -> looked_up, looked_up -> fails]
output: "{{ steps.each.output }}"
on_error:
  steps:
    tell:
      kind: model
      retry: {attempts: 8, backoff: exponential, first: 100ms, max: 1s}
      with: {route: loop, prompt: "[[serve: slow delay=0.5]] Run {{ run.id }} failed at {{ error.step }}", max_output: 100}
  edges: [start -> tell]
"""
"""A loop in a sub-flow in a map, behind an approval each; with `fails`, an error handler at the end."""

ERRORS = """\
orchestrator: 1
name: Errors
steps:
  ask:
    kind: map
    with:
      over: "[0, 1, 2, 3, 4, 5, 6, 7]"
      concurrency: 4
      body:
        steps:
          one:
            kind: model
            retry: {attempts: 8, backoff: exponential, first: 100ms, max: 1s}
            with: {route: loop, prompt: "Run {{ run.id }}, question {{ index }}", max_output: 100}
        edges: [start -> one]
        output: "{{ steps.one.output }}"
edges: [start -> ask]
output: {answers: "{{ len(steps.ask.output) }}"}
"""


def wide(items: int, delay: float) -> str:
    """A map whose items all wait for a model at once."""
    prompt = f"[[serve: slow delay={delay}]] Run {{{{ run.id }}}}, clause number {{{{ item }}}}"
    body = {
        "steps": {"assess": {"kind": "model", "with": {"route": "loop", "prompt": prompt, "max_output": 100}}},
        "edges": ["start -> assess"],
        "output": "{{ index }}",
    }
    document = {
        "orchestrator": 1,
        "name": "Wide",
        "input": {"type": "array"},
        "steps": {"each": {"kind": "map", "with": {"over": "input", "concurrency": items, "body": body}}},
        "edges": ["start -> each"],
        "output": {"count": "{{ len(steps.each.output) }}"},
    }
    return json.dumps(document)


def chain(tool: str) -> str:
    """Three effects, one after the other."""
    steps = "".join(
        f'  {step}:\n    kind: tool\n    with: {{tool: {tool}, arguments: {{run: "{{{{ run.id }}}}", step: {step}}}}}\n'
        for step in ("first", "middle", "last")
    )
    edges = "edges:\n  - start -> first\n  - first -> middle\n  - middle -> last\n"
    return f"orchestrator: 1\nname: Chain of {tool}\nsteps:\n{steps}{edges}output: {{done: true}}\n"


def agent(tool: str) -> str:
    """An agent that calls one tool, once, and answers."""
    arguments = '{"run": "{{ run.id }}", "step": "research.turn[0].call[0]"}'
    grant = {"tool": tool, "leash": "free"}
    settings = {"route": "mind", "prompt": f"Do it [[sim: tool={tool} {arguments}]]", "tools": [grant], "max_output": 100}
    document = {
        "orchestrator": 1,
        "name": f"Agent with {tool}",
        "steps": {"research": {"kind": "agent", "with": settings}},
        "edges": ["start -> research"],
        "output": {"said": "{{ steps.research.output }}"},
    }
    return json.dumps(document)


def remembering() -> str:
    """Counts its runs in its memory: what it found there, and one more."""
    document = {
        "orchestrator": 1,
        "name": "Remembering",
        "steps": {
            "find": {"kind": "recall", "with": {"names": ["runs"]}},
            "keep": {
                "kind": "remember",
                "with": {"values": {"runs": "{{ default(steps.find.output.runs, 0) + 1 }}", "last": "{{ run.id }}"}},
            },
        },
        "edges": ["start -> find", "find -> keep"],
        "output": {"runs": "{{ steps.keep.output.runs }}"},
    }
    return json.dumps(document)


def purse(branches: int, dollars: int) -> str:
    """Model steps side by side, each of which costs a dollar, and a limit that has room for `dollars` of them."""
    prompt = "[[serve: dear delay=0.3 say=x]] Run {{ run.id }}, branch "
    steps = "".join(
        f'  b{n}:\n    kind: model\n    with: {{route: dear, prompt: "{prompt}{n}", max_output: 1}}\n' for n in range(branches)
    )
    edges = "edges:\n" + "".join(f"  - start -> b{n}\n" for n in range(branches))
    return f"orchestrator: 1\nname: Purse\nlimits: {{cost: {dollars}.00, at_limit: stop}}\nsteps:\n{steps}{edges}output: {{}}\n"


def asking() -> str:
    """Three questions to a model, one after the other."""
    prompt = "[[serve: ok delay=0.2]] Run {{ run.id }}, "
    steps = "".join(
        f'  {step}:\n    kind: model\n    with: {{route: loop, prompt: "{prompt}{step}", max_output: 100}}\n'
        for step in ("first", "middle", "last")
    )
    edges = "edges:\n  - start -> first\n  - first -> middle\n  - middle -> last\n"
    return f"orchestrator: 1\nname: Asking\nsteps:\n{steps}{edges}output: {{done: true}}\n"


def catalogue(model_port: int, effect_port: int) -> str:
    """Models and tools on loopback. A token that `dear` writes costs a dollar, and what it reads is free: what a call costs is then
    known before it is made."""

    def model(slug: str, price: dict[str, str]) -> dict[str, object]:
        return {
            "model": f"openai/{slug}",
            "api_base": f"http://127.0.0.1:{model_port}/v1",
            "api_key_env": "LOOP_KEY",
            "context": 32000,
            "max_output": 200,
            "capabilities": ["json", "streaming"],
            "price": price,
        }

    def tool(name: str, **more: object) -> dict[str, object]:
        properties = {"run": {"type": "string"}, "step": {"type": "string"}, "count": {"type": "integer"}}
        return {
            "kind": "http",
            "method": "POST",
            "url": f"http://127.0.0.1:{effect_port}/{name}",
            "effect": "write",
            "timeout": "20s",
            "arguments": {"type": "object", "required": ["run", "step"], "properties": properties},
            **more,
        }

    document = {
        "models": {
            "loop-1": model("loop-1", {"input": "0.25", "output": "1.00"}),
            "dear-1": model("dear-1", {"input": "0", "output": "1000000.00"}),
            "mind-1": {
                "model": "sim/mind",
                "context": 32000,
                "capabilities": ["tools"],
                "price": {"input": "0.25", "output": "1.00"},
            },
        },
        "routes": {
            "loop": {"candidates": ["loop-1"], "timeout": "60s"},
            "dear": {"candidates": ["dear-1"], "timeout": "60s"},
            "mind": {"candidates": ["mind-1"], "timeout": "60s"},
        },
        "tools": {
            "effects.keyed": tool("keyed", repeat="keyed", idempotency_header="Idempotency-Key"),
            "effects.never": tool("never", repeat="never"),
            "effects.lookup": tool(
                "lookup",
                repeat="lookup",
                idempotency_header="Idempotency-Key",
                find=f"http://127.0.0.1:{effect_port}/find/{{key}}",
            ),
        },
        "allowed_hosts": [f"127.0.0.1:{model_port}", f"127.0.0.1:{effect_port}"],
    }
    return json.dumps(document, indent=1)
