"""What happened: runs, the attempts of their steps, the calls they made, their events, and what they ask of people.

The engine writes these tables with plain SQL (`flows/execution/journal.py`), where each write is guarded by the run's epoch;
everything else reads them, or writes through the verbs. Attempts, calls and events carry no foreign-key constraint to the run:
the check would lock the run's row once for every row written. Their counts are plain integers, not positive ones: PostgreSQL reads
a column's check anew for every statement, a tenth of a millisecond for the journal's.
"""

from datetime import datetime
from functools import partial

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Now
from django.utils import timezone

from flows.engine.states import OPEN_REQUEST_STATES, RUN_STATES, TERMINAL_STATES
from flows.models.access import ApiKey, Person
from flows.models.definitions import Flow, FlowVersion
from flows.models.identifiers import new_id, shown

RUN_PURPOSES = ("live", "test", "drill")
"""Why a run was started: to do its work, to try a draft, or to rehearse an outage. `live` is what pages and figures of a flow mean."""

Dollars = partial(models.DecimalField, max_digits=24, decimal_places=12)
"""A column of money, to a millionth of a microdollar."""


class Worker(models.Model):
    """A process that drives runs. Its runs are another's to claim once its last beat is older than the lease."""

    id = models.UUIDField(primary_key=True, default=new_id)
    beat = models.DateTimeField(db_default=Now())
    draining = models.BooleanField(default=False)
    reclaims = models.PositiveIntegerField(default=0, db_default=0)  # runs that it has taken over from the dead
    fenced = models.PositiveIntegerField(default=0, db_default=0)  # records of it that were refused: another owned the run
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    started_at = models.DateTimeField(db_default=Now())


class Run(models.Model):
    """One execution of one version of a flow."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    number = models.BigIntegerField(db_default=Func(Value("flows_run_number"), function="nextval"), unique=True)
    flow = models.ForeignKey(Flow, on_delete=models.PROTECT, related_name="runs", db_index=False)  # `run_by_flow` begins with it
    version = models.ForeignKey(FlowVersion, on_delete=models.PROTECT, related_name="runs")
    status = models.CharField(max_length=20, default="queued")
    reason = models.CharField(max_length=60, blank=True)
    pass_number = models.SmallIntegerField(default=1, db_column="pass")

    # Ownership: see docs/architecture.md, "Who drives a run".
    epoch = models.IntegerField(default=0)  # rises with every claim; a write with another's epoch does nothing
    owner = models.UUIDField(null=True)  # the worker that drives it
    claims = models.SmallIntegerField(default=0)  # claims in a row after which no step was finished
    seq = models.IntegerField(default=0)  # number of the newest event
    signals = models.IntegerField(default=0)  # rises when somebody else changes what the run depends on
    open_calls = models.IntegerField(default=0)
    record = models.IntegerField(default=0)  # number of the owner's newest record: tells whether a lost commit was one
    cancel_requested = models.BooleanField(default=False)
    paused = models.BooleanField(db_default=False, default=False)  # nothing new begins until somebody resumes it
    priority = models.SmallIntegerField(default=0, db_default=0)  # -10 … 10, higher first: see "Who goes first"
    wake_at = models.DateTimeField(null=True)
    deadline = models.DateTimeField(null=True)

    # The purse: spent + reserved never exceeds the cap.
    cap_cost = Dollars(null=True)
    cap_tokens = models.BigIntegerField(null=True)
    cap_steps = models.IntegerField(null=True)
    at_limit = models.CharField(max_length=8, default="stop")
    saving = models.BooleanField(
        db_default=False, default=False
    )  # only candidates that are cheaper than a route's first are called
    reserved = Dollars(default=0)
    reserved_tokens = models.BigIntegerField(default=0)
    spent = Dollars(default=0)
    spent_tokens = models.BigIntegerField(default=0)
    steps = models.IntegerField(default=0)  # step executions, items of maps included
    unpriced = models.IntegerField(default=0)  # calls whose cost is not known

    input = models.TextField()  # JSON
    output = models.TextField(null=True)  # JSON
    error = models.TextField(null=True)  # JSON: {step, class, message}
    purpose = models.CharField(max_length=8, default="live", db_default="live")  # one of `RUN_PURPOSES`
    handling = models.JSONField(null=True)  # how it departs from its document: flows/execution/handling.py
    key = models.CharField(max_length=200, null=True, unique=True)  # the same key starts the same run
    tags = models.JSONField(default=list)
    source = models.CharField(max_length=16, default="api")
    started_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="runs")
    started_key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, null=True, related_name="+")
    origin = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="forks")  # the run that it repeats
    origin_path = models.CharField(max_length=400, blank=True, db_default="", default="")  # from which step of it
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    purged_at = models.DateTimeField(null=True)  # when its payloads were removed (orchestrator/retention); figures stay
    events_purged_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            # Who goes first (flows/execution/queue.py): a flow's queue by priority, by age, and what has begun and not ended.
            models.Index(
                F("flow"),
                F("priority").desc(),
                F("started_at"),
                F("id"),
                name="run_queue",
                condition=Q(status="queued", owner__isnull=True),
            ),
            models.Index(fields=["flow", "id"], name="run_queue_by_age", condition=Q(status="queued", owner__isnull=True)),
            models.Index(
                fields=["flow", "status"], name="run_begun", condition=Q(started_at__isnull=False, ended_at__isnull=True)
            ),
            models.Index(fields=["id"], name="run_stopped_by_switch", condition=Q(status="waiting", reason="kill_switch")),
            models.Index(fields=["owner"], name="run_owned", condition=Q(owner__isnull=False)),
            models.Index(fields=["wake_at"], name="run_due", condition=Q(wake_at__isnull=False)),
            models.Index(fields=["deadline"], name="run_deadline", condition=Q(deadline__isnull=False, ended_at__isnull=True)),
            models.Index(fields=["flow", "-id"], name="run_by_flow", include=["status", "number", "purpose"]),
            models.Index(fields=["status", "-id"], name="run_by_status"),
            models.Index(fields=["ended_at"], name="run_by_end", condition=Q(ended_at__isnull=False)),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=sorted(RUN_STATES)), name="run_status_known"),
            models.CheckConstraint(
                condition=~Q(status__in=sorted(TERMINAL_STATES)) | Q(ended_at__isnull=False, owner__isnull=True),
                name="run_ended_is_free",
            ),
            models.CheckConstraint(condition=Q(reserved__gte=0), name="run_reserved_not_negative"),
            models.CheckConstraint(condition=Q(priority__range=(-10, 10)), name="run_priority_in_range"),
        ]

    @property
    def public_id(self) -> str:
        return shown("run", self.id)

    @property
    def seconds(self) -> float | None:
        """From its start to its end, or to now; None where it has not started."""
        if self.started_at is None:
            return None
        return max(((self.ended_at or timezone.now()) - self.started_at).total_seconds(), 0.0)

    @property
    def since(self) -> datetime | None:
        """When it started, while it goes on."""
        return self.started_at if self.ended_at is None else None


class RunPass(models.Model):
    """Another course through a run of the same version and input: who began it, and what runs again in it."""

    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="passes")
    number = models.PositiveSmallIntegerField()  # from 2; the first needs no row
    verb = models.CharField(max_length=16)  # retry | skip | limits
    by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    from_path = models.CharField(max_length=400, blank=True)  # empty: from where it failed
    redone = models.JSONField(default=list)  # paths that had succeeded and run again on purpose: their keys change
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "number"], name="run_pass_once")]


class Intervention(models.Model):
    """What somebody decided about one step of a run before it begins: to go past it, or with which input it begins."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="interventions")
    pass_number = models.PositiveSmallIntegerField(db_column="pass")
    path = models.CharField(max_length=400)
    kind = models.CharField(max_length=8)  # skip | input
    before = models.TextField(null=True)  # JSON: the fields as they stood
    after = models.TextField()  # JSON: {field: value} of an input; {output, port} of a skip
    comment = models.TextField(blank=True)
    by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["run", "pass_number"], name="intervention_by_pass")]


class Attempt(models.Model):
    """One try of one step, recorded when it ends, parks or opens: the journal from which a run goes on."""

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(Run, on_delete=models.PROTECT, db_constraint=False, db_index=False, related_name="attempts")
    pass_number = models.SmallIntegerField(db_column="pass")
    path = models.CharField(max_length=400)
    n = models.SmallIntegerField()
    kind = models.CharField(max_length=32)
    status = models.CharField(max_length=12)  # open | waiting | succeeded | failed | skipped
    seq = models.IntegerField()  # of the event that recorded it; the order in which the journal is read
    port = models.CharField(max_length=64, blank=True)
    output = models.TextField(null=True)  # JSON
    state = models.TextField(null=True)  # JSON: the keys of the run's state that it changed
    error = models.TextField(null=True)  # JSON: {class, message, final}
    checkpoint = models.TextField(null=True)  # JSON: from where an open loop goes on; which version a sub-flow runs, on what
    next_at = models.DateTimeField(null=True)  # of the next attempt, or the time that a wait ends
    carried = models.BooleanField(db_default=False, default=False)  # taken over from an earlier pass, or from the run's origin
    started_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "pass_number", "path", "n"], name="attempt_once"),
            models.UniqueConstraint(
                fields=["run", "pass_number", "path"], name="attempt_one_success", condition=Q(status="succeeded")
            ),
        ]


class Call(models.Model):
    """One request to a model or tool: what was reserved, sent and settled. The rows of the ledger."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    run = models.ForeignKey(Run, on_delete=models.PROTECT, db_constraint=False, db_index=False, related_name="calls")
    pass_number = models.SmallIntegerField(db_column="pass")
    path = models.CharField(max_length=400)
    attempt = models.SmallIntegerField()
    n = models.SmallIntegerField()
    epoch = models.IntegerField()
    seq = models.IntegerField()  # of the event that recorded its begin
    status = models.CharField(max_length=16)  # started | succeeded | failed_retryable | failed_final | unknown
    kind = models.CharField(max_length=8)  # model | tool
    target = models.CharField(max_length=160)  # the model's or the tool's slug
    reason = models.CharField(max_length=200, blank=True)  # why this target
    route = models.CharField(max_length=80, blank=True, db_default="", default="")  # by which it was chosen, if by one
    route_version = models.IntegerField(null=True)
    cached = models.BooleanField(db_default=False, default=False)  # answered as an equal call was: nothing was sent
    repeat = models.CharField(max_length=8)  # freely | keyed | lookup | never
    idempotency_key = models.UUIDField()
    request_hash = models.CharField(max_length=64, blank=True)
    request = models.TextField(null=True)  # JSON
    response = models.TextField(null=True)  # JSON
    reserved = Dollars(default=0)
    reserved_tokens = models.IntegerField(default=0)
    settled = Dollars(null=True)  # dollars; empty while it runs, and where the price is not known
    usage_source = models.CharField(max_length=10, blank=True)  # provider | estimated | none
    input_tokens = models.IntegerField(null=True)  # all of the prompt, the cached part included
    cached_input_tokens = models.IntegerField(null=True)
    cache_write_tokens = models.IntegerField(null=True)  # the part of the prompt that was written to the provider's cache
    output_tokens = models.IntegerField(null=True)  # reasoning included
    reasoning_tokens = models.IntegerField(null=True)
    price_id = models.UUIDField(null=True)  # the price row that was valid when the call began, for the length that it had
    reported = Dollars(null=True)  # what the provider itself says that it cost
    first_text = models.FloatField(null=True)  # seconds until its first text came, where some did
    simulated = models.BooleanField(default=False)
    priced = models.BooleanField(default=True)  # whether what it may cost was known when it began
    error_class = models.CharField(max_length=32, blank=True)
    error_message = models.TextField(blank=True)
    provider_id = models.CharField(max_length=160, blank=True)
    started_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "pass_number", "path", "attempt", "n"], name="call_once"),
            models.UniqueConstraint(
                fields=["run", "pass_number", "path"], name="call_one_in_flight", condition=Q(status="started")
            ),
        ]
        indexes = [
            models.Index(fields=["target", "-id"], name="call_of_model", condition=Q(kind="model")),
            models.Index(
                fields=["target", "started_at"],
                name="call_unpriced",
                condition=~Q(status="started") & Q(kind="model", settled__isnull=True),
            ),
            BrinIndex(fields=["started_at"], name="call_in_time", pages_per_range=16),
            models.Index(fields=["request_hash"], name="call_reusable", condition=Q(kind="model") & ~Q(request_hash="")),
        ]


class Event(models.Model):
    """What the pages show and replay: numbered from 1 within its run, without gaps, in commit order."""

    pk = models.CompositePrimaryKey("run_id", "seq")
    run = models.ForeignKey(Run, on_delete=models.PROTECT, db_constraint=False, db_index=False, related_name="events")
    seq = models.IntegerField()
    pass_number = models.SmallIntegerField(db_column="pass")
    type = models.CharField(max_length=32)
    path = models.CharField(max_length=400, blank=True)
    at = models.DateTimeField(db_default=Now())
    data = models.TextField(null=True)  # JSON

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "pass_number"], name="event_one_end", condition=Q(type="run.ended")),
        ]


class Request(models.Model):
    """Something that a person must answer before work goes on."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    run = models.ForeignKey(Run, on_delete=models.PROTECT, null=True, related_name="requests")
    flow = models.ForeignKey(Flow, on_delete=models.PROTECT, null=True, related_name="+")  # the one to publish, where no run asks
    pass_number = models.PositiveSmallIntegerField(default=1, db_column="pass")
    path = models.CharField(max_length=400, blank=True)
    kind = models.CharField(max_length=12)  # approval | test | tool | budget | unknown | publish
    round = models.PositiveSmallIntegerField(default=1)
    state = models.CharField(max_length=20, default="pending")
    revision = models.PositiveIntegerField(default=1)  # rises with every change; a decision names the one it saw
    title = models.CharField(max_length=300)
    terms = models.JSONField(default=dict)  # outcomes, approvers, quorum, editable, at_deadline, seals
    show = models.TextField(null=True)  # JSON: what the flow shows beside the payload
    payload = models.TextField()  # JSON: what is decided on
    payload_hash = models.CharField(max_length=64)  # SHA-256 of its canonical form
    due = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=64, blank=True)
    answer = models.TextField(null=True)  # JSON: the payload as decided, with edits
    comment = models.TextField(blank=True)
    decided_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "pass_number", "path", "round"], name="request_once"),
            models.UniqueConstraint(
                fields=["flow"],
                name="request_one_publication",
                condition=Q(kind="publish", state__in=sorted(OPEN_REQUEST_STATES)),
            ),
        ]
        indexes = [
            models.Index(fields=["due"], name="request_open_due", condition=Q(state__in=sorted(OPEN_REQUEST_STATES))),
            models.Index(fields=["-id"], name="request_open", condition=Q(state__in=sorted(OPEN_REQUEST_STATES))),
        ]

    @property
    def public_id(self) -> str:
        return shown("req", self.id)

    @property
    def asking_flow(self) -> Flow | None:
        """The flow that it belongs to: of its run, or the one that is to be published."""
        return self.run.flow if self.run is not None else self.flow

    @property
    def outcomes(self) -> dict[str, str]:
        """The outcomes and what they mean, in the flow's own order (jsonb keeps none)."""
        outcomes: dict[str, str] = self.terms.get("outcomes") or {}
        order = self.terms.get("order") or list(outcomes)
        return {name: outcomes[name] for name in order if name in outcomes}


class Delivery(models.Model):
    """A named event that somebody delivered to a run. One that comes before the run waits for it is kept."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="deliveries")
    event = models.CharField(max_length=120)
    payload = models.TextField()  # JSON
    key = models.CharField(max_length=200, null=True)  # the same key delivers once
    taken_by = models.CharField(max_length=400, blank=True)  # the path of the wait that took it
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "key"], name="delivery_once", condition=Q(key__isnull=False)),
        ]
        indexes = [models.Index(fields=["run", "event"], name="delivery_untaken", condition=Q(taken_by=""))]


class ToolJob(models.Model):
    """A call of a plain Python function, which runs in the tools worker: claimed here, so that two rings run it once."""

    call_id = models.UUIDField(primary_key=True)
    function = models.CharField(max_length=120)
    arguments = models.TextField()  # JSON
    state = models.CharField(max_length=8, default="queued")  # queued | taken | done | failed
    result = models.TextField(null=True)  # JSON
    error_class = models.CharField(max_length=32, blank=True)
    error_message = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())
    taken_at = models.DateTimeField(null=True)
    beat = models.DateTimeField(null=True)  # when the process that took it last showed that it lives
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["created_at"], name="tool_job_queued", condition=Q(state="queued")),
            models.Index(fields=["beat"], name="tool_job_taken", condition=Q(state="taken")),
        ]
