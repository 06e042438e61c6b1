"""Secrets that tools and models use: encrypted, written and never read back. And the services that several tools reach with them."""

from django.db import models
from django.db.models.functions import Now

from flows.models.access import Person


class Secret(models.Model):
    """One secret. `sealed` is AES-GCM under the key `key_id`; `fingerprint` tells two values apart without telling either."""

    name = models.CharField(primary_key=True, max_length=80)
    sealed = models.TextField()
    key_id = models.CharField(max_length=16)
    fingerprint = models.CharField(max_length=16)
    tools = models.JSONField(default=list)  # slugs of the tools that may use it
    rotated_at = models.DateTimeField(db_default=Now())
    by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    models = models.JSONField(
        default=list, db_default=[]
    )  # slugs of the models whose key it may be; the last: the name hides the module


class Connection(models.Model):
    """A service that tools reach by this name: a database, a mail server. What it needs stands in `settings`, its password is a secret."""

    slug = models.CharField(primary_key=True, max_length=60)
    kind = models.CharField(max_length=12)  # postgresql | smtp
    label = models.CharField(max_length=120, blank=True, default="", db_default="")  # whose account, in words
    settings = models.JSONField(default=dict)
    secret = models.CharField(max_length=80, blank=True, default="", db_default="")  # the name of that which holds its password
    expires_on = models.DateField(null=True)  # until when the other side lets it in
    checked_at = models.DateTimeField(null=True)
    problem = models.CharField(max_length=500, blank=True, default="", db_default="")  # what the last check found
