"""The forms of people, teams and keys."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone

from flows.access.actor import SCOPES
from flows.access.refusals import Fault
from flows.models import Person, Role, Team

DAYS = (("7", "7 days"), ("30", "30 days"), ("90", "90 days"), ("365", "a year"), ("", "never"))


class Password(forms.CharField):
    """A password as it was typed. `known` says to the browser which one is meant: current-password or new-password."""

    def __init__(self, label: str, known: str, help_text: str = "") -> None:
        widget = forms.PasswordInput(attrs={"autocomplete": known})
        super().__init__(label=label, help_text=help_text, strip=False, max_length=200, widget=widget)


class Taking(forms.Form):
    """A form that takes a verb's faults over, each to the field that it names."""

    use_required_attribute = False

    def take(self, faults: Iterable[Fault]) -> None:
        for fault in faults:
            words = f"{fault.message[:1].upper()}{fault.message[1:]}. {fault.mend}".strip()
            self.add_error(fault.place if fault.place in self.fields else None, words)


class RoleForm(Taking):
    role = forms.ChoiceField(choices=Role.choices)
    team = forms.ChoiceField(required=False, label="Where")

    def __init__(self, data: Any = None, **options: Any) -> None:
        super().__init__(data, label_suffix="", **options)
        team = self.fields["team"]
        assert isinstance(team, forms.ChoiceField)
        team.choices = [("", "everywhere"), *Team.objects.order_by("name").values_list("slug", "name")]


class InviteForm(RoleForm):
    name = forms.CharField(max_length=120, required=False, help_text="As others will see it; they can change it.")
    email = forms.EmailField(required=False, label="E-mail", help_text="The link goes there, where mail is set up. Else copy it.")

    field_order = ["name", "email", "role", "team"]


class PersonForm(Taking):
    name = forms.CharField(max_length=120, required=False)
    email = forms.EmailField(required=False, label="E-mail")

    def __init__(self, person: Person, data: Any = None) -> None:
        super().__init__(data, initial={"name": person.name, "email": person.email}, label_suffix="")


class TeamForm(Taking):
    slug = forms.CharField(max_length=64, label="Short name", help_text="Small letters, digits, - and _; flows name it.")
    name = forms.CharField(max_length=120, required=False)


class KeyForm(Taking):
    label = forms.CharField(max_length=120, label="What it is for", required=False)
    scopes = forms.MultipleChoiceField(
        choices=[(scope, scope) for scope in SCOPES], widget=forms.CheckboxSelectMultiple, label="It may", required=False
    )
    days = forms.ChoiceField(choices=DAYS, initial="90", required=False, label="Until")

    def expires_at(self) -> datetime | None:
        days = self.cleaned_data["days"]
        return timezone.now() + timedelta(days=int(days)) if days else None


class SuccessorForm(Taking):
    successor = forms.ChoiceField(required=False, label="Who takes over")

    def __init__(self, person: Person, data: Any = None) -> None:
        super().__init__(data, label_suffix="")
        others = Person.objects.filter(is_active=True).exclude(id=person.id).order_by("username")
        field = self.fields["successor"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", "nobody"), *((each.username, str(each)) for each in others)]


class HeirForm(Taking):
    to = forms.ChoiceField(required=False, label="Who gets its flows and knowledge bases")

    def __init__(self, team: Team, data: Any = None) -> None:
        super().__init__(data, label_suffix="")
        field = self.fields["to"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", "everybody"), *Team.objects.exclude(id=team.id).order_by("name").values_list("slug", "name")]


class JoinForm(Taking):
    username = forms.CharField(
        max_length=64,
        help_text="Small letters, digits, - and _.",
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none"}),
    )
    name = forms.CharField(
        max_length=120, required=False, help_text="As others see it.", widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    password = Password("Password", "new-password", "At least 10 characters.")


class PasswordForm(Taking):
    current = Password("Password now", "current-password")
    fresh = Password("New password", "new-password", "At least 10 characters. All other browsers are signed out.")


class NewPasswordForm(Taking):
    fresh = Password("New password", "new-password", "At least 10 characters.")
