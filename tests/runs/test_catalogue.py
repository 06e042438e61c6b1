"""Editing models and routes: who may, what is refused and why, and what a change does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from flows.access.actor import system
from flows.access.refusals import Forbidden, Invalid, NotFound
from flows.models import AllowedHost, AuditRow, Call, ModelEntry, Price, Route, RouteVersion
from flows.routing.entries import ModelPart, RoutePart
from flows.routing.keycheck import KeyCheck
from flows.routing.table import current_table
from flows.runs.actions.check_key import check_key
from flows.runs.actions.put_model import CatalogueMoved, put_model, remove_model
from flows.runs.actions.put_route import put_route, remove_route
from flows.runs.catalogue.dryrun import dry_run
from flows.steps.model import ModelKind
from tests.engine.flows import source_of
from tests.makers import make_actor, make_flow, make_key, make_person, make_run
from tests.runs.journals import make_call
from tests.servers.loopback import running
from tests.servers.model_server import ModelServer

pytestmark = pytest.mark.django_db

OWNER = system("test", door="cli")


def a_model(slug: str = "small", **fields: Any) -> ModelEntry:
    values = {"model": "sim/small", "capabilities": ("streaming", "tools")} | fields
    entry: ModelEntry = put_model(OWNER, slug, ModelPart.model_validate(values)).entry
    return entry


def a_route(slug: str = "main", *models: Any, **fields: Any) -> Route:
    route: Route = put_route(OWNER, slug, RoutePart.model_validate({"candidates": tuple(models or ("small",)), **fields})).entry
    return route


def said(refusal: pytest.ExceptionInfo[Invalid]) -> str:
    return "; ".join(f"{each.place}: {each.message}" for each in refusal.value.problems)


def asks(route: str) -> dict[str, Any]:
    return {"kind": "model", "with": {"route": route, "prompt": "x"}}


# ------------------------------------------------------------------ models


def test_a_model_is_made_changed_and_repointed_with_its_history_in_the_audit_log() -> None:
    a_model()

    put = put_model(OWNER, "small", ModelPart(model="sim/other", capabilities=("streaming", "tools")), revision=1)

    assert put.changes == ["model small: model"]
    assert current_table().models["small"].model == "sim/other"
    assert ModelEntry.objects.get(slug="small").revision == 2
    change = AuditRow.objects.get(action="model.change", subject="small")
    assert change.data == {"from": {"model": "sim/small"}, "to": {"model": "sim/other"}}


def test_who_read_an_older_model_changes_nothing() -> None:
    a_model()
    put_model(OWNER, "small", ModelPart(model="sim/other", capabilities=("tools", "streaming")))

    with pytest.raises(CatalogueMoved, match="revision 1, it is at 2"):
        put_model(OWNER, "small", ModelPart(model="sim/mine"), revision=1)
    with pytest.raises(CatalogueMoved, match="already"):
        put_model(OWNER, "small", ModelPart(model="sim/mine"), revision=0)
    assert ModelEntry.objects.get(slug="small").model == "sim/other"


def test_a_model_in_use_is_not_removed_and_it_says_where_it_is_used() -> None:
    a_model()
    a_route("main", "small")
    make_flow("refunds", document=source_of({"a": asks("small")}, ["start -> a"]))

    with pytest.raises(Invalid) as refusal:
        remove_model(OWNER, "small")

    assert "route main" in said(refusal)
    assert "flow refunds v1" in said(refusal)
    assert ModelEntry.objects.filter(slug="small").exists()


def test_a_removed_model_keeps_its_prices_and_can_come_back() -> None:
    a_model(price={"input": "1", "output": "2"})

    remove_model(OWNER, "small")

    assert "small" not in current_table().models
    assert Price.objects.filter(model_id="small").exists()
    with pytest.raises(NotFound):
        remove_model(OWNER, "small")
    assert a_model().revision == 3
    assert current_table().models["small"].price is not None


def test_a_capability_that_a_route_needs_is_not_taken_away() -> None:
    a_model()
    a_route("main", "small", needs=("tools",))

    with pytest.raises(Invalid) as refusal:
        put_model(OWNER, "small", ModelPart(model="sim/small", capabilities=("streaming",)))

    assert said(refusal) == "capabilities: route main needs tools"


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"model": "small"}, "model"),
        ({"model": "openai/x", "api_base": "ftp://x"}, "api_base"),
        ({"model": "openai/x", "api_key_env": "sk-12-34"}, "api_key_env"),
        ({"model": "sim/x", "settings": {"script": "explode"}}, "settings.script"),
    ],
)
def test_a_model_that_makes_no_sense_is_refused_with_its_place(values: dict[str, Any], place: str) -> None:
    with pytest.raises(Invalid) as refusal:
        put_model(OWNER, "small", ModelPart.model_validate(values))

    assert [each.place for each in refusal.value.problems] == [place]
    assert not ModelEntry.objects.exists()


# ------------------------------------------------------------------ routes


def test_each_change_of_a_route_is_a_version() -> None:
    a_model()
    a_model("large")
    assert a_route("main", "small").version == 1

    changed = put_route(OWNER, "main", RoutePart.model_validate({"candidates": ("large", "small")}), version=1)

    assert changed.entry.version == 2
    assert list(RouteVersion.objects.filter(route="main").values_list("number", flat=True)) == [1, 2]
    assert put_route(OWNER, "main", RoutePart.model_validate({"candidates": ("large", "small")}), version=2).changes == []
    with pytest.raises(CatalogueMoved):
        put_route(OWNER, "main", RoutePart.model_validate({"candidates": ("small",)}), version=1)


def test_mdl_4_a_candidate_that_lacks_what_the_route_or_a_flow_needs_is_not_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    a_model()
    a_model("plain", capabilities=("streaming",))
    a_route("main", "small")
    monkeypatch.setattr(ModelKind, "needs", lambda *_: frozenset({"tools"}))
    make_flow("agents", document=source_of({"a": asks("main")}, ["start -> a"]))

    with pytest.raises(Invalid) as refusal:
        put_route(OWNER, "main", RoutePart.model_validate({"candidates": ("small", "plain")}))
    assert said(refusal) == "candidates[1]: `plain` lacks tools, which flow agents v1 needs"
    with pytest.raises(Invalid) as refusal:
        put_route(OWNER, "other", RoutePart.model_validate({"candidates": ("plain", "none"), "needs": ("tools",)}))
    assert said(refusal) == "candidates[0]: `plain` lacks tools, which the route needs; candidates[1]: there is no model `none`"
    assert Route.objects.get().candidates == ["small"]


def test_a_route_that_a_flow_asks_is_not_removed() -> None:
    a_model()
    a_route("main", "small")
    flow = make_flow("refunds", document=source_of({"a": asks("main")}, ["start -> a"]))

    with pytest.raises(Invalid) as refusal:
        remove_route(OWNER, "main")
    assert "flow refunds v1" in said(refusal)
    flow.published = None
    flow.save()
    remove_route(OWNER, "main", version=1)
    assert "main" not in current_table().routes
    assert a_route("main", "small").version == 2


def test_builders_edit_routes_and_owners_models() -> None:
    a_model()
    builder = make_actor("builder")

    assert put_route(builder, "main", RoutePart.model_validate({"candidates": ("small",)})).entry.version == 1
    with pytest.raises(Forbidden, match=r"catalogue\.manage"):
        put_model(builder, "small", ModelPart(model="sim/x"))
    with pytest.raises(Forbidden, match=r"routes\.edit"):
        put_route(make_actor("operator"), "main", RoutePart.model_validate({"candidates": ("small",)}))


# ------------------------------------------------------------------ keys


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    monkeypatch.setenv("SMALL_KEY", "sk-right")
    with running(ModelServer()) as server:
        AllowedHost.objects.create(host=server.host)
        yield server


def test_fst_5_a_wrong_key_is_told_in_the_providers_words_and_nothing_is_saved(service: ModelServer) -> None:
    service.key = "sk-another"
    part = ModelPart(model="openai/small-1", api_base=f"{service.base}/v1", api_key_env="SMALL_KEY")

    with pytest.raises(Invalid) as refusal:
        put_model(OWNER, "small", part, check=True)

    assert "answered 401: Incorrect API key provided" in said(refusal)
    assert "sk-right" not in said(refusal)
    assert not ModelEntry.objects.exists()


def test_a_right_key_is_taken_and_the_models_name_looked_up(service: ModelServer) -> None:
    service.key = "sk-right"
    base = f"{service.base}/v1"

    def checked(model: str, address: str = base, variable: str = "SMALL_KEY") -> KeyCheck:
        return check_key(OWNER, "small", ModelPart(model=model, api_base=address, api_key_env=variable))

    assert checked("openai/small-1").verdict == "taken"
    assert "it is not" not in checked("openai/small-1").said
    assert "nothing-1 is not" in checked("openai/nothing-1").said
    assert checked("openai/small-1", variable="NO_SUCH_KEY").verdict == "refused"
    assert checked("sim/small", "", "").verdict == "taken"
    assert checked("openai/x", "http://127.0.0.1:9/v1").verdict == "unknown"
    assert put_model(
        OWNER, "small", ModelPart(model="openai/small-1", api_base=base, api_key_env="SMALL_KEY"), check=True
    ).changes


# ------------------------------------------------------------------ dry runs


def test_mdl_3_a_dry_run_lists_the_differences_call_by_call_and_changes_nothing() -> None:
    a_model("small", price={"input": "1", "output": "1"})
    a_model("large", price={"input": "10", "output": "10"})
    a_route("main", "small")
    run = make_run(make_flow(), tags=["gold"])
    plain = make_run(make_flow())
    for each in (run, plain):
        make_call(each, "ask", target="small", route="main", input_tokens=1000, output_tokens=0, cost="0.001")
    before = (AuditRow.objects.count(), RouteVersion.objects.count(), Call.objects.count())

    golden = {"model": "large", "when": {"tag": "gold"}}
    tried = dry_run(OWNER, "main", RoutePart.model_validate({"candidates": (golden, "small")}))

    (difference,) = tried.differing
    assert (len(tried.calls), difference.call.run_id, difference.before, difference.after) == (2, run.id, "small", "large")
    assert (difference.cost_before, difference.cost_after) == (Decimal("0.001"), Decimal("0.01"))
    assert (tried.cost_before, tried.cost_after) == (Decimal("0.002"), Decimal("0.011"))
    assert (AuditRow.objects.count(), RouteVersion.objects.count(), Call.objects.count()) == before
    assert Route.objects.get().version == 1


# ------------------------------------------------------------------ over HTTP


def test_the_api_makes_changes_checks_tries_and_removes() -> None:
    _, secret = make_key(make_person("owner"), "admin")
    client, headers = Client(), {"Authorization": f"Bearer {secret}"}

    def send(method: str, path: str, body: Any = None, **more: str) -> Any:
        text = "" if body is None else json.dumps(body)
        return client.generic(method, f"/api/v1{path}", text, content_type="application/json", headers={**headers, **more})

    made = send("PUT", "/models/small", {"model": "sim/small", "capabilities": ["tools"]}, **{"If-Match": '"0"'})
    assert (made.status_code, made.json()["revision"]) == (200, 1)
    assert send("PUT", "/models/small", {"model": "sim/b"}, **{"If-Match": '"7"'}).status_code == 409
    assert send("PUT", "/models/small", {"model": "sim/b", "api_key": "sk-1"}).status_code == 422
    assert send("POST", "/models/small/check").json()["verdict"] == "taken"
    route = send("PUT", "/routes/main", {"candidates": ["small"], "timeout": "20s"})
    assert (route.status_code, route.json()["version"], route.json()["timeout"]) == (200, 1, 20.0)
    empty = send("PUT", "/routes/main", {"candidates": []})
    assert empty.status_code == 422
    assert "candidates" in empty.content.decode()
    assert send("POST", "/routes/main/dry-run").json()["calls"] == 0
    assert send("DELETE", "/models/small").status_code == 422
    trial = send("POST", "/routes/main/trials", {"prompt": "Say it", "simulate": True})
    assert trial.status_code == 202
    assert send("GET", f"/runs/{trial.json()['id']}").json()["purpose"] == "test"
    assert send("DELETE", "/routes/main").status_code == 204
    assert send("DELETE", "/models/small").status_code == 204
    assert send("GET", "/models/small").status_code == 404
