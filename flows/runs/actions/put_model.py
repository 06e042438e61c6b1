"""Making, changing and removing a model of the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils import timezone

from flows.access.actions.put_secret import grant_to_model
from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Conflict, Fault, Invalid, NotFound
from flows.access.rights import Right, require
from flows.costs.actions.add_price import Wanted, in_words, put_price
from flows.costs.pricebook import FIGURES
from flows.engine.problems import Place, listed, path_text
from flows.models import ModelEntry, Route, Secret
from flows.routing.definitions import slugs_of
from flows.routing.entries import SLUG, ModelPart, PricePart, model_faults
from flows.routing.providers.listed import Figures, listed_prices, source
from flows.runs.actions.check_key import check_key
from flows.runs.catalogue.uses import asking_by_name, holders_of_model


class CatalogueMoved(Conflict):
    """Somebody else changed it meanwhile. Read it again before you change it."""

    slug = "stale-revision"


@dataclass
class Put:
    """What was written: sentences about what changed, and about what was not done."""

    entry: Any
    changes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def put_model(
    actor: Actor, slug: str, part: ModelPart, *, revision: int | None = None, check: bool = False, grant: bool = False
) -> Put:
    """Makes the model, or changes it where it is of this `revision` (0: there must be none yet; None: whatever it is). The next call
    goes by it; calls that have begun keep what they were told. A model without a price gets that of LiteLLM's list, where it has one.
    With `check` the provider is asked first; where it refuses the key nothing is saved. With `grant` the secret that is its key is
    granted to it, and every other taken back from it.

    Raises `Forbidden`, `CatalogueMoved`, and `Invalid` naming each fault, such as a capability that a route or a flow needs of it.
    """
    require(actor, Right.MANAGE_CATALOGUE)
    field_ = "api_key_secret" if part.api_key_secret else "api_key_env"
    checked = check_key(actor, slug, part, granting=grant) if check and getattr(part, field_) else None
    if checked is not None and checked.verdict == "refused":
        raise Invalid("The key is refused, so nothing was saved.", problems=[Fault(field_, checked.said)])
    with transaction.atomic():
        stored = ModelEntry.everything.select_for_update().filter(slug=slug[:80]).first()
        present = stored if stored is not None and stored.removed_at is None else None
        refuse_stale(revision, present.revision if present is not None else 0)
        faults = [*_name_faults(slug), *as_faults(("models", slug), model_faults(slug, part))]
        if present is not None:
            faults += _lost_capabilities(present, part)
        if grant and part.api_key_secret and not faults and not Secret.objects.filter(name=part.api_key_secret).exists():
            faults.append(
                Fault("api_key_secret", f"there is no secret {part.api_key_secret}", "Write it on the page of secrets.")
            )
        if faults:
            raise Invalid("The model cannot be used as it is.", problems=faults)
        if grant:
            grant_to_model(actor, slug, part.api_key_secret)
        put = write_model(actor, slug, part)
    if checked is not None:
        put.warnings.append(checked.said)
    return put


def remove_model(actor: Actor, slug: str, *, revision: int | None = None) -> None:
    """Takes a model out of the catalogue; its prices and calls stay. Raises `Forbidden`, `NotFound`, `CatalogueMoved`, and `Invalid`
    naming the routes and flows that ask it."""
    require(actor, Right.MANAGE_CATALOGUE)
    with transaction.atomic():
        entry = ModelEntry.objects.select_for_update().filter(slug=slug[:80]).first()
        if entry is None:
            raise NotFound("model")
        refuse_stale(revision, entry.revision)
        holders = holders_of_model(slug)
        if holders:
            fault = Fault(slug, f"is asked by {listed(holders)}", "Let them ask another model first.")
            raise Invalid("The model is in use, so it was not removed.", problems=[fault])
        ModelEntry.objects.filter(slug=slug).update(removed_at=timezone.now(), revision=entry.revision + 1)
        grant_to_model(actor, slug, "")
        record_change(actor, "model.remove", "model", slug, {"model": entry.model})


def write_model(actor: Actor, slug: str, part: ModelPart) -> Put:
    """Writes the model and its price with their audit rows, for who has checked rights and references. Must run in a transaction."""
    values = part.stored()
    entry = ModelEntry.everything.filter(slug=slug).first()
    if entry is None or entry.removed_at is not None:
        revision = 1 if entry is None else entry.revision + 1
        entry, _ = ModelEntry.everything.update_or_create(
            slug=slug, defaults={**values, "revision": revision, "removed_at": None}
        )
        put = Put(entry, [f"new model {slug}"])
        record_change(actor, "model.create", "model", slug, values)
    else:
        put = Put(entry)
        changed = {name: value for name, value in values.items() if getattr(entry, name) != value}
        if changed:
            before = {name: getattr(entry, name) for name in changed}
            for name, value in changed.items():
                setattr(entry, name, value)
            entry.revision += 1
            entry.save(update_fields=[*changed, "revision"])
            record_change(actor, "model.change", "model", slug, {"from": before, "to": changed})
            put.changes.append(f"model {slug}: {', '.join(changed)}")
    _write_price(actor, put, part.price)
    if part.api_key_secret and not Secret.objects.filter(name=part.api_key_secret, models__contains=[slug]).exists():
        put.warnings.append(
            f"model {slug}: the secret {part.api_key_secret} is not granted to it; an owner grants it on the page of secrets."
        )
    return put


def _write_price(actor: Actor, put: Put, price: PricePart | None) -> None:
    entry: ModelEntry = put.entry
    if price is not None and price.input is not None:
        stated = {name: getattr(price, name) for name in FIGURES}
        _write_tiers(actor, put, {0: stated}, "catalogue")
    elif entry.prices.exists():
        return
    elif tiers := listed_prices(entry.model):
        _write_tiers(actor, put, tiers, source())
    else:
        put.warnings.append(f"model {entry.slug} has no price: where a limit of money applies it will be refused.")


def _write_tiers(actor: Actor, put: Put, tiers: Mapping[int, Figures], source_: str) -> None:
    for above, figures in tiers.items():
        newest = put.entry.prices.filter(above=above).order_by("-valid_from", "-id").first()
        if newest is None or any(getattr(newest, name) != figures.get(name) for name in FIGURES):
            row = put_price(actor, Wanted(put.entry.slug, figures, above=above, source=source_))
            put.changes.append(f"price of {in_words(row)}, from now on ({source_})")


# ------------------------------------------------------------------ what is wrong


def refuse_stale(seen: int | None, present: int) -> None:
    """Passes where `seen` is what stands now, or does not matter. Raises `CatalogueMoved`."""
    if seen is None or seen == present:
        return
    if seen == 0:
        raise CatalogueMoved("There is one of this name already. Change that one, or choose another name.")
    stands = f"it is at {present}" if present else "it was removed"
    raise CatalogueMoved(f"Somebody else changed it meanwhile: you read revision {seen}, {stands}. Read it again.")


def as_faults(within: Place, found: Iterable[tuple[Place, str, str]]) -> list[Fault]:
    """Faults whose places are told from `within` on."""
    return [Fault(path_text(place[len(within) :]), message, mend) for place, message, mend in found]


def _name_faults(slug: str) -> list[Fault]:
    if not SLUG.fullmatch(slug) or len(slug) > 80:
        return [Fault("name", f"`{slug[:40]}` is no name", "Use up to 80 small letters, digits, dots, hyphens and underscores.")]
    if Route.objects.filter(slug=slug).exists():
        return [Fault("name", f"`{slug}` is the name of a route", "Give the model another name.")]
    return []


def _lost_capabilities(entry: ModelEntry, part: ModelPart) -> list[Fault]:
    """Capabilities that the model would lose although somebody needs them of it."""
    lost = set(entry.capabilities) - set(part.capabilities)
    if not lost:
        return []
    asking = asking_by_name()
    routes = [route for route in Route.objects.order_by("slug") if entry.slug in slugs_of(route.candidates)]
    needed = {f"route {route.slug}": lost & set(route.needs) for route in routes}
    for name in [entry.slug, *(route.slug for route in routes)]:
        needed |= {str(each): lost & each.needs for each in asking.get(name, ())}
    return [
        Fault("capabilities", f"{who} needs {', '.join(sorted(what))}", "Leave it, or take the model out there first.")
        for who, what in needed.items()
        if what
    ]
