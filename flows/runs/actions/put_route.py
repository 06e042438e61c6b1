"""Making, changing and removing a route."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Conflict, Fault, Invalid, NotFound
from flows.access.rights import Right, require
from flows.engine.problems import listed
from flows.models import ModelEntry, Route, RouteVersion
from flows.routing.entries import SLUG, RoutePart, reference_faults, route_faults
from flows.runs.actions.put_model import Put, as_faults, refuse_stale
from flows.runs.catalogue.uses import asking_by_name
from flows.runs.catalogue.versions import version_of


class AlreadyInForce(Conflict):
    """That version is what is in force. There is nothing to go back to."""

    slug = "already-in-force"


def put_route(actor: Actor, slug: str, part: RoutePart, *, version: int | None = None) -> Put:
    """Makes the route, or a new version of it where `version` is its newest (0: there must be none yet; None: whatever it is). The
    next call goes by it; calls that have begun keep theirs.

    Raises `Forbidden`, `CatalogueMoved`, and `Invalid` naming each fault: no candidate, one that there is not, one that lacks what the
    route or a flow that asks it needs.
    """
    require(actor, Right.EDIT_ROUTES)
    with transaction.atomic():
        stored = Route.objects.select_for_update().filter(slug=slug[:80]).first()
        refuse_stale(version, stored.version if stored is not None else 0)
        faults = faults_of_route(slug, part)
        if faults:
            raise Invalid("The route cannot be used as it is.", problems=faults)
        return write_route(actor, slug, part)


def roll_back_route(actor: Actor, slug: str, number: int, *, version: int | None = None) -> Put:
    """A new version of the route that equals version `number`: what was is added to, never rewritten. `version` is the newest that the
    actor has seen. Raises `Forbidden`, `NotFound`, `CatalogueMoved`, `AlreadyInForce`, and `Invalid` where the old version no longer
    fits the models that there are or the flows that ask it."""
    require(actor, Right.EDIT_ROUTES)
    with transaction.atomic():
        stored = Route.objects.select_for_update().filter(slug=slug[:80]).first()
        if stored is None:
            raise NotFound(f"route {slug[:80]!r}")
        refuse_stale(version, stored.version)
        part = RoutePart.of(version_of(slug, number).definition)
        faults = faults_of_route(slug, part)
        if faults:
            raise Invalid(f"Version {number} cannot be used any more.", problems=faults)
        put = write_route(actor, slug, part, back_to=number)
        if not put.changes:
            raise AlreadyInForce(f"Version {number} is what is in force; nothing was changed.")
        return put


def remove_route(actor: Actor, slug: str, *, version: int | None = None) -> None:
    """Takes a route out of the catalogue; its versions and the calls that it led stay. Raises `Forbidden`, `NotFound`,
    `CatalogueMoved`, and `Invalid` naming the flows that ask it."""
    require(actor, Right.EDIT_ROUTES)
    with transaction.atomic():
        route = Route.objects.select_for_update().filter(slug=slug[:80]).first()
        if route is None:
            raise NotFound("route")
        refuse_stale(version, route.version)
        asking = asking_by_name().get(slug, ())
        if asking:
            fault = Fault(slug, f"is asked by {listed([str(each) for each in asking])}", "Let them ask another route first.")
            raise Invalid("The route is in use, so it was not removed.", problems=[fault])
        Route.objects.filter(slug=slug).update(removed_at=timezone.now())
        record_change(actor, "route.remove", "route", slug, {"version": route.version})


def write_route(actor: Actor, slug: str, part: RoutePart, *, back_to: int | None = None) -> Put:
    """Writes the route and its version with the audit row, for who has checked rights and references; `back_to` is the version that it
    goes back to, where it does. Must run in a transaction."""
    values = part.stored()
    route = Route.everything.filter(slug=slug).first()
    put = Put(route)
    if route is None or route.removed_at is not None:
        put.entry = route = route or Route(slug=slug)
        before, changed = {}, values
        put.changes.append(f"new route {slug}")
    else:
        changed = {name: value for name, value in values.items() if getattr(route, name) != value}
        before = {name: getattr(route, name) for name in changed}
        if not changed:
            return put
        put.changes.append(f"route {slug}: {', '.join(changed)}")
    newest = RouteVersion.objects.filter(route_id=slug).order_by("-number").values_list("number", flat=True).first()
    for name, value in changed.items():
        setattr(route, name, value)
    route.version, route.removed_at = (newest or 0) + 1, None
    route.save()
    RouteVersion.objects.create(route=route, number=route.version, definition=values, by=actor.name)
    if before:
        data = {"from": before, "to": changed, "version": route.version}
        if back_to is None:
            record_change(actor, "route.change", "route", slug, data)
        else:
            record_change(actor, "route.roll_back", "route", slug, {**data, "rolled_back_to": back_to})
    else:
        record_change(actor, "route.create", "route", slug, values)
    return put


def faults_of_route(slug: str, part: RoutePart) -> list[Fault]:
    """What is wrong with a route of this name: by itself, by the models that there are, and by the flows that ask it."""
    models = dict(ModelEntry.objects.values_list("slug", "capabilities"))
    faults = as_faults(("routes", slug), route_faults(slug, part))
    if not SLUG.fullmatch(slug) or len(slug) > 80:
        mend = "Use up to 80 small letters, digits, dots, hyphens and underscores."
        faults.append(Fault("name", f"`{slug[:40]}` is no name", mend))
    elif slug in models:
        faults.append(Fault("name", f"`{slug}` is the name of a model", "Give the route another name."))
    within = f"routes.{slug}."
    faults += [Fault(each.path.removeprefix(within), each.message, each.mend) for each in reference_faults(slug, part, models)]
    for asking in asking_by_name().get(slug, ()):
        for number, each in enumerate(part.candidates):
            lacking = sorted(asking.needs - set(models.get(each.model, asking.needs)))
            if lacking:
                message = f"`{each.model}` lacks {', '.join(lacking)}, which {asking} needs"
                faults.append(Fault(f"candidates[{number}]", message, f"Take {each.model} out, or choose one that can do it."))
    return faults
