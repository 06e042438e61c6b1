"""The form of a policy: lists as names between commas, the ladder a rung a line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms

from approvals.policies.settings import LONGEST_EXPRESSION
from flows.access.refusals import Fault
from flows.models import Person
from flows.runs.starting.form import sentence_of

LISTS = ("tools", "flows", "people", "teams", "channels")
RISKS = (("low", "Low: can be undone for 5 seconds"), ("medium", "Medium"), ("high", "High: never many at once"))
REASONS = (("never", "Never"), ("reject", "For a rejection or changes"), ("always", "Always"))
LADDER_HELP = (
    "One rung a line, in order of time: 30m remind, 2h escalate to legal, ann, 1d reject. "
    "The last rung is the deadline. A time-out never approves."
)


class PolicyForm(forms.Form):
    use_required_attribute = False

    name = forms.CharField(max_length=120)
    description = forms.CharField(max_length=500, required=False)
    tools = forms.CharField(required=False, help_text="Sealed calls that it applies to by itself: refunds.*, mail.send.")
    flows = forms.CharField(required=False, help_text="Of these flows only: refund-*. Empty stands for all.")
    when = forms.CharField(
        required=False,
        max_length=LONGEST_EXPRESSION,
        label="Ask when",
        help_text="An expression over payload, flow and tool: payload.amount > 250. Empty: always. Where it does not hold nobody is asked.",
    )
    people = forms.CharField(required=False, label="People who decide")
    teams = forms.CharField(required=False, label="Teams who decide")
    chosen_by = forms.CharField(
        required=False,
        max_length=LONGEST_EXPRESSION,
        label="Chosen by the payload",
        help_text="Gives names of people or teams: 'legal' if payload.amount > 5000 else 'finance'. Nobody named: those above decide.",
    )
    quorum = forms.IntegerField(min_value=1, max_value=100, label="Votes needed")
    each_team = forms.BooleanField(required=False, label="One vote of each team at least")
    veto = forms.BooleanField(required=False, label="One rejection ends it")
    reason = forms.ChoiceField(choices=REASONS, label="A comment is needed")
    editable = forms.CharField(
        required=False,
        label="Fields that may be edited",
        help_text="Of those that the step lets edit. Empty: all of them; - none.",
    )
    risk = forms.ChoiceField(choices=RISKS)
    bulk = forms.BooleanField(required=False, label="May be decided many at once")
    confirm = forms.CharField(
        required=False, max_length=120, label="Value to type", help_text="A field whose value must be typed in order to approve."
    )
    channels = forms.CharField(
        required=False,
        label="Channels that hear of it",
        help_text="Names of chats and webhooks, such as those of the team that decides. Empty: all that hear of requests.",
    )
    ladder = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 4}), help_text=LADDER_HELP)

    def __init__(self, data: Any = None, *, name: str = "", rules: dict[str, Any] | None = None) -> None:
        initial = {"quorum": 1, "veto": True, "risk": "medium", "reason": "never"}
        if rules:
            initial |= (
                rules
                | {each: ", ".join(rules.get(each) or []) for each in LISTS}
                | {"ladder": written(rules.get("ladder") or [])}
            )
            editable = rules.get("editable")
            initial["editable"] = "" if editable is None else ", ".join(editable) or "-"
        super().__init__(data, initial=initial | {"name": name}, label_suffix="")

    def rules(self) -> dict[str, Any]:
        """What `save_policy` takes."""
        given = {name: value for name, value in self.cleaned_data.items() if name not in ("name", "editable", "ladder")}
        given |= {name: split(given[name]) for name in LISTS}
        editable = self.cleaned_data["editable"].strip()
        given["editable"] = None if not editable else [] if editable == "-" else split(editable)
        given["ladder"] = rungs(self.cleaned_data["ladder"])
        return given

    def take(self, faults: Iterable[Fault]) -> None:
        """Puts each fault at the field that it is about."""
        for fault in faults:
            place, _, rest = fault.place.partition(".")
            line = f"Line {int(rest.partition('.')[0]) + 1}: " if place == "ladder" and rest[:1].isdigit() else ""
            sentence = " ".join(each for each in (sentence_of(fault.message), fault.mend) if each)
            self.add_error(place if place in self.fields else None, f"{line}{sentence}")


def split(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def rungs(text: str) -> list[dict[str, Any]]:
    """The rungs that the lines say; what a line lacks is found by `read_settings`."""
    lines = [line.split(None, 2) for line in text.splitlines() if line.strip()]
    everybody = {name for parts in lines if len(parts) > 2 for name in split(_names(parts[2]))}
    people = set(Person.objects.filter(username__in=everybody).values_list("username", flat=True))
    found = []
    for parts in lines:
        names = split(_names(parts[2])) if len(parts) > 2 else []
        found.append(
            {
                "after": parts[0],
                "act": parts[1] if len(parts) > 1 else "",
                "people": [name for name in names if name in people],
                "teams": [name for name in names if name not in people],
            }
        )
    return found


def _names(text: str) -> str:
    return text.removeprefix("to ")


def written(ladder: list[dict[str, Any]]) -> str:
    """The ladder as the form takes it."""
    lines = []
    for rung in ladder:
        names = ", ".join([*rung.get("people", []), *rung.get("teams", [])])
        lines.append(f"{rung['after']} {rung['act']}{f' to {names}' if names else ''}")
    return "\n".join(lines)
