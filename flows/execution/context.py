"""What a step is given, and what it gives back. A step never opens the database: it states its intent, acts, and reports."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from flows.engine.document import Limits
from flows.engine.failures import UnknownOutcome
from flows.engine.graph import Graph, Node
from flows.engine.kinds import Done, Kind
from flows.engine.plan import Begin, Child
from flows.execution.handling import Handling


@dataclass(slots=True)
class Intent:
    """A call that is about to be made: what it is, and the most that it can cost."""

    kind: str  # model | tool | find
    target: str  # the model's or the tool's slug
    request: str  # JSON text
    repeat: str = "freely"  # freely | keyed | lookup | never
    reason: str = ""  # why this target
    reserve: Decimal = Decimal(0)  # dollars, the upper bound
    priced: bool = True  # whether the upper bound is known; else nothing is reserved, and the cost is unknown, not zero
    allow_unpriced: bool = False  # whether it may be called under a limit in dollars all the same
    reserve_tokens: int = 0
    price: UUID | None = None
    simulated: bool = False
    request_hash: str = ""
    routing: Mapping[str, Any] | None = None  # {route, version, strategy, candidates: [{model, verdict, why}]}
    cached: bool = False  # whether an equal call's answer is taken, so that nothing is sent
    spared: bool = False  # whether it is a cheaper candidate, taken because a limit has no room for the first


@dataclass(slots=True)
class Settlement:
    """What became of a call. `cost` is None where it is not known, which is not zero."""

    status: str  # succeeded | failed_retryable | failed_final | unknown
    cost: Decimal | None = Decimal(0)
    paid: bool = False  # whether it is the kind of call that costs something
    response: str | None = None  # JSON text
    usage_source: str = ""
    input_tokens: int | None = None
    cached_input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_write_tokens: int | None = None
    price: UUID | None = None  # the price row for the length that it had, where that is another than its intent named
    reported: Decimal | None = None  # what the provider says that it cost
    first_text: float | None = None  # seconds until its first text came
    error_class: str = ""
    error_message: str = ""
    provider_id: str = ""
    adopted: bool = False  # whether it found the result of an earlier call, which is taken as the step's own


@dataclass(frozen=True, slots=True)
class Ask:
    """A question to people, as a row of the request table. `payload` and `show` are JSON values, `due` seconds from now."""

    kind: str
    title: str
    payload: Any
    terms: Mapping[str, Any] = field(default_factory=dict)
    show: Any = None
    due: float | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """The step waits: for an answer, for a time (`seconds` from now, or `until`), for a named event, or for several of these."""

    ask: Ask | None = None
    seconds: float | None = None
    until: datetime | None = None
    event: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What people said: `state` is the request's, `outcome` the flow's own word for it."""

    state: str
    outcome: str
    payload: Any
    comment: str
    by: str | None


@dataclass(frozen=True, slots=True)
class Enter:
    """The step goes on as another flow, which runs inside this run on the input `given`, for `within` seconds at most."""

    child: Child
    given: Any
    within: float | None = None


Outcome = Done | Waiting | Enter


@dataclass(slots=True)
class OpenCall:
    """A call that has been committed and may be made now."""

    id: UUID
    n: int
    key: UUID  # the idempotency key: the same for every repetition of this step
    intent: Intent


@dataclass(slots=True)
class Past:
    """What a step did before this begin, in an earlier life of the run: it goes on counting from there."""

    calls: int = 0
    began: float = field(default_factory=time.monotonic)  # the step's first attempt, by the monotonic clock
    spent: Decimal = Decimal(0)
    tokens: int = 0
    last: str = ""  # status of its newest call
    repeat: str = ""
    last_attempt: int = 0  # of its newest call
    hash: str = ""  # of what its first call sent, where that is kept
    unresolved: dict[str, Any] | None = None  # {target, request, key, at} of its newest tool call of unknown outcome


ONCE = frozenset({"never", "lookup"})
"""Calls that are not simply made again while the outcome of the one before is not known."""


class Host(Protocol):
    """What the context of a step asks of the run that it is a step of."""

    @property
    def handling(self) -> Handling: ...
    @property
    def saving(self) -> bool: ...
    @property
    def run(self) -> UUID: ...
    @property
    def now(self) -> datetime: ...
    def limits_of(self, path: str) -> Limits | None: ...
    def left_of(self, path: str) -> tuple[Decimal | None, int | None]: ...
    def edits(self, path: str) -> Mapping[str, Any] | None: ...
    def decided_hash(self, path: str) -> str | None: ...
    def has_cost_cap(self, path: str) -> bool: ...
    def may_repeat(self, path: str, attempt: int) -> bool: ...
    async def find_flow(self, slug: str, version: int | None) -> Child: ...
    async def begin(self, context: StepContext, intent: Intent, n: int) -> OpenCall: ...
    def settle(self, context: StepContext, call: OpenCall, result: Settlement, last: bool) -> None: ...
    def text_sink(self, path: str, call: UUID) -> Callable[[str], None]: ...


class StepContext:
    """One attempt of one step."""

    __slots__ = (
        "_begin",
        "_host",
        "_started",
        "attempt",
        "calls",
        "names",
        "node",
        "open_call",
        "past",
        "path",
        "rendered",
        "result_schema",
        "services",
        "settings",
        "settled",
    )

    def __init__(self, host: Host, begin: Begin, past: Past, services: Any) -> None:
        self._host = host
        self._begin = begin
        self._started = time.monotonic()
        self.path = begin.path
        self.attempt = begin.n
        self.node: Node = begin.node
        self.rendered: Mapping[str, Any] = begin.rendered
        edits = host.edits(begin.path)
        self.settings: Any = begin.node.settings.model_copy(update=edits) if edits else begin.node.settings
        self.names: Mapping[str, Any] = begin.names
        self.past = past
        self.calls = past.calls
        self.open_call: OpenCall | None = None
        self.result_schema: Mapping[str, Any] = {}  # of what the call gives; people's answers are held to it, too
        self.services = services
        self.settled: list[Any] = []  # lines of the record that wait for the step's result

    @property
    def graph(self) -> Graph:
        """The graph that the step stands in: an approval shows what a later step of it would send."""
        return self._begin.graph

    def decided_hash(self, key: str) -> str | None:
        """SHA-256 of what people decided on in the step `key` of this graph, from the request itself; None if they have not."""
        return self._host.decided_hash(self.path.removesuffix(self.node.key) + key)

    @property
    def handling(self) -> Handling:
        """How the run departs from what its document says."""
        return self._host.handling

    @property
    def has_cost_cap(self) -> bool:
        """Whether a limit in dollars applies, so that a call without a known price must be refused."""
        own = self.node.limits is not None and self.node.limits.cost is not None
        return own or self._host.has_cost_cap(self.path)

    @property
    def saving(self) -> bool:
        """Whether only those candidates may be called that are cheaper than a route's first."""
        return self._host.saving

    @property
    def unresolved(self) -> bool:
        """Whether the newest call of this step has an unknown outcome, and nobody has said that it may be repeated."""
        if self.past.last != "unknown":
            return False
        return not (self._host.may_repeat(self.path, self.attempt) and self.past.last_attempt < self.attempt)

    @property
    def run(self) -> UUID:
        """The run's identifier."""
        return self._host.run

    @property
    def now(self) -> datetime:
        """The time by the database's clock."""
        return self._host.now

    def limits_of(self, path: str) -> Limits | None:
        """The limits that stand at the step at `path`, which this one is inside."""
        return self._host.limits_of(path)

    def left_of(self, path: str) -> tuple[Decimal | None, int | None]:
        """Dollars and tokens that are left of the limits of the agent or sub-flow at `path`; None where it has no such limit."""
        return self._host.left_of(path)

    @property
    def elapsed(self) -> float:
        """Seconds since the step's first attempt began."""
        return time.monotonic() - self.past.began

    def time_left(self, most: float) -> float:
        """Seconds that a call may take: `most`, or less where the attempt's own limit comes sooner."""
        left = most
        if self.node.timeout is not None:
            left = min(left, self.node.timeout - (time.monotonic() - self._started))
        if self.node.deadline is not None:
            left = min(left, self.node.deadline - self.elapsed)
        return max(left, 0.001)

    async def begin(self, intent: Intent) -> OpenCall:
        """Commits the intent and what it may cost. Only then may the call be made.

        Raises `BudgetSpent` where a limit leaves no room for it (`TooDear` where a cheaper candidate may be tried), and
        `UnknownOutcome` where an earlier call may have done it already; ends by cancellation where the run was cancelled
        meanwhile.
        """
        if self.unresolved and self.past.repeat in ONCE and intent.kind != "find":
            raise UnknownOutcome("The call was sent and its outcome is not known; it may not be repeated.")
        self.calls += 1
        call = await self._host.begin(self, intent, self.calls)
        self.open_call = call
        return call

    def settle(self, call: OpenCall, settlement: Settlement, *, last: bool = True) -> None:
        """Reports what became of the call. It is written together with what follows: the step's result, or, with `last` false,
        its next call."""
        self.open_call = None
        self._host.settle(self, call, settlement, last)

    async def find_flow(self, slug: str, version: int | None) -> Child:
        """The flow of this name in the version of this number, or in the one that is published now. Raises `BadRequest`,
        and `Unavailable` while the flow is paused."""
        return await self._host.find_flow(slug, version)

    def on_text(self, call: OpenCall) -> Callable[[str], None]:
        """Where a model's text goes while it is being written: to the pages that watch, never to the database."""
        return self._host.text_sink(self.path, call.id)


class WorkKind(Kind):
    """A kind that reaches outside or waits."""

    async def perform(self, context: StepContext) -> Outcome:
        """Carries the step out. Raises a `Failure` where it cannot be done."""
        raise NotImplementedError

    def on_time(self, settings: Any) -> Done:
        """The result when the time that it waited for has come."""
        return Done()

    def on_event(self, settings: Any, payload: Any) -> Done:
        """The result when the event that it waited for has come."""
        return Done(payload)

    def on_answer(self, settings: Any, answer: Answer) -> Done:
        """The result when its request was answered."""
        return Done(answer.payload, answer.outcome)

    def event_name(self, settings: Any, rendered: Mapping[str, Any]) -> str | None:
        """The event that it waits for, if it waits for one."""
        return None
