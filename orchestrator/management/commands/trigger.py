"""Triggers from the command line: schedules and webhooks, what fired, and firing by hand."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandParser
from django.urls import reverse

from flows.access.actor import Actor
from flows.api.triggers import FiringList, TriggerList, TriggerShape, firing_shape, trigger_shape
from flows.models import Run, Trigger
from flows.triggers.actions.fire_by_hand import fire_now, replay_delivery
from flows.triggers.actions.pause_trigger import pause_trigger
from flows.triggers.actions.remove_trigger import remove_trigger
from flows.triggers.actions.rotate_secret import rotate_secret
from flows.triggers.actions.save_trigger import change_trigger, create_trigger
from flows.triggers.actions.use_as_sample import use_as_sample
from flows.triggers.clock import database_now
from flows.triggers.reads import firing_named, firings_of, schedule_of, trigger_named, triggers_listed, why_inactive
from flows.triggers.settings import CATCH_UPS, DEFAULTS, OVERLAPS
from orchestrator.management.speaking import at_site, json_given, text_given
from orchestrator.management.verbs import VerbCommand


class Command(VerbCommand):
    help = "List, make, change, pause, fire and remove the schedules and webhooks of flows."

    def add_verbs(self) -> None:
        listing = self.verb("list", "all triggers by name, with what they do and why one does nothing", shows=True)
        listing.add_argument("--flow", default="", help="slug")
        listing.add_argument("--kind", default="", choices=list(DEFAULTS))
        self.one("show", "one trigger, of a schedule with the next five fire times", shows=True)
        add = self.verb("add", "make one that starts runs in this person's name", by_person=True)
        add.add_argument("flow", help="slug")
        add.add_argument("kind", choices=list(DEFAULTS))
        add.add_argument("name")
        change = self.one("change", "set what is named; from now on it starts runs in this person's name", by_person=True)
        change.add_argument("--name")
        for each in (add, change):
            _settings(each)
        self.one("pause", "let it start nothing")
        self.one("resume", "let it go on")
        self.one("remove", "its runs stay")
        self.one("secret", "give a webhook a new secret; the former one works for a day longer")
        self.one("fire", "a run with the schedule's input or the webhook's sample, now")
        self.one("firings", "what fired, the newest first", shows=True)
        self.one("replay", "a new run with what was delivered then").add_argument("firing", help="identifier (fir_…)")
        sample = self.one("sample", "make what was delivered then the webhook's sample", by_person=True)
        sample.add_argument("firing", help="identifier (fir_…)")

    def one(self, name: str, words: str, **options: Any) -> CommandParser:
        parser = self.verb(name, words, **options)
        parser.add_argument("trigger", help="identifier (trg_…)")
        return parser

    # --- what there is

    def do_list(self, actor: Actor, flow: str, kind: str, json: bool, **options: Any) -> None:
        found = triggers_listed(actor, kind, flow)
        if json:
            self.write_json(TriggerList, {"items": [trigger_shape(each, at_site) for each in found]})
            return
        for each in found:
            self.stdout.write(f"{each.public_id}: {each.name}: {_rule(each)}, starts {each.flow.slug}{_standing(each)}")

    def do_show(self, actor: Actor, trigger: str, json: bool, **options: Any) -> None:
        found = trigger_named(actor, trigger)
        if json:
            self.write_json(TriggerShape, trigger_shape(found, at_site))
            return
        self.stdout.write(f"{found.name}: {_rule(found)}, starts {found.flow.slug} as {found.owner.username}{_standing(found)}")
        for name, value in found.settings.items():
            self.stdout.write(f"{name}: {_text(value)}")
        if found.kind == "webhook":
            self.stdout.write(f"deliver to: {_address(found)}")
        elif not why_inactive(found):
            for time in schedule_of(found).upcoming(database_now()):
                note = f" ({time.note})" if time.note else ""
                self.stdout.write(f"next: {time.local:%Y-%m-%d %H:%M %Z}{note}")

    def do_firings(self, actor: Actor, trigger: str, json: bool, **options: Any) -> None:
        found = firings_of(trigger_named(actor, trigger))
        if json:
            self.write_json(FiringList, {"items": [firing_shape(each) for each in found]})
            return
        for each in found:
            run = f" {each.run.public_id}" if each.run is not None else ""
            reason = f": {each.reason}" if each.reason else ""
            self.stdout.write(f"{each.public_id}: {each.at:%Y-%m-%d %H:%M:%S}Z {each.outcome}{run}{reason}")

    # --- what people do

    def do_add(self, actor: Actor, flow: str, kind: str, name: str, **options: Any) -> None:
        made, secret = create_trigger(actor, flow, kind, name, _given(options))
        self.stdout.write(made.public_id)
        if secret:
            self.stderr.write(f"Deliver to {_address(made)}. The secret is shown only now:")
            self.stdout.write(secret)

    def do_change(self, actor: Actor, trigger: str, name: str | None, **options: Any) -> None:
        changed = change_trigger(actor, trigger_named(actor, trigger), _given(options), name)
        self.stdout.write(f"{changed.name}: {_rule(changed)}, starts {changed.flow.slug} as {changed.owner.username}")

    def do_pause(self, actor: Actor, trigger: str, **options: Any) -> None:
        self.stdout.write(f"{pause_trigger(actor, trigger_named(actor, trigger)).name} is paused.")

    def do_resume(self, actor: Actor, trigger: str, **options: Any) -> None:
        self.stdout.write(f"{pause_trigger(actor, trigger_named(actor, trigger), paused=False).name} goes on.")

    def do_remove(self, actor: Actor, trigger: str, **options: Any) -> None:
        found = trigger_named(actor, trigger)
        remove_trigger(actor, found)
        self.stdout.write(f"{found.name} was removed. Its runs stay.")

    def do_secret(self, actor: Actor, trigger: str, **options: Any) -> None:
        secret = rotate_secret(actor, trigger_named(actor, trigger))
        self.stderr.write("The new secret is shown only now; the former one works for a day longer:")
        self.stdout.write(secret)

    def do_fire(self, actor: Actor, trigger: str, **options: Any) -> None:
        self.tell(fire_now(actor, trigger_named(actor, trigger)))

    def do_replay(self, actor: Actor, trigger: str, firing: str, **options: Any) -> None:
        found = trigger_named(actor, trigger)
        self.tell(replay_delivery(actor, found, firing_named(found, firing)))

    def do_sample(self, actor: Actor, trigger: str, firing: str, **options: Any) -> None:
        found = trigger_named(actor, trigger)
        changed = use_as_sample(actor, found, firing_named(found, firing))
        self.stdout.write(f"sample: {_text(changed.settings['sample'])}")

    def tell(self, run: Run) -> None:
        self.stderr.write(f"{run.public_id} (#{run.number}): {run.status}")
        self.stdout.write(run.public_id)


def _settings(parser: CommandParser) -> None:
    """The options of what a trigger is set to; each is of one kind."""
    parser.add_argument("--cron", help="of a schedule: five fields, such as '30 8 * * 1-5'")
    parser.add_argument("--zone", help="of a schedule: such as Europe/Madrid")
    parser.add_argument("--overlap", choices=OVERLAPS, help="of a schedule: what happens while the run before is going")
    parser.add_argument("--catch-up", choices=CATCH_UPS, help="of a schedule: what becomes of fire times that were missed")
    parser.add_argument("--input", help="of a schedule: JSON, or @FILE")
    parser.add_argument("--mapping", help="of a webhook: the input made of body and delivery; a template, JSON of them, or @FILE")
    parser.add_argument("--sample", help="of a webhook: a body, as JSON or @FILE")
    parser.add_argument("--per-minute", type=int, help="of a webhook: the most deliveries it takes")


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """The settings that were named. Raises `CommandError`."""
    given = {name: options[name] for name in ("cron", "zone", "overlap", "catch_up", "per_minute") if options[name] is not None}
    given |= {name: json_given(text_given(options[name])) for name in ("input", "sample") if options[name] is not None}
    if options["mapping"] is not None:
        text = text_given(options["mapping"])
        given["mapping"] = text if text.lstrip().startswith("{{") else json_given(text)
    return given


def _rule(trigger: Trigger) -> str:
    if trigger.kind == "webhook":
        return "webhook"
    return f"schedule {trigger.settings['cron']} {trigger.settings['zone']} ({schedule_of(trigger).words})"


def _standing(trigger: Trigger) -> str:
    inactive = why_inactive(trigger)
    return f"; inactive: {inactive}" if inactive else ""


def _address(trigger: Trigger) -> str:
    return at_site(reverse("hook", args=[trigger.public_id]))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
