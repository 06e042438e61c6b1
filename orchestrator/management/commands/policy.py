"""Approval policies from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from approvals.actions.save_policy import retire_policy, save_policy
from approvals.policies.health import figures_of, loads_of
from approvals.policies.reads import policies_for, policy_named
from approvals.policies.settings import PolicySettings, read_settings
from approvals.policies.trying import tried_on_last_runs
from approvals.policies.words import in_words, ladder_in_words
from flows.access.actor import Actor
from flows.access.rights import Right, require
from flows.engine.yamltext import parse_yaml
from orchestrator.management.speaking import actor_named, spoken_refusals


class Command(BaseCommand):
    help = "List, show, try, save and retire approval policies, and tell how reviewing goes."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|show|try|save|retire|health")
        verbs.add_parser("list", help="all policies with who decides and until when")
        verbs.add_parser("show", help="the rules in force, as JSON").add_argument("slug")
        verbs.add_parser("retire", help="nothing new is asked under it").add_argument("slug")
        verbs.add_parser("health", help="how each policy and each person did in 30 days")
        verbs.add_parser("try", help="on what these rules would have asked in the last 100 runs").add_argument("file")
        save = verbs.add_parser("save", help="save the rules of a file (YAML or JSON) as the next version")
        save.add_argument("slug")
        save.add_argument("file")
        save.add_argument("--name", help="as pages show it; the slug where it is new and nothing is said")
        save.add_argument("--based-on", type=int, help="number of the version that was changed; another one now is refused")
        for each in verbs.choices.values():
            each.add_argument("--as", dest="username", help="the person that does it; only a person saves")

    def handle(self, *args: Any, verb: str, username: str | None, **options: Any) -> None:
        actor = actor_named(username)
        with spoken_refusals():
            getattr(self, f"do_{verb}")(actor, **options)

    def do_list(self, actor: Actor, **options: Any) -> None:
        for policy in policies_for(actor):
            settings = PolicySettings.model_validate(policy.rules)
            gone = " (no longer in force)" if policy.retired_at is not None else ""
            ladder = ladder_in_words(settings) or "no deadline"
            self.stdout.write(f"{policy.label}{gone}: {policy.name}: {in_words(settings)}; {ladder}")

    def do_show(self, actor: Actor, slug: str, **options: Any) -> None:
        policies_for(actor)
        self.stdout.write(json.dumps(policy_named(slug).rules, indent=2, ensure_ascii=False))

    def do_try(self, actor: Actor, file: str, **options: Any) -> None:
        require(actor, Right.MANAGE_POLICIES)
        trial = tried_on_last_runs(actor, read_settings(_rules(file)))
        for each in (*trial.failed, *trial.asked):
            fields = each.problem or ", ".join(f"{name} {value}" for name, value in each.fields)
            self.stdout.write(f"#{each.run.number} {each.path}: {each.tool}: {fields}")
        self.stdout.write(f"It would have asked {len(trial.asked)} times in {trial.runs} runs. Nothing was changed.")

    def do_save(self, actor: Actor, slug: str, file: str, name: str | None, based_on: int | None, **options: Any) -> None:
        known = next((each.name for each in policies_for(actor) if each.slug == slug), slug)
        version = save_policy(actor, slug, name or known, _rules(file), based_on)
        self.stdout.write(f"{slug} v{version.number}. Open requests keep the version under which they were asked.")

    def do_retire(self, actor: Actor, slug: str, **options: Any) -> None:
        self.stdout.write(f"Nothing new is asked under {retire_policy(actor, slug).slug}.")

    def do_health(self, actor: Actor, **options: Any) -> None:
        policies_for(actor)
        for slug, each in sorted(figures_of(actor).items()):
            took = f", median {each.median_seconds:.0f} s" if each.median_seconds is not None else ""
            shares = (
                ("unchanged", each.unchanged),
                ("edited", each.edited),
                ("rejected", each.rejected),
                ("under 3 s", each.hasty),
            )
            said = "".join(f", {share:.0%} {word}" for word, share in shares if share is not None)
            hint = f". {each.streak} in a row unchanged: consider narrowing this rule" if each.narrow else ""
            self.stdout.write(f"{slug or 'all'}: {each.asked} asked, {each.decided} decided{took}{said}{hint}")
        for load in loads_of(actor):
            self.stdout.write(
                f"{load.person}: {load.decided} decided, {load.unchanged:.0%} unchanged, {load.hasty:.0%} under 3 s"
            )


def _rules(file: str) -> Any:
    """The rules that a file holds. Raises `CommandError`, and `DocumentError` with line and column."""
    try:
        return parse_yaml(Path(file).read_text(encoding="utf-8")).value
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from None
