"""S23, Data: the whole configuration as one file, and what comes in again of it: looked at first, all of it or nothing."""

from __future__ import annotations

import io
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client

from approvals.actions.save_policy import save_policy
from flows.access.actor import Actor, system
from flows.builder.actions.change_settings import change_settings
from flows.builder.drafts import draft_of_text
from flows.engine.yamltext import parse_yaml
from flows.models import AllowedHost, AuditRow, Budget, Flow, MCPServer, ModelEntry, Price, Team, ToolEntry
from orchestrator.actions.apply_catalogue import apply_catalogue
from orchestrator.catalogue import tool_kinds
from orchestrator.catalogue_document import parse_catalogue
from orchestrator.transfer.catalogue import catalogue_here
from orchestrator.transfer.importing import BY_COMMAND, WITHHELD
from tests.makers import DOCUMENT, make_flow, make_key, make_person, make_trigger

pytestmark = pytest.mark.django_db

MORE = """
models:
  own-1: {model: openai/own-1, api_key_secret: OWN_KEY, breaker: {failures: 3, within: 30s}, limits: {in_flight: 4},
          price: {input: 0.1, output: 0.123456789}}
routes: {both: {candidates: [sim-small, {model: own-1, when: {max_cost: 0.05}, weight: 2}], strategy: weighted, fall_back_on: []}}
tools:
  crm.find: {kind: http, method: GET, url: "https://crm.example.com/{id}", effect: read, trusted: false,
             header_secret: {Authorization: CRM_TOKEN}, arguments: {type: object, properties: {id: {type: string}}}}
  greet.again: {kind: flow, flow: greet, effect: read}
mcp: {far: {url: "https://mcp.example.com", header_secret: {Authorization: CRM_TOKEN}, expires_on: "2030-01-31"}}
connections: {post: {kind: smtp, host: mail.example.com, user: robot, secret: MAIL_PASSWORD}}
budgets:
  - {scope: all, period: month, cost: 120.5, warn: [50, 80], zone: Europe/Madrid}
  - {scope: "flow:greet", period: run, duration: 3d, at_limit: pause}
"""


def apply(text: str | bytes) -> None:
    apply_catalogue(system("tests", door="cli"), parse_catalogue(text, {kind.slug: kind for kind in tool_kinds()}))


def fill() -> None:
    """One of each thing that an installation is configured with."""
    owner = make_person("owner", username="olga")
    apply(Path("orchestrator/demo_catalogue.yaml").read_bytes())
    make_flow("greet", team=Team.objects.get(slug="finance"))
    flow = make_flow("other", document=DOCUMENT.replace("Hello", "Good day"))
    Flow.objects.filter(id=flow.id).update(draft=flow.draft.replace("Good day", "Good night"))
    apply(MORE)
    change_settings(Actor(person=owner), "greet", {"tags": ["ops"], "needs_second": True, "ceiling": {"cost": "2.50"}})
    save_policy(Actor(person=owner), "refunds", "Refunds", {"teams": ["finance"]})
    make_trigger(flow, "webhook", owner=owner, sample={"name": "Ann of the sample"})


def page_of(*roles: str) -> Client:
    client = Client()
    client.force_login(make_person(*roles))
    return client


def exported(client: Client) -> bytes:
    answer = client.get("/settings/data/export")
    assert (answer.status_code, answer["Content-Type"], answer["Cache-Control"]) == (200, "application/zip", "no-store")
    return b"".join(answer)  # type: ignore[arg-type]


def texts(data: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def zipped(**files: str | bytes) -> bytes:
    """An archive of these files; two underscores in a name stand for a slash."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(f"{name.replace('__', '/')}.yaml", text)
    return target.getvalue()


def checked(client: Client, data: bytes) -> Any:
    return client.post("/settings/data", {"act": "check", "file": SimpleUploadedFile("all.zip", data)})


def test_an_export_holds_all_in_forms_that_are_read_again(tmp_path: Path) -> None:
    fill()
    page, owner = page_of("owner"), make_person("owner", username="by-key")

    data = exported(page)

    found = texts(data)
    assert set(found) >= {
        "README.txt",
        "catalogue.yaml",
        "flows.yaml",
        "prices.csv",
        "policies.yaml",
        "triggers.yaml",
        "people.yaml",
    }
    flow = Flow.objects.select_related("published").get(slug="other")
    assert found["flows/drafts/other.yaml"] == flow.draft
    assert flow.published is not None
    assert found["flows/published/other.yaml"] == flow.published.document
    assert parse_yaml(found["catalogue.yaml"]).value["models"]["own-1"]["api_key_secret"] == "OWN_KEY"
    assert parse_yaml(found["policies.yaml"]).value["refunds"]["rules"]["teams"] == ["finance"]
    assert {
        "username": "approver-1",
        "name": "approver-1",
        "active": True,
        "roles": [{"role": "approver", "team": "finance"}],
    } in (parse_yaml(found["people.yaml"]).value)
    assert "Ann of the sample" not in found["triggers.yaml"]
    assert AuditRow.objects.get(action="installation.export").data == {"files": len(found)}

    headers = {"Authorization": f"Bearer {make_key(owner, 'admin')[1]}"}
    call_command("installation", "export", str(tmp_path / "all.zip"))
    assert texts((tmp_path / "all.zip").read_bytes()) == texts(b"".join(Client().get("/api/v1/export", headers=headers)))  # type: ignore[arg-type]
    assert texts((tmp_path / "all.zip").read_bytes())["catalogue.yaml"] == found["catalogue.yaml"]


def test_where_it_was_written_it_changes_nothing() -> None:
    fill()
    page = page_of("owner")
    before = catalogue_here()

    shown = checked(page, exported(page))

    assert shown.status_code == 200, shown.context["refused"]
    assert shown.context["brought"].shown == []
    assert shown.context["brought"].count("same") > 20
    assert 'data-testid="import-now"' not in shown.content.decode()
    apply(texts(exported(page))["catalogue.yaml"])
    assert catalogue_here() == before
    assert Price.objects.filter(model_id="own-1").count() == 1


def test_an_empty_installation_becomes_the_same_with_flows_as_drafts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with transaction.atomic():
        fill()
        data, catalogue = exported(page_of("owner")), catalogue_here()
        drafts = {slug: draft_of_text(text).text for slug, text in Flow.objects.values_list("slug", "draft")}
        transaction.set_rollback(True)
    assert not Flow.objects.exists()
    file = tmp_path / "all.zip"
    file.write_bytes(data)

    call_command("installation", "import", str(file), "--preview")
    assert "nothing was changed" in capsys.readouterr().out
    assert not Flow.objects.exists()
    call_command("installation", "import", str(file))

    said = capsys.readouterr()
    assert "new flow greet" in said.out
    assert "left out: tools greet.again: there is no published flow 'greet': publish it, then import again" in said.out
    assert "WARNING: MCP server far: check it" in said.err
    assert dict(Flow.objects.values_list("slug", "draft")) == drafts
    greet = Flow.objects.select_related("team").get(slug="greet")
    assert greet.team is not None
    assert (greet.team.slug, greet.tags, greet.needs_second, greet.ceiling) == ("finance", ["ops"], True, {"cost": "2.50"})
    assert greet.published is None
    del catalogue["tools"]["greet.again"]
    assert catalogue_here() == catalogue
    assert Budget.objects.get(scope="flow", subject="greet").duration == 3 * 86400
    assert Budget.objects.get(scope="all").zone == "Europe/Madrid"
    assert Price.objects.get(model_id="own-1").output == Decimal("0.123456789")
    assert AuditRow.objects.get(action="installation.import").data["changed"] == 0


def test_the_page_says_first_what_is_new_changed_or_the_same_and_then_does_it() -> None:
    apply("models: {a: {model: openai/a, context: 9000}, b: {model: openai/b}}")
    flow = make_flow("greet")
    document = DOCUMENT.replace("Hello", "Welcome")
    sent = zipped(
        catalogue="models: {a: {model: openai/a, context: 9001}, b: {model: openai/b}, c: {model: openai/c}}",
        flows__drafts__greet=document,
        flows__drafts__fresh=DOCUMENT,
    )
    page = page_of("owner")

    shown = checked(page, sent)

    states = {(each.part, each.name): each.state for each in shown.context["brought"].items}
    assert states == {
        ("models", "a"): "changed",
        ("models", "b"): "same",
        ("models", "c"): "new",
        ("flows", "greet"): "changed",
        ("flows", "fresh"): "new",
    }
    text = shown.content.decode()
    assert "2 new, 2 changed, 1 the same" in text
    assert "model a: context" in text
    assert "flow greet: 1 changed" in text
    assert "confirm=true" in text
    assert ModelEntry.objects.get(slug="a").context == 9000
    assert not AuditRow.objects.filter(action="installation.import").exists()

    assert page.post("/settings/data", {"act": "import", "sent": shown.context["sent"]}).status_code == 302
    assert ModelEntry.objects.get(slug="a").context == 9001
    flow.refresh_from_db()
    assert "Welcome" in flow.draft
    assert flow.published is not None
    assert "Hello" in flow.published.document, "nothing goes live"
    row = AuditRow.objects.get(action="installation.import")
    assert row.data == {"new": 2, "changed": 2, "same": 1, "left": 0}
    assert checked(page, sent).context["brought"].shown == []


def test_the_same_over_the_api() -> None:
    headers = {"Authorization": f"Bearer {make_key(make_person('owner'), 'admin')[1]}"}
    sent = b"models: {a: {model: openai/a}}"

    def post(query: str) -> Any:
        return Client().post(f"/api/v1/import{query}", sent, content_type="application/octet-stream", headers=headers).json()

    said = post("")
    assert (said["done"], said["items"]) == (False, [{"part": "models", "name": "a", "state": "new", "why": ""}])
    assert not ModelEntry.objects.exists()
    assert post("?confirm=true")["done"]
    assert ModelEntry.objects.get().slug == "a"


@pytest.mark.parametrize(
    ("files", "places"),
    [
        ({"catalogue": "models: {a: {model: openai/a}}", "flows__drafts__bad": "steps: {}"}, ["flows/drafts/bad.yaml"]),
        ({"catalogue": "models: {a: {model: openai/a, modell: x}}"}, ["catalogue.yaml: line 1"]),
        ({"catalogue": "models: {a: {model: openai/a}}\nroutes: {r: {candidates: [gone]}}"}, ["catalogue.yaml: routes.r"]),
        (
            {"catalogue": "models: {a: {model: openai/a}}\nbudgets: [{scope: 'flow:gone', period: day, cost: 1}]"},
            ["catalogue.yaml: subject"],
        ),
        ({"flows__drafts__new": DOCUMENT, "flows__drafts__fine": DOCUMENT}, ["flows/drafts/new.yaml: slug"]),
        ({"flows__drafts__fine": DOCUMENT, "flows": "fine: {team: nowhere}"}, ["flows/drafts/fine.yaml: team"]),
        ({"flows__drafts__fine": DOCUMENT, "flows": "fine: {tags: [a, ''], priority: 99}"}, ["tags[1]", "priority"]),
        ({"flows__drafts__fine": DOCUMENT, "flows": "[1]"}, ["flows.yaml"]),
        ({"flows__drafts__large": "x" * 1_100_000}, ["flows/drafts/large.yaml"]),
        ({"flows__drafts__latin": b"name: \xe9"}, ["flows/drafts/latin.yaml"]),
        ({"elsewhere": "models: {}"}, ["file"]),
    ],
)
def test_with_any_fault_nothing_comes_in_and_each_is_named(files: dict[str, Any], places: list[str]) -> None:
    page = page_of("owner")

    answer = checked(page, zipped(**files))

    assert answer.status_code == 422
    told = [each.place for each in answer.context["refused"]]
    assert len(told) == len(places), told
    assert all(place in each for place, each in zip(places, told, strict=True)), told
    assert not ModelEntry.objects.exists()
    assert not Flow.objects.exists()
    assert not AuditRow.objects.exclude(action="signin").exists()


def test_what_is_no_export_is_refused(tmp_path: Path) -> None:
    page = page_of("owner")

    for sent in (b"PK\x03\x04 no archive", b"\xff\xfe", b"- a list"):
        answer = checked(page, sent)
        assert answer.status_code == 422, sent
        assert answer.context["refused"]
    assert page.post("/settings/data", {"act": "import", "sent": "not base64"}).status_code == 422
    assert page.post("/settings/data", {"act": "check"}).status_code == 422
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("installation", "import", str(tmp_path / "nowhere.zip"))
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("installation", "export", str(tmp_path / "no" / "folder.zip"))


def test_what_reaches_into_the_machine_comes_in_by_command_only(tmp_path: Path) -> None:
    sent = b"""
mcp: {near: {command: [npx, server]}, far: {url: "https://mcp.example.com", header_env: {Authorization: SECRET_KEY}}}
allowed_hosts: ["127.0.0.1:9000"]
models: {a: {model: openai/a}}
"""
    page = page_of("owner")

    shown = checked(page, sent).context["brought"]
    left = {(each.part, each.name): each.why for each in shown.items if each.state == "left"}
    assert left == dict.fromkeys([("mcp", "near"), ("mcp", "far"), ("allowed_hosts", "127.0.0.1:9000")], BY_COMMAND)
    page.post("/settings/data", {"act": "import", "file": SimpleUploadedFile("catalogue.yaml", sent)})
    assert ModelEntry.objects.exists()
    assert not MCPServer.objects.exists()
    assert not AllowedHost.objects.exists()

    (tmp_path / "catalogue.yaml").write_bytes(sent)
    call_command("installation", "import", str(tmp_path / "catalogue.yaml"))
    assert MCPServer.objects.count() == 2
    assert AllowedHost.objects.count() == 1


def test_what_was_left_out_of_a_file_is_not_brought_in_as_if_it_were_a_value() -> None:
    apply(
        'tools: {crm.find: {kind: http, url: "https://a.example/x?api_key=abc-123&page=2", effect: read, headers: '
        "{X-Api-Key: literal-value, Accept: text/plain}}}"
    )
    page = page_of("owner")
    data = exported(page)

    tool = parse_yaml(texts(data)["catalogue.yaml"]).value["tools"]["crm.find"]
    assert tool["headers"] == {"X-Api-Key": "[removed]", "Accept": "text/plain"}
    assert tool["url"] == "https://a.example/x?api_key=[removed]&page=2"
    assert checked(page, data).context["brought"].shown == []
    ToolEntry.objects.update(timeout=5)
    [item] = checked(page, data).context["brought"].shown
    assert (item.state, item.why) == ("left", WITHHELD)


def test_only_who_manages_the_settings_takes_it_or_brings_it() -> None:
    page = page_of("builder", "auditor", "operator")

    assert [page.get(each).status_code for each in ("/settings/data", "/settings/data/export")] == [403, 403]
    assert checked(page, b"models: {a: {model: openai/a}}").status_code == 403
    assert not AuditRow.objects.filter(action="installation.export").exists()
    with pytest.raises(CommandError, match=r"settings\.manage"):
        call_command("installation", "export", "/tmp/never.zip", "--as", make_person("builder").username)


def test_the_page_says_which_parts_are_only_exported() -> None:
    shown = page_of("owner").get("/settings/data").content.decode()

    assert shown.count("only exported") == 7
    assert "Secrets, API keys, passwords" in shown
