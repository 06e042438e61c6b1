"""Saving and retiring approval policies."""

from __future__ import annotations

import re
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from approvals.models import Policy, PolicyVersion
from approvals.policies.reach import unknown_names, unsatisfiable
from approvals.policies.settings import read_settings
from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Conflict, Fault, Forbidden, Invalid, NotFound
from flows.access.rights import Right, require

SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}\Z")


class PolicyChanged(Conflict):
    """Somebody saved this policy since you opened it. Look at the newest version, then save again."""

    slug = "policy-changed"


def save_policy(actor: Actor, slug: str, name: str, rules: Any, based_on: int | None = None) -> PolicyVersion:
    """Saves the rules as the policy's next version, or as the first of a new one; gives that version.

    Requests that are open keep the version under which they were asked. `based_on` is the number of the version that was changed;
    None stands for whatever is newest. Saving what stands already makes no version. Raises `Forbidden`, `Invalid` naming each field,
    also where nobody could ever satisfy it, and `PolicyChanged`.
    """
    require(actor, Right.MANAGE_POLICIES)
    if actor.person is None:
        raise Forbidden(Right.MANAGE_POLICIES, "Only a person can save a policy.")
    name = " ".join(str(name).split())
    faults = []
    if not SLUG.match(slug):
        faults.append(Fault("slug", "is no name for addresses", "Use small letters, digits, - and _."))
    if not 0 < len(name) <= 120:
        faults.append(Fault("name", "is missing" if not name else "is longer than 120 characters"))
    if faults:
        raise Invalid("The policy cannot be used.", problems=faults)
    settings = read_settings(rules)
    faults = [*unknown_names(settings), *unsatisfiable(settings)]
    if faults:
        raise Invalid("The policy cannot be used.", problems=faults)
    kept = settings.model_dump(mode="json")
    with transaction.atomic():
        Policy.objects.bulk_create([Policy(slug=slug, name=name)], ignore_conflicts=True)
        policy = Policy.objects.select_for_update(of=("self",)).select_related("current").get(slug=slug)
        before = policy.current
        if based_on is not None and based_on != (before.number if before is not None else 0):
            raise PolicyChanged
        if before is not None and (before.rules, policy.name, policy.retired_at) == (kept, name, None):
            return before
        version = PolicyVersion.objects.create(
            policy=policy, number=before.number + 1 if before is not None else 1, rules=kept, by=actor.person
        )
        data = {
            "version": version.number,
            "before": {"name": policy.name, **before.rules} if before is not None else None,
            "after": {"name": name, **kept},
        }
        Policy.objects.filter(id=policy.id).update(current=version, name=name, retired_at=None)
        record_change(actor, "policy.save", "policy", slug, data)
    return version


def retire_policy(actor: Actor, slug: str) -> Policy:
    """Takes a policy out of force: nothing new is asked under it, and a step that names it fails. Open requests stay as they are.

    Raises `Forbidden` and `NotFound`.
    """
    require(actor, Right.MANAGE_POLICIES)
    with transaction.atomic():
        policy = Policy.objects.select_for_update(of=("self",)).select_related("current").filter(slug=slug).first()
        if policy is None:
            raise NotFound(f"policy {slug[:64]!r}")
        if policy.retired_at is None:
            Policy.objects.filter(id=policy.id).update(retired_at=Now())
            record_change(actor, "policy.retire", "policy", slug, {"version": policy.current and policy.current.number})
    return Policy.objects.select_related("current").get(id=policy.id)
