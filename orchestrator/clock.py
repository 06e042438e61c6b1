"""What the pages take for now. Only they: the engine's and the database's time is never anything but real."""

from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.utils import timezone


def now() -> datetime:
    """The time, in UTC. Where the settings name a ``CLOCK_FILE`` (tests do), the time that this file says, if it says one."""
    file = getattr(settings, "CLOCK_FILE", None)
    said = Path(file).read_text(encoding="ascii") if file else ""
    return datetime.fromisoformat(said) if said else timezone.now()
