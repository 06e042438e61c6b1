"""Compiling a document: what is refused, and the graph that comes out."""

# ruff: noqa: E501  (a case is one line)

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.engine.document import parse_document
from flows.engine.failures import ExpressionFailed
from flows.engine.graph import compile_flow
from flows.engine.kinds import Catalogue
from flows.engine.problems import DocumentError
from tests.engine.flows import KINDS, make_flow, problems_of
from tests.work import calls_made

DEMO = Path(__file__).parents[2] / "orchestrator" / "demo_flows"
CATALOGUE = Catalogue(
    routes=frozenset({"balanced"}),
    tools={
        "refunds.create": {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "number"}}},
        "mail.send": {"type": "object", "properties": {"text": {}}},
        "reports.create": None,
    },
)


def setting(**values: Any) -> dict[str, Any]:
    return {"kind": "set", "with": {"values": values}}


def mapped(body: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"kind": "map", "with": {"over": "input.list", "body": {"output": "{{ item }}", **body}, **more}}


@pytest.mark.parametrize("name", ["refund_decision", "contract_check"])
def test_shipped_flows_compile_without_a_warning(name):
    flow = compile_flow(parse_document((DEMO / f"{name}.yaml").read_text()), KINDS, CATALOGUE)

    assert flow.warnings == ()
    assert len(flow.hash) == 64


def test_the_refund_flow_has_the_graph_that_its_edges_say():
    graph = compile_flow(parse_document((DEMO / "refund_decision.yaml").read_text()), KINDS).graph
    classify, refund = graph.nodes["classify"], graph.nodes["refund"]

    assert list(graph.nodes) == ["classify", "decide", "approve", "refund", "notify"]
    assert graph.start == ("classify",)
    assert refund.incoming == (("decide", "small"), ("approve", "approve"))
    assert classify.outgoing == {"done": ("decide",), "error": ("notify",)}
    assert graph.nodes["decide"].ports == {"large", "small", "other"}
    assert (classify.timeout, classify.retry.attempts, classify.index) == (30.0, 3, 0)
    assert graph.output is not None
    assert graph.output.render({"steps": {"refund": {"output": None}}}) == {"refunded": False}


@pytest.mark.parametrize(
    ("steps", "edges", "said"),
    [
        ({"a": {"kind": "modle"}}, ["start -> a"], "steps.a.kind: unknown kind `modle`. Did you mean `model`?"),
        ({"a": {"kind": "zzz"}}, ["start -> a"], "Known here: `agent`, `approval`, `branch`"),
        ({"a": {"kind": "set", "with": {"vlaues": {}}}}, ["start -> a"], "steps.a.with.vlaues: unknown key `vlaues`. Did you mean `values`?"),
        ({"a": setting()}, ["start -> a", "a -> bb"], "edges[1]: the edge `a -> bb` leads to `bb`, which is no step"),
        ({"a": setting()}, ["start -> a", "aa -> a"], "edges[1]: the edge `aa -> a` begins at `aa`, which is no step. Did you mean `a`?"),
        ({"a": setting(), "b": setting()}, ["start -> a", "a.dnoe -> b"], "`a` has no port `dnoe`. Its ports are `done`, `error`"),
        ({"a": setting()}, ["start -> a", "start -> a"], "edges[1]: the edge `start -> a` stands here twice (first as edges[0])"),
        ({"a": setting()}, ["start -> a", "a -> start"], "Nothing can lead to `start`"),
        ({"a": setting()}, ["start.x -> a"], "`start` has no port `x`"),
        (
            {"a": setting(), "b": setting(), "c": setting()},
            ["start -> a", "a -> b", "b -> c", "c -> b"],
            "steps.b: the steps `b`, `c` lead in a circle (b -> c -> b). A flow has no free cycles; repeat steps with a `loop` or `map`",
        ),
        ({"a": setting()}, ["start -> a", "a -> a"], "the steps `a` lead in a circle"),
        ({"a": setting(), "b": setting()}, ["start -> a"], "steps.b: the step `b` can never be reached"),
        ({}, [], "steps: there are no steps"),
        ({"input": setting()}, ["start -> input"], "steps.input: the key `input` is reserved"),
        ({"Foo": setting()}, ["start -> Foo"], "steps.Foo: the key `Foo` is not allowed"),
        ({"a": setting(), "n": {"kind": "note"}}, ["start -> a", "a -> n"], "leads to the note `n`"),
        ({"a": setting(x="{{ a b }}")}, ["start -> a"], "steps.a.with.values.x: this is not an expression"),
        ({"a": setting(x="{{ input.__class__ }}")}, ["start -> a"], "steps.a.with.values.x: `__class__` does not exist"),
        ({"a": setting(x="{{ steps.b.output }}"), "b": setting()}, ["start -> a", "a -> b"], "`steps.b` does not come before `a`"),
        ({"a": setting(x="{{ steps.a.output }}")}, ["start -> a"], "`steps.a` is this step itself"),
        ({"a": setting(x="{{ steps.bb.output }}")}, ["start -> a"], "there is no step `bb`"),
        ({"a": setting(x=1), "b": setting(y="{{ steps.a.output.z }}")}, ["start -> a", "a -> b"], "`steps.a.output.z` does not exist"),
        ({"a": setting(x=1), "b": setting(y="{{ steps.a.x }}")}, ["start -> a", "a -> b"], "Did you mean `steps.a.output.x`?"),
        ({"a": setting(x="{{ input.amout }}")}, ["start -> a"], "`input.amout` does not exist. Did you mean `amount`?"),
        ({"a": setting(x="{{ input.amount.y }}")}, ["start -> a"], "`input.amount.y` cannot exist: `input.amount` is a number"),
        ({"a": setting(x="{{ item }}")}, ["start -> a"], "`item` exists only in the body of a map"),
        ({"a": setting(x="{{ loop.round }}")}, ["start -> a"], "`loop` exists only in the body of a loop"),
        ({"a": setting(x="{{ error.message }}")}, ["start -> a"], "`error` exists only behind an error edge"),
        ({"a": setting(x="{{ state.x }}")}, ["start -> a"], "the flow's `state` has no `x` and no step sets it"),
        ({"a": setting(x="{{ run.nmae }}")}, ["start -> a"], "`run.nmae` does not exist"),
        ({"a": setting(x="{{ inptu }}")}, ["start -> a"], "there is no name `inptu` here. Did you mean `input`?"),
        ({"a": setting(x="{{ len }}")}, ["start -> a"], "`len` is a function. Write len(value)"),
        ({"a": {"kind": "branch", "with": {"cases": [{"port": "error", "when": "true"}]}}}, ["start -> a"], "`error` cannot be the name of a port"),
        (
            {"a": {"kind": "branch", "with": {"cases": [{"port": "x", "when": "{{ true }}"}]}}},
            ["start -> a"],
            "steps.a.with.cases[0].when: sets are not JSON values; write a list in square brackets (in `{{ true }}`). Write the expression without",
        ),
        ({"a": {**setting(), "timeout": "0s"}}, ["start -> a"], "steps.a.timeout: `timeout` must be longer than nothing"),
        (
            {"m": mapped({"steps": {"x": setting(q="{{ itm }}")}, "edges": ["start -> x"]})},
            ["start -> m"],
            "steps.m.with.body.steps.x.with.values.q: there is no name `itm` here. Did you mean `item`?",
        ),
        (
            {"m": mapped({"steps": {"x": setting(q="{{ steps.b.output }}")}, "edges": ["start -> x"]}), "b": setting()},
            ["start -> m", "m -> b"],
            "`steps.b` does not come before `m`",
        ),
        ({"m": mapped({"steps": {"x": setting()}, "edges": []})}, ["start -> m"], "steps.m.with.body.steps.x: the step `x` can never be reached"),
        ({"m": mapped({"steps": {"x": setting()}, "edges": ["start -> x"]}, **{"as": "input"})}, ["start -> m"], "`input` cannot name the item"),
    ],
)  # fmt: skip
def test_it_refuses(steps, edges, said):
    schema = {"type": "object", "properties": {"amount": {"type": "number"}, "list": {"type": "array"}}}

    assert any(said in problem for problem in problems_of(steps, edges, input=schema)), problems_of(steps, edges, input=schema)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "strin"}, "input.type: this is not JSON Schema"),
        ({"$ref": "https://example.com/x"}, "input.$ref: a `$ref` leads only to a part of the same schema"),
        ({"$ref": "#/$defs/x"}, "leads to nothing"),
        ({"properties": {"a": {"pattern": "(?=x)"}}}, "input.properties.a.pattern: the pattern `(?=x)` cannot be used"),
        ({"unevaluatedProperties": False}, "is not available here"),
    ],
)
def test_it_refuses_an_input_schema_that_cannot_be_used(schema, said):
    assert any(said in problem for problem in problems_of({"a": setting()}, ["start -> a"], input=schema))


def test_it_accepts_what_can_exist():
    steps = {
        "a": {"kind": "set", "with": {"values": {"x": 1}, "state": {"seen": "{{ true }}"}}},
        "m": mapped(
            {"steps": {"x": setting(q="{{ one.z + steps.a.output.x + index + run.number }}", s="{{ state.seen }}")}, "edges": ["start -> x"],
             "output": {"q": "{{ steps.x.output.q }}"}}, **{"as": "one"},
        ),
        "t": {"kind": "tool", "with": {"tool": "mail.send", "arguments": {"text": "{{ error.message }} {{ error.class }}"}}},
        "b": setting(first="{{ steps.m.output[0].q }}", later="{{ get(steps, 'zzz.output', 1) }}", own="{{ [y for y in input.list] }}"),
    }  # fmt: skip

    assert (
        problems_of(steps, ["start -> a", "a -> m", "m.error -> t", "m -> b", "t -> b"], output="{{ steps.b.output.first }}")
        == []
    )


def test_a_name_of_a_comprehension_is_none_of_the_flow():
    assert problems_of({"a": setting(x="{{ [item for item in input.list] }}")}, ["start -> a"]) == []


def test_notes_are_left_out():
    flow = make_flow({"n": {"kind": "note", "with": {"text": "{{ not read"}}, "a": setting()}, ["start -> a"])

    assert list(flow.graph.nodes) == ["a"]
    assert flow.graph.nodes["a"].index == 0


def test_it_names_everything_at_once():
    steps = {"a": {"kind": "modle"}, "b": setting(x="{{ steps.zz.output }}", y="{{ 1 + }}"), "c": setting()}

    assert len(problems_of(steps, ["start -> b", "b.x -> c", "b -> d"])) == 6  # kind, unreached, two texts, port, target


def test_what_the_catalogue_lacks_is_an_error_or_a_warning():
    steps = {
        "a": {"kind": "model", "with": {"route": "balancd", "prompt": "x"}},
        "t": {"kind": "tool", "with": {"tool": "mail.snd"}},
    }
    edges = ["start -> a", "a -> t"]

    assert problems_of(steps, edges, CATALOGUE) == [
        "steps.a.with.route: the route `balancd` is not in the catalogue. Did you mean `balanced`?",
        "steps.t.with.tool: the tool `mail.snd` is not in the catalogue. Did you mean `mail.send`?",
    ]
    assert len(make_flow(steps, edges).warnings) == 2
    assert len(make_flow(steps, edges, CATALOGUE, lenient=True).warnings) == 2


def test_rendering_gives_the_settings_by_field_name():
    flow = make_flow(
        {
            "a": setting(),
            "b": {"kind": "approval", "with": {"title": "About {{ input.x }}", "show": {"n": "{{ input.n }}"}, "due": "4h"}},
        },
        ["start -> a", "a -> b"],
    )
    rendered = flow.graph.nodes["b"].render({"input": {"x": "it", "n": 3}})

    assert rendered["title"] == "About it"
    assert rendered["show"] == {"n": 3}
    assert rendered["due"] == "4h"
    assert rendered["quorum"] == 1
    assert rendered["approvers"] == {"people": [], "teams": []}


def test_rendering_leaves_bare_expressions_and_bodies_to_the_planner():
    node = make_flow({"m": mapped({"steps": {"x": setting()}, "edges": ["start -> x"]})}, ["start -> m"]).graph.nodes["m"]

    assert node.render({})["over"] == "input.list"
    assert "body" not in node.render({})
    assert node.expressions["over"].evaluate({"input": {"list": [1]}}) == [1]
    assert node.body is not None
    assert list(node.body.nodes) == ["x"]


def test_a_failed_rendering_names_step_and_field():
    node = make_flow({"a": setting(x="{{ input.note.y }}")}, ["start -> a"]).graph.nodes["a"]

    with pytest.raises(ExpressionFailed, match=r"steps\.a\.with\.values: `input\.note` is null"):
        node.render({"input": {"note": None}})


def test_the_work_of_compiling_grows_with_the_steps_and_no_faster():
    def work(count: int) -> int:
        steps = {f"s{n}": setting(x="{{ steps.s0.output.x }}" if n else 1) for n in range(count)}
        edges = ["start -> s0", *(f"s{n} -> s{n + 1}" for n in range(count - 1))]
        return calls_made(lambda: make_flow(steps, edges))

    work(10)  # what is done once in a process

    assert work(800) < 4.5 * work(200)


def test_problems_stand_in_the_order_of_the_text():
    with pytest.raises(DocumentError) as failure:
        make_flow({"a": {"kind": "x"}, "b": {"kind": "y"}}, ["q -> r"])

    lines = [problem.line for problem in failure.value.problems]
    assert lines == sorted(line or 0 for line in lines)
