"""Figures over many runs that PostgreSQL computes and Django has no word for."""

from __future__ import annotations

from django.db.models import Aggregate, FloatField


class Percentile(Aggregate):
    """The value below which a share of the values lies (linear between two)."""

    function = "PERCENTILE_CONT"
    template = "%(function)s(%(share)s) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()


class Median(Aggregate):
    """The middle value, one of those that there are; of two the lower."""

    function = "PERCENTILE_DISC"
    template = "%(function)s(0.5) WITHIN GROUP (ORDER BY %(expressions)s)"
