"""What the general settings show of the installation."""

from __future__ import annotations

import platform
import shlex
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.metadata import PackageNotFoundError, version
from zoneinfo import ZoneInfo

import django
from django.conf import settings
from django.utils import timezone

from flows.models import Budget, SummedZone


@dataclass(frozen=True, slots=True)
class ZoneStanding:
    """How far the days of a zone are summed, and how many budgets have periods in another."""

    until: date | None
    whole: bool
    budgets_elsewhere: int


def zone_standing(zone: str) -> ZoneStanding:
    until = SummedZone.objects.filter(zone=zone).values_list("until", flat=True).first()
    elsewhere = Budget.objects.exclude(zone=zone).exclude(period="run").count()
    yesterday = timezone.localtime(timezone=ZoneInfo(zone)).date() - timedelta(days=1)
    return ZoneStanding(until, until is not None and until >= yesterday, elsewhere)


def facts() -> list[tuple[str, str, str]]:
    """Label, value, and the environment variable that sets it."""
    mail = f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}" if settings.EMAIL_HOST else "none: links are copied by hand"
    return [
        ("Version", f"{version_of()}, Python {platform.python_version()}, Django {django.get_version()}", ""),
        ("Address", settings.SITE_URL, "SITE_URL"),
        ("Mail server", mail, "EMAIL_HOST"),
        ("Sender of letters", settings.DEFAULT_FROM_EMAIL, "EMAIL_FROM"),
    ]


def where() -> str:
    """How PostgreSQL's own programs are told which database it is; passwords are theirs to ask for."""
    known = settings.DATABASES["default"]
    options = {"host": known.get("HOST"), "port": known.get("PORT"), "username": known.get("USER")}
    return " ".join(
        [*(f"--{name}={shlex.quote(str(value))}" for name, value in options.items() if value), f"--dbname={known['NAME']}"]
    )


def version_of() -> str:
    try:
        return version("orchestrator")
    except PackageNotFoundError:
        return "a checkout"
