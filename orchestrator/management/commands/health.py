"""The engines' figures from the command line."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from flows.execution.health import health


class Command(BaseCommand):
    help = "Print how the engines do, as JSON."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(json.dumps(asdict(health(settings.LEASE)), indent=2))
