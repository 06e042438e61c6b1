"""The form of the general settings."""

from __future__ import annotations

from typing import Any

from django import forms

from flows.access.installation import Known
from orchestrator.people.forms import Taking


class InstallationForm(Taking):
    name = forms.CharField(max_length=60, help_text="In titles, on the page of the sign-in, in letters.")
    zone = forms.CharField(
        max_length=64,
        label="Time zone",
        help_text="Such as Europe/Madrid. Of days where no browser says another: over the API, by command, in new budgets.",
    )
    currency = forms.CharField(
        max_length=4,
        label="Currency",
        help_text="What stands before amounts: $, €, CHF. Amounts are those of the price book and are never converted.",
    )

    def __init__(self, known: Known, data: Any = None) -> None:
        initial = {"name": known.name, "zone": known.zone, "currency": known.currency}
        super().__init__(data, initial=initial, label_suffix="")
