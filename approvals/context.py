"""What a person needs in order to decide: facts first, a model's words apart from them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from approvals.models import HeldDecision, Vote
from approvals.origins import INPUT, MODEL, PERSON, TOOL, Origins
from approvals.questions import DECIDED, FOLLOWS, LABELS, is_question, why_not
from approvals.rules import SelfApproval, mask_of_request, wanted
from approvals.standing import require_decision
from flows.access.actor import Actor
from flows.access.querysets import runs_for
from flows.access.refusals import Forbidden
from flows.access.rights import Right
from flows.engine.agents import conversation_around
from flows.engine.canonical import canonical
from flows.engine.masking import MASK, Mask
from flows.engine.problems import DocumentError
from flows.engine.states import OPEN_REQUEST_STATES
from flows.models import Person, Request, ToolEntry
from flows.runs.documents import document_of
from flows.runs.inspection import subflows_around
from flows.runs.progress import StepLine, progress_of

LONG = 120  # characters: longer text gets a line of its own
EFFECTS = {"read": "only reads", "write": "changes the world"}
VERBS = {
    "approved": "Approved",
    "rejected": "Rejected",
    "changes_requested": "Changes requested",
    "expired": "Expired",
    "withdrawn": "Withdrawn",
}
ORDER = {"reject": 0, "changes": 1, "approve": 2}


@dataclass(frozen=True, slots=True)
class Value:
    """One named value as it is shown. `by_model`: a model wrote it, or it was computed from what a model wrote."""

    name: str
    value: Any
    origins: frozenset[str] = frozenset()
    editable: bool = False

    @property
    def by_model(self) -> bool:
        return MODEL in self.origins

    @property
    def hidden(self) -> bool:
        """Whether it, or a part of it, is kept from view."""
        return any(isinstance(each, str) and MASK in each for each in leaves(self.value))

    @property
    def is_scalar(self) -> bool:
        return not isinstance(self.value, (dict, list))

    @property
    def is_long(self) -> bool:
        return isinstance(self.value, str) and (len(self.value) > LONG or "\n" in self.value)

    @property
    def is_lines(self) -> bool:
        """Whether it is a short list of texts and numbers."""
        return (
            isinstance(self.value, list)
            and 0 < len(self.value) <= 50
            and not any(isinstance(each, (dict, list)) for each in self.value)
        )

    @property
    def text(self) -> str:
        if self.value is None:
            return "nothing"
        if isinstance(self.value, bool):
            return "yes" if self.value else "no"
        return self.value if isinstance(self.value, str) else json.dumps(self.value, ensure_ascii=False)

    @property
    def is_words(self) -> bool:
        """Whether it holds text, as against a number or a truth value."""
        return any(isinstance(each, str) for each in leaves(self.value))

    @property
    def source(self) -> str:
        """Where it comes from, in words; empty where the flow itself says it."""
        if MODEL in self.origins:
            return "written by a model" if self.is_words else "computed from a model’s answer"
        if TOOL in self.origins:
            return "answered by a tool"
        if PERSON in self.origins:
            return "by a person"
        return "from the run’s input" if INPUT in self.origins else ""


def leaves(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from leaves(each)
    else:
        yield value


@dataclass(frozen=True, slots=True)
class Outcome:
    """A button: what it decides, what that means, what the flow does then."""

    name: str
    meaning: str
    then: str

    question: bool = False  # whether it is a choice that the engine offers
    refusal: str = ""  # why this person may not choose it

    @property
    def label(self) -> str:
        if self.question:
            return LABELS[self.name]
        return {"changes": "Request changes"}.get(self.name, self.name.replace("_", " ").replace("-", " ").capitalize())

    @property
    def plain_meaning(self) -> str:
        """Said beside a name that does not say it itself."""
        if self.question:
            return ""
        said = {"approve": "approves", "reject": "rejects", "changes": "asks for changes"}[self.meaning]
        return "" if self.name.lower().startswith(self.meaning[:6]) else said


@dataclass(frozen=True, slots=True)
class Urgency:
    """How a deadline is shown: calm, then soon at half of the time, then urgent at a fifth."""

    level: str
    words: str


@dataclass(slots=True)
class Context:
    """Everything that the page of a request shows."""

    request: Request
    arguments: list[Value] = field(default_factory=list)
    whole: Any = None  # the payload where it is no object
    facts: list[Value] = field(default_factory=list)
    words: list[Value] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    tool: ToolEntry | None = None
    step: str = ""
    traced: bool = False  # whether the flow's document tells where values come from
    title_by_model: bool = False
    votes: list[Vote] = field(default_factory=list)
    edits: list[dict[str, str]] = field(default_factory=list)
    refusal: str = ""  # why this person may not decide
    own: bool = False
    may_reveal: bool = False  # look at what is hidden of the run
    may_decide: bool = False
    question: dict[str, Any] = field(default_factory=dict)  # what the engine asks
    given: dict[str, Any] | None = None  # what was entered with the choice
    sees_run: bool = False
    sees_costs: bool = False
    progress: list[StepLine] = field(default_factory=list)

    @property
    def mask(self) -> Mask:
        return mask_of_request(self.request)

    @property
    def is_open(self) -> bool:
        return self.request.state in OPEN_REQUEST_STATES

    @property
    def simulated(self) -> bool:
        """Whether what was spent so far was simulated."""
        return any(line.simulated for line in self.progress)

    @property
    def given_is_shown(self) -> bool:
        """A new limit is for those who may see costs."""
        return self.sees_costs or self.request.kind != "budget"

    @property
    def sent_at(self) -> datetime | None:
        """When the call was sent whose outcome is not known."""
        at = self.question.get("sent_at")
        return datetime.fromisoformat(at) if isinstance(at, str) else None

    @property
    def result_schema(self) -> Any:
        return self.request.terms.get("result_schema")

    @property
    def short_hash(self) -> str:
        return self.request.payload_hash[:12]

    @property
    def quorum(self) -> int:
        return max(1, int(self.request.terms.get("quorum") or 1))

    @property
    def approvals(self) -> int:
        return sum(vote.revision == self.request.revision for vote in self.votes)

    @property
    def wanted(self) -> str:
        return " or ".join(wanted(self.request))

    @property
    def decided(self) -> str:
        return decided_in_words(self.request)

    @property
    def policy(self) -> str:
        """The policy under which it is asked, with its version; empty where its step says itself who decides."""
        terms = self.request.terms
        return (
            f"{terms.get('policy_name') or terms['policy']} (v{terms['policy_version']})" if terms.get("policy_version") else ""
        )

    @property
    def tripped(self) -> list[tuple[str, str]]:
        """The values that the policy's condition looked at."""
        values = self.request.terms.get("values") or {}
        return [(name, plain(value)) for name, value in self.mask.value(values).items()]

    @property
    def ladder(self) -> list[str]:
        """What happens while nobody decides, rung by rung."""
        return [rung_in_words(rung) for rung in self.request.terms.get("ladder") or []]

    @property
    def reason_needed(self) -> str:
        return {"always": "A reason is needed.", "reject": "A reason is needed to reject or to ask for changes."}.get(
            self.request.terms.get("reason", ""), ""
        )

    @property
    def confirm(self) -> str:
        """The field whose value has to be typed in order to approve."""
        name = self.request.terms.get("confirm") or ""
        return name if any(each.name == name for each in self.arguments) else ""

    @property
    def locked(self) -> list[str]:
        """The fields that nobody may edit, where others may be."""
        if not any(each.editable for each in self.arguments):
            return []
        return [each.name for each in self.arguments if not each.editable]

    @property
    def at_deadline(self) -> str:
        return deadline_in_words(self.request)


def decided_in_words(request: Request) -> str:
    """Who decided what: "Approved by First approver"."""
    verb = VERBS.get(request.state, request.state)
    if request.state == "withdrawn":
        return "Withdrawn: its run has ended" if not is_question(request) else "Withdrawn: it is not needed any more"
    if is_question(request) and request.outcome in DECIDED:
        verb = DECIDED[request.outcome]
        return f"{verb} by {request.decided_by}" if request.decided_by is not None else verb
    outcome = request.outcome
    odd = outcome and outcome.lower() not in verb.lower() and not verb.lower().startswith(outcome.lower()[:6])
    name = f"{verb} (“{outcome}”)" if odd else verb
    return f"{name} by {request.decided_by}" if request.decided_by is not None else name


def deadline_in_words(request: Request) -> str:
    """What happens when the time is over."""
    chosen = request.terms.get("at_deadline")
    outcomes = request.terms.get("outcomes") or {}
    if request.due is None:
        return ""
    if request.terms.get("escalated"):
        return "The time is over; it stays open and was escalated."
    if isinstance(chosen, str) and outcomes.get(chosen) == "reject":
        return f"Then it is decided as “{chosen}”."
    return "Then it stays open and is escalated."


def rung_in_words(rung: Mapping[str, Any]) -> str:
    """One rung: "after 2h it is handed up to legal"."""
    names = ", ".join([*rung.get("people", []), *rung.get("teams", [])])
    to = f" to {names}" if names else ""
    does = {"remind": "those who may decide are reminded", "escalate": f"it is handed up{to}", "reject": "it is rejected"}
    return f"after {rung.get('words', '')} {does.get(str(rung.get('act')), '')}"


def urgency_of(request: Request, now: datetime | None = None) -> Urgency:
    """Calm until half of the time is left, then soon, at a fifth urgent; each with its word."""
    if request.due is None:
        return Urgency("none", "no deadline")
    left = request.due - (now or timezone.now())
    whole = max(request.due - request.created_at, timedelta(seconds=1))
    if left <= timedelta(0):
        return Urgency("urgent", "overdue")
    share = left / whole
    return Urgency("urgent", "urgent") if share <= 0.2 else Urgency("soon", "soon") if share <= 0.5 else Urgency("calm", "due")


def context_of(actor: Actor, request: Request, tools: Mapping[str, ToolEntry]) -> Context:
    """What the page shows to this actor; `request` has its run, flow, version and decider. `tools` has the one that it would call."""
    page = Context(request)
    if is_question(request):
        return _question_page(page, actor, tools)
    mask = page.mask
    payload, shown = mask.read(request.payload), mask.read(request.show)
    origins = _origins(request)
    step = origins.step(request.path) if origins is not None else None
    if step is None or step[1].kind != "approval":
        origins = step = None  # what cannot be traced counts as a model's
    page.traced = step is not None
    settings: Mapping[str, Any] = step[1].with_ if step is not None else {}
    page.step = (step[1].label or step[0]) if step is not None else request.path
    page.title_by_model = origins is not None and MODEL in origins.of(settings.get("title", ""))
    _add_payload(page, payload, origins, settings)
    _add_shown(page, shown, origins, settings.get("show"))
    page.outcomes = sorted(
        (
            Outcome(name, meaning, _then(origins, step[0] if step else "", name))
            for name, meaning in (request.terms.get("outcomes") or {}).items()
        ),
        key=lambda each: ORDER.get(each.meaning, 1),
    )
    page.tool = tools.get(tool_in(request))
    page.votes = list(request.votes.select_related("person").order_by("id"))
    page.edits = edits_of(request)
    _add_rights(page, actor)
    return page


def tool_in(request: Request) -> str:
    """The tool whose call is decided on, or of which nobody knows what became; empty where there is none."""
    slug = json.loads(request.payload).get("tool") if request.kind == "unknown" else request.terms.get("tool")
    return slug if isinstance(slug, str) else ""


def _question_page(page: Context, actor: Actor, tools: Mapping[str, ToolEntry]) -> Context:
    """What the engine asks: the facts are its own, and only the arguments of a call come from the flow."""
    request = page.request
    payload = page.mask.read(request.payload)
    page.step = request.path
    page.question = payload
    page.given = (
        page.mask.read(request.answer) if request.answer is not None and request.outcome in {"raise", "happened"} else None
    )
    if request.kind == "unknown":
        arguments = payload.get("arguments")
        if isinstance(arguments, dict):
            page.arguments = [Value(name, value) for name, value in arguments.items()]
        page.tool = tools.get(tool_in(request))
    page.votes = list(request.votes.select_related("person").order_by("id"))
    _add_rights(page, actor)
    page.outcomes = [
        Outcome(name, meaning, FOLLOWS.get(name, ""), True, why_not(actor, request, name))
        for name, meaning in request.outcomes.items()
        if name in LABELS
    ]
    return page


def _origins(request: Request) -> Origins | None:
    """What the flow's document tells of the values that are shown; None where it tells nothing for certain: in an error handler."""
    if request.run is None or request.path.startswith("error.") or "/error." in request.path:
        return None
    if conversation_around(request.path) is not None:
        return None  # what an agent wants to call, a model wrote
    try:
        if "/" not in request.path:
            return Origins(document_of(request.run.version_id))
        documents = subflows_around(request.run, request.pass_number, request.path)
        inner = documents.get(request.path.rpartition("/")[0])
        return Origins(inner, given=MODEL) if inner is not None else None
    except DocumentError:
        return None


def _add_payload(page: Context, payload: Any, origins: Origins | None, settings: Mapping[str, Any]) -> None:
    source: Any = settings.get("payload")
    sealed = origins.step(str(settings["seals"])) if origins is not None and isinstance(settings.get("seals"), str) else None
    if sealed is not None:
        source = sealed[1].with_.get("arguments")
    if not isinstance(payload, dict):
        page.whole = payload
        return
    editable = set(page.request.terms.get("editable") or [])
    page.arguments = [Value(name, value, _origin(origins, source, name), name in editable) for name, value in payload.items()]


def _add_shown(page: Context, shown: Any, origins: Origins | None, source: Any) -> None:
    """Numbers are facts even where a model's answers were counted (and say so); text that a model wrote never is."""
    if shown is None:
        return
    named = shown if isinstance(shown, dict) else {"Shown": shown}
    for name, value in named.items():
        each = Value(
            name, value, _origin(origins, source, name) if isinstance(shown, dict) else _origin(origins, {name: source}, name)
        )
        (page.words if each.by_model and each.is_words else page.facts).append(each)


def _origin(origins: Origins | None, source: Any, name: str) -> frozenset[str]:
    """Where a named part of a template comes from; without the document nobody knows, so it counts as a model's."""
    if origins is None:
        return frozenset({MODEL})
    return origins.of(source[name] if isinstance(source, Mapping) and name in source else source)


def _then(origins: Origins | None, key: str, port: str) -> str:
    following = origins.follows(key, port) if origins is not None else []
    return ", ".join(following) if following else "this path of the run ends"


def payload_values(request: Request) -> list[Value]:
    """The fields of what is decided on, each with where it comes from."""
    page = Context(request)
    origins, settings = _traced(request)
    _add_payload(page, page.mask.read(request.payload), origins, settings)
    return page.arguments


def title_is_a_models(request: Request) -> bool:
    """Whether the title holds words of a model; also where that cannot be told."""
    if is_question(request) or request.run is None:
        return False
    origins, settings = _traced(request)
    return origins is None or MODEL in origins.of(settings.get("title", ""))


def _traced(request: Request) -> tuple[Origins | None, Mapping[str, Any]]:
    """What tells where the request's values come from, with the settings of its step; nothing where it is no approval's."""
    origins = _origins(request)
    step = origins.step(request.path) if origins is not None else None
    if step is None or step[1].kind != "approval":
        return None, {}
    return origins, step[1].with_


def edits_of(request: Request) -> list[dict[str, str]]:
    """The fields that the decision changed, as rows of a comparison."""
    if request.answer is None:
        return []
    first = request.former.order_by("number").first()
    mask = mask_of_request(request)
    asked, decided = mask.read(first.payload if first is not None else request.payload), mask.read(request.answer)
    return differences(asked, decided)


def differences(before: Any, after: Any) -> list[dict[str, str]]:
    """What differs between two payloads, field by field."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return (
            [] if canonical(before) == canonical(after) else [{"name": "payload", "before": plain(before), "after": plain(after)}]
        )
    rows = []
    for name in [*before, *(name for name in after if name not in before)]:
        row = {side: plain(values[name]) for side, values in (("before", before), ("after", after)) if name in values}
        if len(row) < 2 or canonical(before[name]) != canonical(after[name]):
            rows.append({"name": name, **row})
    return rows


def plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _add_rights(page: Context, actor: Actor) -> None:
    request, person = page.request, actor.person
    if request.run is not None:
        page.sees_run = runs_for(actor).filter(id=request.run.id).exists()
        page.may_reveal = page.sees_run and actor.may(Right.REVEAL, request.run.flow.team_id)
        page.sees_costs = page.sees_run and actor.may(Right.SEE_COSTS, request.run.flow.team_id)
    if page.sees_run and request.run is not None and page.traced:
        page.progress = progress_of([request.run]).get(request.run.id, [])
    if not page.is_open:
        return
    try:
        require_decision(actor, request)
    except SelfApproval:
        page.own = True
        page.refusal = "You started this run, or wrote what is to be decided, and nobody decides on their own request."
    except Forbidden as refusal:
        page.refusal = refusal.message
    else:
        held: HeldDecision | None = getattr(request, "held", None)
        if held is not None:
            who = "You have" if held.person == person else f"{held.person} has"
            page.refusal = f"{who} just decided: {held.outcome}. It is carried out in a moment, unless it is undone."
        elif person is not None and has_voted(page.votes, person, request.revision):
            page.refusal = "You have voted. It waits for others."
        page.may_decide = not page.refusal


def has_voted(votes: Iterable[Vote], person: Person, revision: int) -> bool:
    """Whether the person's mandate is used: by themselves, or by whom they handed it to."""
    return any(person.id in (vote.person_id, vote.on_behalf_of_id) and vote.revision == revision for vote in votes)
