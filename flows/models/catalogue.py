"""What flows refer to by name: models and their prices, routes, tools, and the hosts that may be reached."""

from typing import Any

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from flows.models.access import Person
from flows.models.identifiers import new_id


class Present(models.Manager["Any"]):
    """What is in the catalogue; what was removed stays for the calls and prices that name it."""

    def get_queryset(self) -> models.QuerySet[Any]:
        return super().get_queryset().filter(removed_at=None)


class ModelEntry(models.Model):
    """One model: how to reach it and what it can do. `model` is LiteLLM's ``provider/name``."""

    slug = models.CharField(primary_key=True, max_length=80)
    model = models.CharField(max_length=160)
    api_base = models.URLField(blank=True)
    api_key_env = models.CharField(max_length=80, blank=True)  # its key: a variable of the environment, or …
    api_key_secret = models.CharField(max_length=80, blank=True, default="", db_default="")  # … the name of a secret
    context = models.PositiveIntegerField(default=8192)  # tokens that one request may hold
    max_output = models.PositiveIntegerField(default=1024)  # tokens, where a step does not say
    capabilities = models.JSONField(default=list)  # tools, json, streaming, …
    settings = models.JSONField(default=dict)  # what a provider needs beside these
    simulated = models.BooleanField(default=False)
    unpriced = models.CharField(
        max_length=8, default="refuse", db_default="refuse"
    )  # without a price, under a limit: refuse | allow
    limits = models.JSONField(default=dict)  # in_flight, and requests and tokens a minute: of all workers together
    breaker = models.JSONField(default=dict)  # failures in a row, within seconds, after which it rests for seconds
    revision = models.PositiveIntegerField(default=1, db_default=1)  # rises with every change
    removed_at = models.DateTimeField(null=True)

    objects = Present()
    everything = models.Manager["ModelEntry"]()


class Price(models.Model):
    """What a model costs from one moment on, in dollars per million tokens. Rows are added, never altered (a trigger refuses it).

    An empty figure is an unknown price, which is not zero. A row holds for requests of more than `above` input tokens, from
    `valid_from` until `valid_to`, or until the next row of the same model and `above` begins.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    model = models.ForeignKey(ModelEntry, on_delete=models.PROTECT, related_name="prices")
    above = models.PositiveIntegerField(default=0, db_default=0)
    valid_from = models.DateTimeField(db_default=Now())
    valid_to = models.DateTimeField(null=True)
    input = models.DecimalField(max_digits=18, decimal_places=9, null=True)
    cached_input = models.DecimalField(max_digits=18, decimal_places=9, null=True)
    cache_write = models.DecimalField(max_digits=18, decimal_places=9, null=True)
    output = models.DecimalField(max_digits=18, decimal_places=9, null=True)
    reasoning = models.DecimalField(max_digits=18, decimal_places=9, null=True)
    source = models.CharField(max_length=200, blank=True, default="", db_default="")
    entered_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    entered_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(F("model"), F("valid_from").desc(), name="price_newest")]
        constraints = [
            models.CheckConstraint(
                condition=Q(input__isnull=True) | Q(input__gte=0) & Q(output__gte=0),
                name="price_not_negative",
            ),
            models.CheckConstraint(
                condition=(Q(cached_input__isnull=True) | Q(cached_input__gte=0))
                & (Q(cache_write__isnull=True) | Q(cache_write__gte=0))
                & (Q(reasoning__isnull=True) | Q(reasoning__gte=0)),
                name="price_parts_not_negative",
            ),
            models.CheckConstraint(condition=Q(valid_to__isnull=True) | Q(valid_to__gt=F("valid_from")), name="price_ends_later"),
            models.UniqueConstraint(fields=["model", "above", "valid_from"], name="price_begins_once"),
        ]


class Adjustment(models.Model):
    """A correction of what a call was charged: a new row, beside a past that stays as it was. Added, never altered."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    call_id = models.UUIDField()
    run_id = models.UUIDField()
    price = models.ForeignKey(Price, on_delete=models.PROTECT, related_name="+")
    amount = models.DecimalField(max_digits=24, decimal_places=12)  # dollars that the call costs more, or, negative, less
    priced = models.BooleanField()  # whether the call had a cost before; else this is all of it
    reason = models.CharField(max_length=300)
    by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["call_id", "price"], name="adjustment_once_a_price")]
        indexes = [models.Index(fields=["run_id"], name="adjustment_by_run")]


class Route(models.Model):
    """A name that steps use instead of a model's: candidates, how one is chosen, and when to go on to the next."""

    slug = models.CharField(primary_key=True, max_length=80)
    candidates = models.JSONField(default=list)  # first choice first: slugs of models, or objects {model, when, weight}
    fall_back_on = models.JSONField(default=list)  # error classes
    timeout = models.FloatField(null=True)  # seconds that one call may take
    strategy = models.CharField(max_length=10, default="ordered")  # ordered | cheapest | fastest | weighted
    needs = models.JSONField(default=list)  # capabilities that each candidate must have
    version = models.PositiveIntegerField(default=1)  # the number of its newest `RouteVersion`
    removed_at = models.DateTimeField(null=True)

    objects = Present()
    everything = models.Manager["Route"]()


class RouteVersion(models.Model):
    """What a route was from one moment on. Rows are added, never altered; a call names the version by which it was routed."""

    route = models.ForeignKey(Route, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    definition = models.JSONField()  # the route's own fields
    by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["route", "number"], name="route_version_once")]


class ToolEntry(models.Model):
    """One tool: its kind, how to reach it, whether it reads or writes, and whether it may be repeated."""

    slug = models.CharField(primary_key=True, max_length=120)
    kind = models.CharField(max_length=32)
    effect = models.CharField(max_length=8, choices=[("read", "reads"), ("write", "writes")])
    repeat = models.CharField(
        max_length=8, choices=[("freely", "freely"), ("keyed", "keyed"), ("lookup", "lookup"), ("never", "never")]
    )
    arguments = models.JSONField(default=dict)  # JSON Schema of the arguments
    settings = models.JSONField(default=dict)  # what its kind needs: method, url, headers, function, …
    timeout = models.FloatField(null=True)  # seconds that one call may take
    reversible = models.BooleanField(default=False)
    max_in_flight = models.PositiveIntegerField(null=True)  # calls at a time, of all workers together
    known_for = models.FloatField(null=True)  # seconds for which the service knows a key; past them a call is not repeated
    result = models.JSONField(default=dict)  # JSON Schema of what a call gives; empty where it is not known
    description = models.CharField(max_length=1000, blank=True, default="", db_default="")  # models read it, too
    trusted = models.BooleanField(null=True)  # whether its answers are nobody else's words; without, its kind says
    policy = models.CharField(max_length=64, blank=True, default="", db_default="")  # who decides on an agent's calls of it


class MCPServer(models.Model):
    """A server that speaks the Model Context Protocol: a command that an engine starts, or an address. Its tools are `ToolEntry` rows."""

    slug = models.CharField(primary_key=True, max_length=60)
    command = models.JSONField(default=list)  # the program and its arguments; empty where there is a url
    env = models.JSONField(default=dict)  # variable of the server: variable of ours that holds its value
    url = models.URLField(blank=True)
    header_env = models.JSONField(default=dict)  # header: environment variable that holds its value
    env_secret = models.JSONField(default=dict)  # variable: secret that holds its value
    header_secret = models.JSONField(default=dict)  # header: secret that holds it
    expires_on = models.DateField(null=True)  # until when the other side lets it in
    checked_at = models.DateTimeField(null=True)
    problem = models.CharField(max_length=500, blank=True, default="", db_default="")  # why it could not be reached

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(url="") ^ Q(command=[]), name="mcp_server_one_way")]


class AllowedHost(models.Model):
    """A host that is not publicly reachable and may be reached all the same: ``name:port``."""

    host = models.CharField(primary_key=True, max_length=255)
