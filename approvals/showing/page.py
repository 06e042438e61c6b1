"""What a person needs in order to decide: facts first, a model's words apart from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from approvals.models import HeldDecision
from approvals.origins import MODEL, Origins
from approvals.questions import FOLLOWS, LABELS, is_question, why_not
from approvals.record import Record, ToolFacts, VoteLine
from approvals.rules import SelfApproval, mask_of_request, wanted
from approvals.showing.ahead import Spending
from approvals.showing.tracing import arguments_of, follows, origin_in, origins_of
from approvals.showing.values import Value, differences, plain
from approvals.showing.words import deadline_in_words, decided_in_words, rung_in_words
from approvals.standing import require_decision
from flows.access.actor import Actor
from flows.access.refusals import Forbidden
from flows.access.rights import Right
from flows.engine.masking import Mask
from flows.engine.states import OPEN_REQUEST_STATES
from flows.models import Person, Request
from flows.runs.progress import StepLine, progress_of

NO_SPENDING: Mapping[str, Spending] = {}
ORDER = {"reject": 0, "changes": 1, "approve": 2}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A button: what it decides, what that means, what the flow does then."""

    name: str
    meaning: str
    then: str

    question: bool = False  # whether it is a choice that the engine offers
    refusal: str = ""  # why this person may not choose it
    spending: Spending | None = None  # what it is expected to spend

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


@dataclass(slots=True)
class Context:
    """Everything that the page of a request shows."""

    request: Request
    record: Record
    arguments: list[Value] = field(default_factory=list)
    whole: Any = None  # the payload where it is no object
    facts: list[Value] = field(default_factory=list)
    words: list[Value] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    tool: ToolFacts | None = None
    step: str = ""
    traced: bool = False  # whether the flow's document tells where values come from
    title_by_model: bool = False
    votes: list[VoteLine] = field(default_factory=list)
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
    def approving(self) -> list[Outcome]:
        """The outcomes that approve, where what they spend can be told."""
        return [each for each in self.outcomes if each.meaning == "approve" and each.spending is not None]

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


def context_of(actor: Actor, request: Request, record: Record, spending: Mapping[str, Spending] = NO_SPENDING) -> Context:
    """What the page shows to this actor; `request` has its run, flow, version and decider, what is kept beside it is its `record`, and
    `spending` is what its outcomes are expected to spend."""
    page = Context(request, record, votes=record.votes, tool=record.tool)
    if is_question(request):
        return _question_page(page, actor)
    payload, shown = page.mask.read(request.payload), page.mask.read(request.show)
    origins = origins_of(request)
    step = origins.step(request.path) if origins is not None else None
    if step is None or step[1].kind != "approval":
        origins = step = None  # what cannot be traced counts as a model's
    page.traced = step is not None
    settings: Mapping[str, Any] = step[1].with_ if step is not None else {}
    page.step = (step[1].label or step[0]) if step is not None else request.path
    page.title_by_model = origins is not None and MODEL in origins.of(settings.get("title", ""))
    page.arguments = arguments_of(request, payload, origins, settings)
    page.whole = None if isinstance(payload, dict) else payload
    _add_shown(page, shown, origins, settings.get("show"))
    page.outcomes = sorted(
        (
            Outcome(name, meaning, follows(request, origins, step[0] if step else "", name), spending=spending.get(name))
            for name, meaning in (request.terms.get("outcomes") or {}).items()
        ),
        key=lambda each: ORDER.get(each.meaning, 1),
    )
    page.edits = edits_of(request)
    _add_rights(page, actor)
    return page


def _question_page(page: Context, actor: Actor) -> Context:
    """What the engine asks: the facts are its own, and only the arguments of a call come from the flow."""
    request = page.request
    payload = page.mask.read(request.payload)
    page.step = request.path
    page.question = payload
    if request.outcome in {"raise", "happened"}:
        page.given = page.mask.read(request.answer)
    if request.kind == "unknown":
        arguments = payload.get("arguments")
        if isinstance(arguments, dict):
            page.arguments = [Value(name, value) for name, value in arguments.items()]
    _add_rights(page, actor)
    page.outcomes = [
        Outcome(name, meaning, FOLLOWS.get(name, ""), True, why_not(actor, request, name))
        for name, meaning in request.outcomes.items()
        if name in LABELS
    ]
    return page


def _add_shown(page: Context, shown: Any, origins: Origins | None, source: Any) -> None:
    """Numbers are facts even where a model's answers were counted (and say so); text that a model wrote never is."""
    if shown is None:
        return
    named = shown if isinstance(shown, dict) else {"Shown": shown}
    for name, value in named.items():
        each = Value(
            name, value, origin_in(origins, source, name) if isinstance(shown, dict) else origin_in(origins, {name: source}, name)
        )
        (page.words if each.by_model and each.is_words else page.facts).append(each)


def edits_of(request: Request) -> list[dict[str, str]]:
    """The fields that the decision changed, as rows of a comparison."""
    if request.answer is None:
        return []
    first = request.former.order_by("number").first()
    mask = mask_of_request(request)
    asked, decided = mask.read(first.payload if first is not None else request.payload), mask.read(request.answer)
    return differences(asked, decided)


def _add_rights(page: Context, actor: Actor) -> None:
    request, person = page.request, actor.person
    if request.run is not None:
        page.sees_run = actor.holdings.allow(Right.SEE_RUNS, request.run.flow.team_id)
        page.may_reveal = page.sees_run and actor.may(Right.REVEAL, request.run.flow.team_id)
        page.sees_costs = page.sees_run and actor.may(Right.SEE_COSTS, request.run.flow.team_id)
    if page.sees_run and request.run is not None and page.traced:
        page.progress = progress_of([request.run]).get(request.run.id, [])
    if not page.is_open:
        return
    try:
        require_decision(actor, request, page.record.hands)
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


def has_voted(votes: Iterable[VoteLine], person: Person, revision: int) -> bool:
    """Whether the person's mandate is used: by themselves, or by whom they handed it to."""
    return any(person.username in (vote.username, vote.giver) and vote.revision == revision for vote in votes)
