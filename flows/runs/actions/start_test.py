"""Testing the draft of a flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from flows.access.actor import Actor
from flows.access.refusals import Conflict, Fault, Invalid
from flows.access.rights import Right, require
from flows.engine.document import FlowDocument, Limits, dump_document, load_document, version_hash
from flows.engine.excerpt import excerpt, excerpt_of_handler
from flows.engine.graph import Flow as CompiledFlow
from flows.engine.graph import compile_flow
from flows.engine.problems import DocumentError
from flows.engine.yamltext import parse_yaml
from flows.execution.handling import Handling
from flows.models import Flow, FlowVersion, Run, ToolEntry
from flows.runs.actions.pin_output import flow_to_test
from flows.runs.actions.start_run import FlowArchived
from flows.runs.beginning import begin_run, input_text, lowest, require_simulated_models
from flows.runs.limits import limits_given
from flows.runs.testing.standins import StandIn, pins_of, stand_ins
from flows.runs.testing.supposing import IN_HANDLER, in_handler, stand_ins_of_failure, supposed_failure
from flows.steps import known_kinds

Extent = Literal["draft", "to", "only"]
Decider = Literal["tester", "approve", "reject"]


class DraftMoved(Conflict):
    """The draft was changed since you read it. Test it as it is now, or read it again."""

    slug = "stale-revision"


class DraftBroken(Invalid):
    """The draft cannot run as it is. Nothing was started."""

    slug = "draft-broken"


def start_test(
    actor: Actor,
    slug: str,
    input: Any = None,  # noqa: A002 - the word of the document
    *,
    extent: Extent = "draft",
    step: str | None = None,
    revision: int | None = None,
    simulate: bool = True,
    real_tools: Sequence[str] = (),
    decide: Decider = "tester",
    skip_waits: bool = True,
    limits: Mapping[str, Any] | None = None,
    source: str = "page",
) -> Run:
    """Runs the flow's draft as it is stored, marked as a test: the whole of it, or `to` a step of the flow itself with what leads
    there, or `only` that step, whose upstream values stand in as `stand_ins` says. For a step of the error handler, `error.notify`, the
    flow's own steps stand in and one of them is supposed to have failed, as `supposed_failure` says.

    Pinned results are used instead of the steps, but not of the step that is asked for. Models are simulated unless `simulate` is
    False. Tools that write are dry but for `real_tools`, for which the actor must hold the right to publish. Approvals are decided
    by whoever tests (`answer_test`), or each the same way. The test keeps its document. Raises `NotFound`, `Forbidden`,
    `FlowArchived`, `DraftMoved`, `DraftBroken`, `InputRefused` and `Invalid` naming each place.
    """
    flow = flow_to_test(actor, slug)
    require(actor, Right.EDIT_FLOWS, flow)
    require(actor, Right.START_RUNS, flow)
    if flow.archived_at is not None:
        raise FlowArchived
    if revision is not None and revision != flow.revision:
        raise DraftMoved(f"The draft is at revision {flow.revision}. Test it as it is now, or read it again.")
    compiled = compiled_draft(flow, extent, step)
    _require_tools(actor, flow, compiled, real_tools)
    if simulate:
        require_simulated_models()
    fails: dict[str, dict[str, str]] = {}
    if step is not None and extent != "draft" and in_handler(step):
        failing, failure = supposed_failure(actor, flow, compiled)
        fails = {failing: failure}
        given = stand_ins_of_failure(actor, flow, compiled, failing, step if extent == "only" else None)
    elif extent == "only" and step is not None:
        given = stand_ins(actor, flow, compiled, step)
    else:
        pinned = pins_of(flow).items()
        given = {path: StandIn(done, "pinned") for path, done in pinned if path in compiled.graph.nodes and path != step}
    document = compiled.document
    return begin_run(
        actor,
        flow,
        tested_version(actor, flow, document).id,
        input_text(input, document.input),
        lowest(document.limits, limits_given(limits), Limits.model_validate(flow.ceiling)),
        source=source,
        purpose="test",
        handling=Handling(
            simulate=simulate,
            dry=True,
            real_tools=frozenset(real_tools),
            decide=decide,
            skip_waits=skip_waits,
            given={path: each.done for path, each in given.items()},
            sources={path: each.source for path, each in given.items()},
            fails=fails,
        ),
    )


def compiled_draft(flow: Flow, extent: Extent = "draft", step: str | None = None) -> CompiledFlow:
    """The draft as it runs: all of it, or what `extent` says. Raises `DraftBroken`, and `Invalid` where there is no such step."""
    try:
        value = parse_yaml(flow.draft).value
        if extent != "draft" and step is not None and in_handler(step):
            value = excerpt_of_handler(value, _known(value.get("on_error") or {}, step.removeprefix(IN_HANDLER), IN_HANDLER))
        elif extent != "draft":
            value = excerpt(value, _known(value, step))
        return compile_flow(load_document(value), known_kinds())
    except DocumentError as error:
        raise DraftBroken(problems=[Fault(each.path, each.message, each.mend) for each in error.problems]) from error


def _known(part: Any, step: str | None, prefix: str = "") -> str:
    """The step, where the flow or its error handler (whose paths have the `prefix`) has it. Raises `Invalid`."""
    steps = part.get("steps") or {}
    if step is not None and step in steps:
        return step
    outer = (step or "").partition(".")[0]
    if outer in steps:
        fault = Fault("step", f"`{prefix}{step}` stands inside `{prefix}{outer}`", "Test that: what is inside it runs with it.")
    else:
        fault = Fault("step", f"{(prefix + (step or ''))[:60]!r} is no step of the draft", "Name one of its steps.")
    raise Invalid("The step cannot be tested.", problems=[fault])


def _require_tools(actor: Actor, flow: Flow, compiled: CompiledFlow, real_tools: Sequence[str]) -> None:
    """A real call in a test goes past what guards a published flow, so it takes the right to publish by oneself, and no seal."""
    if not real_tools:
        return
    require(actor, Right.PUBLISH_FLOWS, flow)
    faults = []
    if flow.needs_second:
        faults.append(Fault("real_tools", "cannot be used: publishing this flow takes two", "Leave its tools dry."))
    known = set(ToolEntry.objects.filter(slug__in=list(real_tools)).values_list("slug", flat=True))
    faults += [Fault("real_tools", f"{slug[:60]!r} is no tool of the catalogue") for slug in real_tools if slug not in known]
    nodes = compiled.graph.nodes
    for key, node in nodes.items():
        sealed = str(getattr(node.settings, "seals", None))
        tool = getattr(nodes[sealed].settings, "tool", None) if sealed in nodes else None
        if tool in real_tools:
            fault = f"{tool} is sealed by the approval `{key}`, and a test cannot decide for its approvers"
            faults.append(Fault("real_tools", fault, "Leave it dry."))
    if faults:
        raise Invalid("The test cannot be started.", problems=faults)


def tested_version(actor: Actor, flow: Flow, document: FlowDocument) -> FlowVersion:
    """The document as it is tested: kept once, without a number."""
    text, digest = dump_document(document), version_hash(document)
    known = FlowVersion.objects.filter(flow=flow, number=None, hash=digest, document=text).first()
    return known or FlowVersion.objects.create(flow=flow, document=text, hash=digest, created_by=actor.person)
