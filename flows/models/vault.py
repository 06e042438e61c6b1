"""Secrets that tools and models use: encrypted, written and never read back."""

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
