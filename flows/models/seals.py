"""The chain over the audit log."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class AuditSeal(models.Model):
    """One link: the hash of an audit row and of the seal before it. Numbers have no gaps; never altered (a trigger refuses it)."""

    number = models.BigIntegerField(primary_key=True)  # from 1
    row = models.BigIntegerField(unique=True)  # the audit row; no foreign key, so that a row that is gone is found missing
    hash = models.CharField(max_length=64)  # SHA-256, in hexadecimal
    at = models.DateTimeField(db_default=Now())
