"""Flows: the draft that people edit and the versions that run."""

from django.db import models
from django.db.models import Q

from flows.models.access import Person, Team
from flows.models.identifiers import new_id


class Flow(models.Model):
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    slug = models.SlugField(max_length=80, unique=True)
    name = models.CharField(max_length=160)
    description = models.TextField(blank=True)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, null=True, blank=True, related_name="flows")  # empty: everybody's
    owner = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, blank=True, related_name="+")  # whom to ask about it
    tags = models.JSONField(default=list, blank=True)  # texts; each run gets them beside its own
    ceiling = models.JSONField(default=dict, blank=True)  # {cost, tokens, steps, duration} as in a document: no run may have more
    needs_second = models.BooleanField(default=False)  # publishing waits for somebody else to approve it
    draft = models.TextField()  # the document, in its canonical form
    revision = models.PositiveIntegerField(default=1)  # rises with every change of the draft
    replaced_draft = models.TextField(blank=True)  # what stood there before a version was restored over it
    paused_at = models.DateTimeField(null=True, blank=True)  # no run starts while it is set
    paused_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    archived_at = models.DateTimeField(null=True, blank=True)  # read only, and no run starts
    archived_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    max_running = models.PositiveIntegerField(null=True, blank=True)  # runs of it that may be running at once; empty: any number
    keeps_slot = models.BooleanField(default=False)  # whether a run that waits goes on counting as running
    priority = models.SmallIntegerField(default=0)  # of its runs, where their start does not say
    published = models.ForeignKey("FlowVersion", on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    created_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(max_running__isnull=True) | Q(max_running__gte=1), name="flow_runs_at_all"),
            models.CheckConstraint(condition=Q(priority__range=(-10, 10)), name="flow_priority_in_range"),
        ]

    def __str__(self) -> str:
        return self.name


class FlowVersion(models.Model):
    """A document as it was published, or, without a number, as it was tested. Never altered."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    flow = models.ForeignKey(Flow, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField(null=True)  # empty: it was never published, only tested
    document = models.TextField()
    hash = models.CharField(max_length=64)
    note = models.TextField(blank=True)  # why it was published
    created_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["flow", "number"], name="version_number_once"),
            models.CheckConstraint(condition=Q(number__gte=1), name="version_number_from_one"),
        ]

    @property
    def title(self) -> str:
        """What people call it: `v12`; the draft as it was tested is `draft`."""
        return f"v{self.number}" if self.number is not None else "draft"


class Pin(models.Model):
    """A result that tests use instead of carrying out a step of the flow's draft. Published runs know nothing of it."""

    flow = models.ForeignKey(Flow, on_delete=models.PROTECT, related_name="pins")
    path = models.CharField(max_length=400)  # of a step of the flow itself
    output = models.TextField()  # JSON
    port = models.CharField(max_length=64, default="done")
    state = models.TextField(default="{}")  # JSON: the keys of the run's state that it changes
    edited = models.BooleanField(default=False)  # whether somebody wrote it, instead of taking it as it was given
    run = models.ForeignKey(  # the test that gave it; empty where somebody sent it from outside
        "flows.Run", on_delete=models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["flow", "path"], name="pin_once")]
