"""Models and routes over HTTP: read, make, change and remove them, check a key, try a route on the past and on a prompt."""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema, Status
from pydantic import Field

from flows.access.actor import Actor
from flows.access.refusals import Fault, Forbidden, Invalid, NotFound
from flows.access.rights import Right, require, require_scope
from flows.api.auth import actor_of
from flows.api.flows import revision_in
from flows.api.runs import REFUSALS, runs_root
from flows.api.shapes import Money, Time
from flows.api.shapes.runs import RunStarted
from flows.models import ModelEntry, Route, RouteVersion
from flows.routing.entries import ModelPart, RoutePart
from flows.runs.actions.check_key import check_key
from flows.runs.actions.put_model import put_model, remove_model
from flows.runs.actions.put_route import put_route, remove_route, roll_back_route
from flows.runs.actions.try_route import cost_of_trial, try_route
from flows.runs.catalogue.dryrun import DryRun, dry_run
from flows.runs.catalogue.versions import compared, versions_of

router = Router(tags=["models and routes"])


class ModelShape(Schema):
    name: str
    revision: int = Field(description="rises with every change; what If-Match names")
    model: str = Field(description="provider/name")
    api_base: str
    api_key_env: str = Field(description="the environment variable that holds the key; the key itself is never given")
    api_key_secret: str = Field(description="or the name of the secret that is it; its value is never given")
    context: int
    max_output: int
    capabilities: list[str]
    settings: dict[str, Any]
    limits: dict[str, Any]
    breaker: dict[str, Any]
    unpriced: str
    simulated: bool


class ModelSaved(ModelShape):
    changes: list[str]
    warnings: list[str]


class ModelsShape(Schema):
    items: list[ModelShape]


class RouteShape(Schema):
    name: str
    version: int = Field(description="rises with every change; what If-Match names")
    candidates: list[Any] = Field(description="names of models, or objects {model, when, weight}, the first choice first")
    strategy: str
    needs: list[str]
    fall_back_on: list[str]
    timeout: float | None = Field(description="seconds that one call may take")


class RoutesShape(Schema):
    items: list[RouteShape]


class RouteVersionShape(Schema):
    number: int
    by: str
    created_at: Time
    definition: dict[str, Any]


class VersionsShape(Schema):
    items: list[RouteVersionShape]


class RouteChange(Schema):
    change: Literal["added", "removed", "changed"]
    name: str = Field(description="the field's place, such as candidates[0]")
    before: str | None
    after: str | None


class RouteComparison(Schema):
    before: int
    after: int
    changes: list[RouteChange]


class RollbackIn(Schema, extra="forbid"):
    version: int = Field(description="the number of the version to go back to")


class KeyChecked(Schema):
    verdict: Literal["taken", "refused", "unknown"]
    said: str = Field(description="the provider's own reason")


class Difference(Schema):
    call: str
    before: str
    after: str = Field(description="empty: nobody could be asked")
    why: str
    cost_before: Money | None
    cost_after: Money | None
    seconds_before: float
    seconds_after: float | None


class DryRunShape(Schema):
    calls: int
    differing: int
    cost_before: Money
    cost_after: Money
    unpriced: int = Field(description="calls in neither sum, since a price is not known")
    seconds_before: float | None
    seconds_after: float | None
    differences: list[Difference]


class TrialIn(Schema, extra="forbid"):
    prompt: str
    max_output: int = Field(500, description="tokens")
    simulate: bool = False
    ceiling: Money | None = Field(None, description="dollars that it may cost at most, fallbacks included")


class TrialCostShape(Schema):
    model: str = Field(description="who would be asked first")
    tokens: int = Field(description="of the prompt, an upper estimate")
    first: Money | None = Field(description="dollars that this model can cost at most; null: its price is not known")
    dearest: Money | None = Field(
        description="the same of the dearest of those that may be asked after it; null: a price is not known"
    )


@router.get("/models", response={200: ModelsShape, 403: REFUSALS[403]})
def get_models(request: HttpRequest, provider: str = Query(""), capability: str = Query("")) -> Any:
    """The models of the catalogue: all, those of a provider, those with a capability."""
    require_sight(actor_of(request))
    return {"items": [model_shape(entry) for entry in models_listed(provider, capability)]}


@router.get("/models/{model}", response={200: ModelShape, 403: REFUSALS[403], 404: REFUSALS[404]})
def get_model(request: HttpRequest, model: str) -> Any:
    """One model. Its key is never given."""
    require_sight(actor_of(request))
    return model_shape(stored_model(model))


@router.put("/models/{model}", response={200: ModelSaved} | REFUSALS)
def put_one_model(request: HttpRequest, model: str, body: ModelPart, check: bool = False, grant: bool = False) -> Any:
    """Makes the model, or changes it; `If-Match` names the revision that was read ("0": it must be new). With `check` the provider
    is asked first, and where it refuses the key nothing is saved; with `grant` the secret that is its key is granted to it, and any
    other taken back from it. Needs the right `catalogue.manage`."""
    put = put_model(actor_of(request), model, body, revision=revision_in(request), check=check, grant=grant)
    return model_shape(put.entry) | {"changes": put.changes, "warnings": put.warnings}


@router.delete("/models/{model}", response={204: None} | REFUSALS)
def delete_model(request: HttpRequest, model: str) -> Any:
    """Takes it out of the catalogue; refused where a route or a published flow asks it, naming them."""
    remove_model(actor_of(request), model, revision=revision_in(request))
    return Status(204, None)


@router.post("/models/{model}/check", response={200: KeyChecked} | REFUSALS)
def post_check(request: HttpRequest, model: str) -> Any:
    """Asks the provider whether it takes the model's key; costs nothing, saves nothing."""
    actor = actor_of(request)
    require(actor, Right.MANAGE_CATALOGUE)
    entry = stored_model(model)
    checked = check_key(actor, entry.slug, entry)
    return {"verdict": checked.verdict, "said": checked.said}


@router.get("/routes", response={200: RoutesShape, 403: REFUSALS[403]})
def get_routes(request: HttpRequest) -> Any:
    """All routes."""
    require_sight(actor_of(request))
    return {"items": [route_shape(each) for each in Route.objects.order_by("slug")]}


@router.get("/routes/{route}", response={200: RouteShape, 403: REFUSALS[403], 404: REFUSALS[404]})
def get_route(request: HttpRequest, route: str) -> Any:
    """One route."""
    require_sight(actor_of(request))
    return route_shape(stored_route(route))


@router.put("/routes/{route}", response={200: RouteShape} | REFUSALS)
def put_one_route(request: HttpRequest, route: str, body: RoutePart) -> Any:
    """Makes the route, or a new version of it; `If-Match` names the version that was read ("0": it must be new). Needs the right
    `routes.edit`."""
    return route_shape(put_route(actor_of(request), route, body, version=revision_in(request)).entry)


@router.get("/routes/{route}/versions", response={200: VersionsShape, 403: REFUSALS[403], 404: REFUSALS[404]})
def get_route_versions(request: HttpRequest, route: str) -> Any:
    """What the route was, the newest first."""
    require_sight(actor_of(request))
    return {"items": [version_shape(each) for each in versions_of(stored_route(route).slug)]}


@router.get("/routes/{route}/comparison", response={200: RouteComparison, 403: REFUSALS[403], 404: REFUSALS[404]})
def get_route_comparison(request: HttpRequest, route: str, before: int | None = None, after: int | None = None) -> Any:
    """The fields in which two versions differ; without numbers the newest and the one before it."""
    require_sight(actor_of(request))
    found = compared(stored_route(route).slug, before, after)
    names = ("change", "name", "before", "after")
    changes = [{name: getattr(each, name) for name in names} for each in found.changes]
    return {"before": found.before.number, "after": found.after.number, "changes": changes}


@router.post("/routes/{route}/rollback", response={200: RouteShape} | REFUSALS)
def post_route_rollback(request: HttpRequest, route: str, body: RollbackIn) -> Any:
    """Goes back to a version by a new one that equals it; `If-Match` names the newest that was read. Needs the right `routes.edit`."""
    return route_shape(roll_back_route(actor_of(request), route, body.version, version=revision_in(request)).entry)


@router.delete("/routes/{route}", response={204: None} | REFUSALS)
def delete_route(request: HttpRequest, route: str) -> Any:
    """Takes it out of the catalogue; refused where a published flow asks it, naming it."""
    remove_route(actor_of(request), route, version=revision_in(request))
    return Status(204, None)


@router.post("/routes/{route}/dry-run", response={200: DryRunShape} | REFUSALS)
def post_dry_run(request: HttpRequest, route: str, body: RoutePart | None = None) -> Any:
    """What the route's last 100 answered calls would have become with this definition (without one: with the route as it is).
    Changes nothing, sends nothing."""
    actor = actor_of(request)
    require(actor, Right.EDIT_ROUTES)
    part = body if body is not None else _part(stored_route(route))
    return _dry_run(dry_run(actor, route, part))


@router.post("/routes/{route}/trials", response={202: RunStarted} | REFUSALS)
def post_trial(request: HttpRequest, response: HttpResponse, route: str, body: TrialIn) -> Any:
    """Asks the route one prompt: a run of purpose `test`, in the ledger like any other."""
    actor = actor_of(request)
    run = try_route(
        actor, route, body.prompt, max_output=body.max_output, ceiling=body.ceiling, simulate=body.simulate, source="api"
    )
    url = f"{runs_root(request)}/{run.public_id}"
    response["Location"] = url
    return Status(202, {"id": run.public_id, "url": url, "state": run.status})


@router.post("/routes/{route}/trials/cost", response={200: TrialCostShape} | REFUSALS)
def post_trial_cost(request: HttpRequest, route: str, body: TrialIn) -> Any:
    """What such a trial can cost at most. Nothing is asked."""
    found = cost_of_trial(actor_of(request), route, body.prompt, max_output=body.max_output, simulate=body.simulate)
    return {name: getattr(found, name) for name in ("model", "tokens", "first", "dearest")}


def models_listed(provider: str = "", capability: str = "") -> list[ModelEntry]:
    """The models by name: all, those of a provider, those with a capability."""
    return [
        entry
        for entry in ModelEntry.objects.order_by("slug")
        if provider in ("", entry.model.partition("/")[0]) and (not capability or capability in entry.capabilities)
    ]


def require_sight(actor: Actor) -> None:
    """Passes for whoever sees flows somewhere. Raises `Forbidden`."""
    require_scope(actor, Right.SEE_FLOWS)
    if not actor.holdings.allow(Right.SEE_FLOWS) and not actor.holdings.teams(Right.SEE_FLOWS):
        raise Forbidden(Right.SEE_FLOWS)


def stored_model(name: str) -> ModelEntry:
    """The model of this name. Raises `NotFound`."""
    found = ModelEntry.objects.filter(slug=name[:80]).first() if "\x00" not in name else None
    if found is None:
        raise NotFound(f"model {name[:80]!r}")
    return found


def stored_route(name: str) -> Route:
    """The route of this name. Raises `NotFound`."""
    found = Route.objects.filter(slug=name[:80]).first() if "\x00" not in name else None
    if found is None:
        raise NotFound(f"route {name[:80]!r}")
    return found


def _part(route: Route) -> RoutePart:
    if not route.candidates:
        raise Invalid("The route cannot be tried.", problems=[Fault("candidates", "there is none", "Add a model to it.")])
    names = ("candidates", "fall_back_on", "timeout", "strategy", "needs")
    return RoutePart.of({name: getattr(route, name) for name in names})


def model_shape(entry: ModelEntry) -> dict[str, Any]:
    """A model as `ModelShape`."""
    key = ("api_key_env", "api_key_secret")
    names = ("model", "api_base", *key, "context", "max_output", "capabilities", "settings", "limits", "breaker")
    shown = {name: getattr(entry, name) for name in (*names, "unpriced", "simulated", "revision")}
    return {"name": entry.slug, **shown}


def route_shape(route: Route) -> dict[str, Any]:
    """A route as `RouteShape`."""
    names = ("version", "candidates", "strategy", "needs", "fall_back_on", "timeout")
    return {"name": route.slug, **{name: getattr(route, name) for name in names}}


def version_shape(row: RouteVersion) -> dict[str, Any]:
    """A version of a route, as in `VersionsShape`."""
    return {name: getattr(row, name) for name in ("number", "by", "created_at", "definition")}


def _dry_run(tried: DryRun) -> dict[str, Any]:
    names = ("before", "after", "why", "cost_before", "cost_after", "seconds_before", "seconds_after")
    differences = [
        {"call": f"call_{each.call.id.hex}", **{name: getattr(each, name) for name in names}} for each in tried.differing
    ]
    sums = {name: getattr(tried, name) for name in ("cost_before", "cost_after", "unpriced", "seconds_before", "seconds_after")}
    return {"calls": len(tried.calls), "differing": len(tried.differing), "differences": differences, **sums}
