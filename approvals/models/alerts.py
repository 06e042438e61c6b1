"""What people were told that something is wrong with."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class Alert(models.Model):
    """One thing that went wrong and was told. Its row is what makes it told once, also where nobody wanted to hear of it."""

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=16)  # failed | stuck | budget | overdue
    about = models.UUIDField()  # the run, the budget's period with its bounds, the request
    level = models.BigIntegerField(default=0)  # the run's pass, its newest event, the share of the limit: a higher one is news
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "about", "level"], name="alert_once")]
