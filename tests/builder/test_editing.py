"""What the builder's script asks for while somebody edits: saving, forms, previews, data, problems with their fixes, the text."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from flows.builder.drafts import check_draft, draft_of_text, draft_of_value
from flows.builder.editing.facts import kinds_offered, path_of
from flows.builder.editing.fixes import problems_shown
from flows.builder.editing.inspector import form_at
from flows.builder.editing.options import current_options
from flows.models import Flow, ModelEntry, Price, Route, ToolEntry
from flows.steps import known_kinds
from tests.makers import make_flow, make_person, make_run, make_team
from tests.runs.journals import make_attempt

pytestmark = pytest.mark.django_db

DOCUMENT = """\
orchestrator: 1
name: Refund
input: {type: object, properties: {amount: {type: number}, message: {type: string}}}
steps:
  classify:
    kind: model
    with: {route: balanced, prompt: "Sort {{ input.message }}", output: {type: object, properties: {topic: {type: string}}}}
  rate:
    kind: map
    with:
      over: "[1, 2]"
      as: number
      body:
        steps: {half: {kind: set, with: {values: {n: "{{ number / 2 }}"}}}}
        edges: [start -> half]
        output: "{{ steps.half.output.n }}"
  tell: {kind: tool, with: {tool: mail.send, arguments: {text: "{{ steps.classify.output.topic }}"}}}
edges: [start -> classify, classify -> rate, rate -> tell]
"""
HALF = ["steps", "rate", "with", "body", "steps", "half"]


@pytest.fixture
def flow() -> Flow:
    model = ModelEntry.objects.create(slug="small", model="sim/small", simulated=True)
    Price.objects.create(model=model, input="0.25", output="1")
    Route.objects.create(slug="balanced", candidates=["small"])
    arguments = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}, "times": {"type": "integer"}}}
    ToolEntry.objects.create(slug="mail.send", kind="http", effect="write", repeat="keyed", arguments=arguments)
    return make_flow("refund", document=DOCUMENT)


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(make_person("builder", username="builder"))
    return client


def document(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy(draft_of_text(DOCUMENT).value) | changes


def send(client: Client, what: str, method: str = "POST", **body: Any) -> Any:
    return client.generic(method, f"/flows/refund/{what}", json.dumps(body), content_type="application/json")


def finished_run(flow: Flow) -> None:
    run = make_run(flow, status="succeeded", input=json.dumps({"amount": 420, "message": "Where is it?"}))
    make_attempt(run, "classify", kind="model", output={"topic": "refund"})
    make_attempt(run, "rate", kind="map", output=[0.5, 1])
    make_attempt(run, "rate[0].half", output={"n": 0.5})
    make_attempt(run, "rate[1].half", output={"n": 1})


# --- saving


def test_the_page_asks_as_little_however_much_can_be_chosen(
    client: Client, flow: Flow, django_assert_max_num_queries: Any
) -> None:
    for _ in range(3):
        make_flow()
        make_person("viewer")
    client.get("/flows/refund/edit")
    with django_assert_max_num_queries(10):
        assert client.get("/flows/refund/edit").status_code == 200


def test_saving_tells_the_new_revision_and_what_is_wrong(client: Client, flow: Flow) -> None:
    answer = send(client, "draft", "PUT", document=document(output="{{ steps.clasify.output }}"), revision=1)

    assert answer.status_code == 200
    found = answer.json()
    assert found["revision"] == 2
    assert found["problems"][0]["place"] == ["output"]
    assert found["facts"]["classify"]["types"] == {"done": "object"}
    assert "rate.half" in found["facts"]


def test_a_stale_save_tells_who_was_first_and_what_stands_there(client: Client, flow: Flow) -> None:
    other = Client()
    other.force_login(make_person("builder", username="builder-2"))
    send(other, "draft", "PUT", document=document(description="theirs"), revision=1)

    answer = send(client, "draft", "PUT", document=document(description="mine"), revision=1)

    assert answer.status_code == 409
    assert (answer.json()["by"], answer.json()["revision"]) == ("builder-2", 2)
    assert answer.json()["document"]["description"] == "theirs"


def test_another_persons_session_does_not_save_in_the_name_of_the_page(client: Client, flow: Flow) -> None:
    answer = send(client, "draft", "PUT", document=document(description="mine"), revision=1, person="somebody-else")

    assert answer.status_code == 401
    assert Flow.objects.get(id=flow.id).revision == 1


@pytest.mark.parametrize("body", [{"revision": "1"}, {"revision": 1}, {"revision": 1, "document": {"nodes": []}}])
def test_what_is_no_draft_is_refused_in_words(client: Client, flow: Flow, body: dict[str, Any]) -> None:
    answer = send(client, "draft", "PUT", **body)

    assert answer.status_code == 422
    assert answer.json()["problems"][0]["message"]


# --- forms


def test_every_kind_has_a_form_and_says_how_it_is_offered(flow: Flow) -> None:
    options = current_options()
    for kind in kinds_offered(options):
        step = {"kind": kind["slug"], "with": kind["defaults"]}
        form = form_at({"steps": {"one": step}}, ("steps", "one"), options)
        assert form is not None
        assert form.main[0].name == "label"
        assert kind["description"]
    assert {kind["slug"] for kind in kinds_offered(options)} == set(known_kinds())


def test_a_new_step_names_the_first_route_there_is(flow: Flow) -> None:
    defaults = {kind["slug"]: kind["defaults"] for kind in kinds_offered(current_options())}

    assert defaults["model"]["route"] == "balanced"
    Route.objects.all().delete()
    assert {kind["slug"]: kind["defaults"] for kind in kinds_offered(current_options())}["model"]["route"] == ""


def test_the_kinds_stand_in_the_order_of_their_groups(flow: Flow) -> None:
    groups = list(dict.fromkeys(kind["group"] for kind in kinds_offered(current_options())))

    assert groups[:4] == ["Models", "Tools", "Logic", "Human"]
    assert groups[-1] == "Notes"


def test_an_approvals_form_begins_with_what_is_asked_and_who_decides(flow: Flow) -> None:
    form = form_at({"steps": {"ask": {"kind": "approval", "with": {}}}}, ("steps", "ask"), current_options())

    assert form is not None
    assert [field.name for field in form.main][1:] == ["title", "seals", "show", "approvers", "outcomes"]


def test_a_flow_is_offered_those_that_it_may_run(flow: Flow) -> None:
    make_flow("shared")
    make_flow("theirs", team=make_team("theirs"))

    offered = [option.value for option in current_options(None, flow.slug).of("flow")]

    assert "shared" in offered
    assert flow.slug not in offered
    assert "theirs" not in offered


@pytest.mark.parametrize("slug", sorted(known_kinds()))
def test_the_ports_that_the_canvas_draws_are_those_of_the_kind(slug: str) -> None:
    kind, settings = (
        known_kinds()[slug],
        {
            "model": {"route": "r", "prompt": "p"},
            "agent": {"route": "r", "prompt": "p"},
            "tool": {"tool": "t"},
            "branch": {"cases": [{"port": "big", "when": "true"}], "else": "small"},
            "map": {"over": "[]", "body": {}},
            "loop": {"max": 1, "body": {}},
            "approval": {"title": "t", "outcomes": {"yes": "approve", "no": "reject"}},
            "check": {"value": 1, "rules": [{"type": "length"}]},
            "wait": {"for": "1h"},
            "subflow": {"flow": "other"},
            "retrieve": {"base": "b", "query": "q"},
            "remember": {"values": {"x": 1}},
            "index": {"base": "b"},
        }.get(slug, {}),
    )
    rule = kind.ports_from
    drawn = list(rule) if not isinstance(rule, dict) else []
    if isinstance(rule, dict):
        drawn = (
            list(settings["outcomes"]) if "keys" in rule else [case["port"] for case in settings["cases"]] + [settings["else"]]
        )  # type: ignore[index, call-overload]

    assert set(drawn) == kind.ports(kind.Settings.model_validate(settings))


@pytest.mark.parametrize("place", [[], ["steps", "classify"], ["steps", "rate"], ["steps", "tell"], HALF])
def test_a_form_costs_a_constant_number_of_queries(client: Client, flow: Flow, place: list[str]) -> None:
    with CaptureQueriesContext(
        connection,
    ) as before:
        assert send(client, "draft/inspection", document=document(), place=place).status_code == 200
    for number in range(20):
        Route.objects.create(slug=f"route-{number}", candidates=["small"])
        make_team(f"team-{number}")
    with CaptureQueriesContext(connection) as after:
        send(client, "draft/inspection", document=document(), place=place)

    assert len(after) == len(before) <= 11


def test_the_form_of_a_broken_step_still_shows_what_stands_there(client: Client, flow: Flow) -> None:
    broken = document()
    broken["steps"]["classify"] |= {"retry": {"attempts": "many"}, "with": {"route": 7, "prompt": ["odd"], "what": 1}}
    broken["steps"]["tell"]["with"] = {"tool": "gone", "arguments": "none"}

    for key in ("classify", "tell"):
        text = send(client, "draft/inspection", document=broken, place=["steps", key]).content.decode()
        assert 'data-at="/label"' in text
    assert "gone (not in the catalogue)" in text


def test_a_kind_that_is_not_installed_keeps_its_settings(client: Client, flow: Flow) -> None:
    odd = document()
    odd["steps"]["tell"] = {"kind": "teleport", "with": {"to": "Mars"}}

    text = send(client, "draft/inspection", document=odd, place=["steps", "tell"]).content.decode()

    assert "teleport (not installed)" in text
    assert "Mars" in text


def test_a_script_in_a_name_is_text(client: Client, flow: Flow) -> None:
    odd = document(name="<script>alert(1)</script>")

    text = send(client, "draft/inspection", document=odd, place=[]).content.decode()

    assert "<script>" not in text


# --- data and previews


def previewed(client: Client, text: str, place: list[str], **more: Any) -> Any:
    texts = {"/x": {"text": text, "bare": more.pop("bare", False)}}
    return send(client, "draft/previews", document=document(), place=place, texts=texts, **more).json()


def test_a_preview_shows_the_value_of_the_last_run_and_names_it(client: Client, flow: Flow) -> None:
    finished_run(flow)

    found = previewed(client, "{{ input.amount }}", ["steps", "tell"])

    assert found["previews"]["/x"] == {"state": "value", "text": "420"}
    assert found["source"].startswith("run #")
    assert previewed(client, "{{ number * 2 }}", HALF)["previews"]["/x"]["text"] == "2"


def test_the_error_handler_sees_the_steps_of_the_flow_and_has_no_sample_of_an_error(client: Client, flow: Flow) -> None:
    finished_run(flow)
    value = document() | {
        "on_error": {"steps": {"note_it": {"kind": "set", "with": {"values": {}}}}, "edges": ["start -> note_it"]}
    }
    texts = {"/x": "{{ steps.classify.output.topic }}", "/y": "It failed: {{ error.message }}", "/z": "{{ error.gone }}"}
    sent = {pointer: {"text": text, "bare": False} for pointer, text in texts.items()}

    found = send(client, "draft/previews", document=value, place=["on_error", "steps", "note_it"], texts=sent).json()["previews"]

    assert found["/x"] == {"state": "value", "text": '"refund"'}
    assert found["/y"] == {"state": "none", "text": "No sample yet – string by schema"}
    assert found["/z"]["state"] == "error"


@pytest.mark.parametrize(("text", "kind"), [("{{ input.amount }}", "number"), ("Sum {{ input.amount }}", "string")])
def test_without_a_sample_the_schema_says_the_type(client: Client, flow: Flow, text: str, kind: str) -> None:
    finished_run(flow)

    found = previewed(client, text, ["steps", "tell"], sample="schema")

    assert found["previews"]["/x"] == {"state": "none", "text": f"No sample yet – {kind} by schema"}


@pytest.mark.parametrize(
    ("text", "said"),
    [("{{ steps.clasify.output }}", "Did you mean `classify`?"), ("{{ steps.tell.output }}", ""), ("{{ 1 + }}", None)],
)
def test_what_cannot_exist_is_an_error_with_a_way_out(client: Client, flow: Flow, text: str, said: str | None) -> None:
    finished_run(flow)

    found = previewed(client, text, ["steps", "tell"])["previews"]["/x"]

    assert found["state"] == "error"
    assert said is None or said in found["mend"]


def test_the_picker_offers_only_what_comes_before(client: Client, flow: Flow) -> None:
    finished_run(flow)

    def paths(place: list[str]) -> dict[str, Any]:
        found = send(client, "draft/values", document=document(), place=place).json()["values"]
        return {each["path"]: each for each in found}

    assert "steps.classify.output" not in paths(["steps", "classify"])
    assert paths(["steps", "tell"])["steps.classify.output.topic"] == {
        "group": "Step classify",
        "path": "steps.classify.output.topic",
        "type": "string",
        "sample": '"refund"',
    }
    assert {"item", "index", "number", "steps.classify.output"} <= paths(HALF).keys()
    assert "steps.rate.output" not in paths(HALF)
    assert paths(["steps", "tell"])["input.amount"]["sample"] == "420"


def test_runs_that_one_may_not_see_are_no_sample(flow: Flow) -> None:
    team = make_team("finance")
    Flow.objects.filter(id=flow.id).update(team=team)
    finished_run(flow)
    stranger = Client()
    stranger.force_login(make_person("builder", team=make_team("legal")))

    assert send(stranger, "draft/values", document=document(), place=[]).status_code == 404


# --- problems and their fixes


def mended(value: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    draft = draft_of_value(value)
    problem = problems_shown(draft, check_draft(draft, "greet", None))[0]
    assert problem["fix"] is not None, problem
    return problem["fix"]["label"], problem["fix"]


@pytest.mark.parametrize(
    ("place", "wrong", "right"),
    [
        (["steps", "classify", "with", "route"], "balansed", "balanced"),
        (["steps", "tell", "with", "tool"], "mail.sent", "mail.send"),
        (
            ["steps", "tell", "with", "arguments", "text"],
            "Hi {{ steps.clasify.output.topic }}!",
            "Hi {{ steps.classify.output.topic }}!",
        ),
        (
            ["steps", "tell", "with", "arguments", "text"],
            "{{ steps.classify.output.topik }}",
            "{{ steps.classify.output.topic }}",
        ),
        (["steps", "tell", "with", "arguments", "text"], "{{ input.mesage }}", "{{ input.message }}"),
        (["edges", 2], "rate -> tel", None),
    ],
)
def test_a_fix_does_what_it_says(flow: Flow, place: list[Any], wrong: str, right: str | None) -> None:
    value: Any = document()
    holder = value
    for part in place[:-1]:
        holder = holder[part]
    holder[place[-1]] = wrong

    _, fix = mended(value)

    assert fix["place"] == place
    assert (fix["act"], fix["value"]) == (("set", right) if right is not None else ("remove", None))


def test_a_misspelt_key_is_renamed_in_its_place(flow: Flow) -> None:
    value = document()
    value["steps"]["classify"]["with"]["promt"] = value["steps"]["classify"]["with"].pop("prompt")

    label, fix = mended(value)

    assert label == "Rename to `prompt`"
    assert fix["value"]["prompt"] == "Sort {{ input.message }}"
    assert "promt" not in fix["value"]


# --- the text


def test_the_text_equals_the_export(client: Client, flow: Flow) -> None:
    text = send(client, "draft/conversion", document=document()).json()["text"]
    again = send(client, "draft/conversion", text=text).json()

    assert again["text"] == text
    assert again["document"] == document()
    assert client.get("/flows/refund/export").content.decode() == DOCUMENT
    send(client, "draft", "PUT", document=document(description="x"), revision=1)
    assert (
        client.get("/flows/refund/export").content.decode()
        == send(client, "draft/conversion", document=document(description="x")).json()["text"]
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [("orchestrator: 1\nname: [", 2), ("nodes: []\n", 1), ("orchestrator: 1\nname: x\nname: y\n", 3), ("x" * 2_000_000, None)],
)
def test_a_text_that_cannot_be_read_is_refused_at_its_line(client: Client, flow: Flow, text: str, line: int | None) -> None:
    answer = send(client, "draft/conversion", text=text)

    assert answer.status_code == 422
    assert answer.json()["problems"][0]["message"]
    assert line is None or line <= (answer.json()["lines"][0] or 1) <= line + 1


def test_places_and_paths_name_the_same_step() -> None:
    assert path_of(tuple(HALF)) == "rate.half"
    assert path_of(("steps", "classify")) == "classify"


# --- the page


def test_the_page_is_for_who_builds_and_read_only_elsewhere(flow: Flow) -> None:
    team = make_team("finance")
    elsewhere = make_person("builder", team=make_team("legal"))
    from flows.models import Membership

    Membership.objects.create(person=elsewhere, role="viewer", team=None)
    Flow.objects.filter(id=flow.id).update(team=team)
    reader, viewer = Client(), Client()
    reader.force_login(elsewhere)
    viewer.force_login(make_person("viewer"))

    text = reader.get("/flows/refund/edit").content.decode()

    assert "Make a copy" in text
    assert "data-readonly" in text
    assert viewer.get("/flows/refund/edit").status_code == 403


def test_the_number_of_queries_of_the_page_is_bounded(client: Client, flow: Flow) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert client.get("/flows/refund/edit").status_code == 200

    assert len(queries) <= 15


def test_an_agents_form_offers_tools_with_leash_and_bounds(flow: Flow) -> None:
    step = {
        "kind": "agent",
        "with": {"route": "balanced", "prompt": "p", "tools": ["refund", {"tool": "refund", "leash": "ask"}]},
    }

    form = form_at({"steps": {"work": step}}, ("steps", "work"), current_options())

    assert form is not None
    fields = {field.name: field for field in [*form.main, *form.sections[0].fields]}
    named, written = fields["tools"].inner
    assert [(field.pointer, field.how) for field in named.inner] == [("/with/tools/0", "refers")]
    assert [field.name for field in written.inner] == ["tool", "leash", "calls"]
    assert [option.value for option in written.inner[1].options] == ["free", "risky", "ask", "never"]
    assert {"max_turns", "parallel", "leash", "approvers"} <= fields.keys()


def test_a_flow_that_is_run_is_given_what_it_asks_for() -> None:
    make_flow("greeting")
    step = {"kind": "subflow", "with": {"flow": "greeting", "input": {"name": "Ann", "shade": "red"}}}

    form = form_at({"steps": {"run": step}}, ("steps", "run"), current_options())

    assert form is not None
    given = next(field for field in form.main if field.name == "input")
    assert given.how == "arguments"
    assert [(each.name, each.value) for each in given.inner] == [("name", "Ann"), ("times", None), ("shade", "red")]
    assert "nothing that this flow takes" in given.inner[2].help


def test_a_flow_that_is_not_published_is_given_any_pairs() -> None:
    make_flow("greeting", published=False)
    step = {"kind": "subflow", "with": {"flow": "greeting", "input": {"name": "Ann"}}}

    form = form_at({"steps": {"run": step}}, ("steps", "run"), current_options())

    assert form is not None
    assert next(field for field in form.main if field.name == "input").how == "pairs"
