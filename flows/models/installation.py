"""What this installation is called, in whose days it reckons, and how its money is labelled: one row."""

from django.db import models
from django.db.models import Q


class Installation(models.Model):
    """What owners have said of the installation. Without its row the defaults below hold."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    name = models.CharField(max_length=60, default="Orchestrator")
    zone = models.CharField(max_length=64, default="UTC")  # of days, where nobody's browser says another
    currency = models.CharField(max_length=4, default="$")  # a label of the price book's amounts; nothing is converted

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="installation_is_one")]
