"""Publishing, comparing, going back, settings, the report, new flows and imports: the pages."""

from __future__ import annotations

import html
import io
import re
import socket
import zipfile
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from flows.access.actor import Actor
from flows.builder.actions.publish_flow import publish_flow
from flows.builder.actions.save_draft import save_draft
from flows.engine.document import dump_document, parse_document
from flows.models import AuditRow, Flow, FlowVersion, ModelEntry, Person, Request, Route, Run, ToolEntry
from tests.makers import DOCUMENT, make_key, make_person, make_run, make_team

pytestmark = pytest.mark.django_db
MODEL_STEP = """\
orchestrator: 1
name: Ask
steps:
  ask:
    kind: model
    with: {route: balanced, prompt: "Say {{ input.x }}"}
edges: [start -> ask]
"""


@pytest.fixture
def builder() -> Person:
    return make_person("builder", username="builder")


@pytest.fixture
def client(builder: Person) -> Client:
    client = Client()
    client.force_login(builder)
    return client


@pytest.fixture
def flow(builder: Person) -> Flow:
    """Two versions, and a draft that is ahead."""
    actor = Actor(person=builder)
    for word in ("One", "Two"):
        save_draft(actor, "greeting", DOCUMENT.replace("Hello", word))
        publish_flow(actor, "greeting", note=f"Say {word}")
    return save_draft(actor, "greeting", DOCUMENT.replace("Hello", "Three"))


def text_of(response: Any) -> str:
    return html.unescape(response.content.decode())


def shows(page: str, testid: str) -> int:
    return page.count(f'data-testid="{testid}"')


class TestPublication:
    def test_it_shows_what_changes_and_publishes_with_a_note(self, client: Client, flow: Flow) -> None:
        make_run(flow, status="running")

        page = text_of(client.get("/flows/greeting/publication"))

        assert "1 changed" in page
        assert "<mark>Two</mark>" in page
        assert "<mark>Three</mark>" in page
        assert "1 run stays on the version" in page
        answer = client.post("/flows/greeting/publication", {"revision": flow.revision, "note": "Three is better"})
        assert answer["Location"] == "/flows/greeting?tab=versions"
        assert Flow.objects.get().published.note == "Three is better"  # type: ignore[union-attr]
        assert "Three is better" in text_of(client.get("/flows/greeting?tab=versions"))

    def test_a_note_is_asked_for_beside_its_field(self, client: Client, flow: Flow) -> None:
        answer = client.post("/flows/greeting/publication", {"revision": flow.revision, "note": " "})

        assert answer.status_code == 422
        assert "Say in a few words" in text_of(answer)
        assert FlowVersion.objects.count() == 2

    def test_sending_it_twice_makes_one_version(self, client: Client, flow: Flow) -> None:
        for _ in range(2):
            client.post("/flows/greeting/publication", {"revision": flow.revision, "note": "n"})

        assert FlowVersion.objects.count() == 3

    def test_a_draft_that_changed_meanwhile_is_told(self, client: Client, flow: Flow, builder: Person) -> None:
        save_draft(Actor(person=builder), "greeting", DOCUMENT.replace("Hello", "Four"))

        answer = client.post("/flows/greeting/publication", {"revision": flow.revision, "note": "mine"})

        page = text_of(answer)
        assert answer.status_code == 409
        assert f"at revision {flow.revision + 1}" in page
        assert "mine</textarea>" in page
        assert f'name="revision" value="{flow.revision + 1}"' in page
        assert "<mark>Four</mark>" in page
        assert FlowVersion.objects.count() == 2

    def test_problems_block_it_and_lead_into_the_builder(self, client: Client, builder: Person) -> None:
        save_draft(Actor(person=builder), "ask", MODEL_STEP, runnable=False)

        page = text_of(client.get("/flows/ask/publication"))

        assert 'href="/flows/ask/edit#step=ask"' in page
        assert "the route `balanced`" in page
        assert re.search(r'data-testid="publish-now" disabled', page)
        assert client.post("/flows/ask/publication", {"revision": 1, "note": "n"}).status_code == 422
        assert not FlowVersion.objects.exists()

    def test_warnings_take_a_tick(self, client: Client, builder: Person) -> None:
        document = """\
orchestrator: 1
name: Ask
steps:
  ok: {kind: approval, with: {title: Well?}}
edges: [start -> ok]
"""
        save_draft(Actor(person=builder), "ask", document)

        assert "I have read the warning" in text_of(client.get("/flows/ask/publication"))
        assert client.post("/flows/ask/publication", {"revision": 1, "note": "n"}).status_code == 422
        assert client.post("/flows/ask/publication", {"revision": 1, "note": "n", "read": "on"}).status_code == 302

    def test_where_it_takes_two_somebody_else_is_asked(self, client: Client, flow: Flow) -> None:
        Flow.objects.update(needs_second=True)

        answer = client.post("/flows/greeting/publication", {"revision": flow.revision, "note": "n"})

        request = Request.objects.get()
        assert answer["Location"] == f"/approvals/{request.public_id}"
        assert client.get(answer["Location"]).status_code == 200
        assert "Somebody is asked already" in text_of(client.get("/flows/greeting/publication"))
        approver = Client()
        approver.force_login(make_person("approver", username="approver"))
        assert "Publish Greeting" in text_of(approver.get("/approvals"))
        page = text_of(approver.get(f"/approvals/{request.public_id}"))
        assert "/flows/greeting/versions/compare" in page
        decided = approver.post(f"/approvals/{request.public_id}/decisions", {"outcome": "approve", "revision": "1"})
        assert decided.status_code == 302
        assert Flow.objects.get().published.number == 3  # type: ignore[union-attr]


class TestComparison:
    def test_one_changed_word_is_marked_in_both_modes(self, client: Client, flow: Flow) -> None:
        page = text_of(client.get("/flows/greeting/versions/compare?from=v1&to=v2"))
        assert (shows(page, "change"), shows(page, "field"), shows(page, "overlay")) == (1, 1, 1)
        assert '<mark>One</mark> {{ input.name }}</td><td class="after"><mark>Two</mark>' in page
        assert 'data-id="greet" data-change="changed"' in page

        page = text_of(client.get("/flows/greeting/versions/compare?from=v1&to=v2&mode=text"))
        assert shows(page, "side-by-side") == 1
        assert "<mark>One</mark>" in page
        assert re.search(r'<option value="v2" selected>', page)

    def test_the_usual_pair_is_live_and_draft(self, client: Client, flow: Flow) -> None:
        page = text_of(client.get("/flows/greeting/versions/compare"))

        assert "v2 → draft" in page

    def test_moves_alone_are_no_functional_changes(self, client: Client, flow: Flow, builder: Person) -> None:
        save_draft(Actor(person=builder), "greeting", DOCUMENT.replace("Hello", "Two") + "layout: {greet: [10, 20]}\n")

        page = text_of(client.get("/flows/greeting/versions/compare"))
        assert "No functional changes" in page
        assert shows(page, "moves") == 0
        assert "Moved on the canvas: greet" in text_of(client.get("/flows/greeting/versions/compare?moves=1"))
        assert "No differences" in text_of(client.get("/flows/greeting/versions/compare?from=v2&to=v2"))

    def test_a_file_is_compared_with_any_version_and_its_address_opens_it_again(self, client: Client, flow: Flow) -> None:
        file = SimpleUploadedFile("greeting.yaml", DOCUMENT.replace("Hello", "Filed").encode())

        answer = client.post("/flows/greeting/versions/compare?from=v1&mode=graph", {"file": file})

        viewer = Client()
        viewer.force_login(make_person("viewer"))
        page = text_of(viewer.get(answer["Location"]))
        assert "v1 → the file" in page
        assert "<mark>One</mark>" in page
        assert "<mark>Filed</mark>" in page
        assert shows(page, "import-file") == 0
        assert shows(text_of(client.get(answer["Location"])), "import-file") == 1
        kept = re.search(r"to=(file_\w+)", answer["Location"])
        assert kept is not None
        assert "Filed" in text_of(client.post("/flows/import", {"flow": "greeting", "kept": kept[1]}))
        assert "Filed" not in Flow.objects.get().draft
        assert client.get("/flows/greeting/versions/compare?to=file_gone").status_code == 404

    def test_what_cannot_be_compared_says_why(self, client: Client, flow: Flow) -> None:
        for file, said in ((SimpleUploadedFile("a.yaml", b"\xff\xfe"), "is not UTF-8"), (None, "Choose a file")):
            answer = client.post("/flows/greeting/versions/compare", {"file": file} if file else {})
            assert answer.status_code == 422
            assert said in text_of(answer)
        answer = client.post("/flows/greeting/versions/compare", {"text": "nodes: []"})
        assert "compared as text" in text_of(client.get(answer["Location"]))

    def test_DIF_4_marks_stand_beside_the_colours(self, client: Client, flow: Flow, builder: Person) -> None:
        save_draft(Actor(person=builder), "greeting", DOCUMENT.replace("greet", "welcome"))

        page = text_of(client.get("/flows/greeting/versions/compare"))
        for mark, sort in (("+", "added"), ("−", "removed")):
            assert f'<span class="mark" aria-hidden="true">{mark}</span><span class="visually-hidden">{sort}</span>' in page
            assert re.search(
                rf'data-change="{sort}" transform.*?<text class="change-mark" x="12" y="30">{re.escape(mark)}<', page, re.DOTALL
            )
        rows = text_of(client.get("/flows/greeting/versions/compare?mode=text"))
        assert re.search(r'<td class="mark">[+~−]<span class="visually-hidden">', rows)

    def test_an_unreadable_draft_is_compared_as_text(self, client: Client, flow: Flow) -> None:
        Flow.objects.update(draft="steps: [")

        page = text_of(client.get("/flows/greeting/versions/compare?from=v1&to=draft"))

        assert "compared as text" in page
        assert shows(page, "side-by-side") == 1

    @pytest.mark.parametrize("pair", ["from=v9", "to=latest", "from=v-1", "to=v99999999999", "from=%00"])
    def test_what_is_not_there_is_404(self, client: Client, flow: Flow, pair: str) -> None:
        assert client.get(f"/flows/greeting/versions/compare?{pair}").status_code == 404

    def test_a_script_in_a_name_is_text(self, client: Client, flow: Flow, builder: Person) -> None:
        save_draft(Actor(person=builder), "greeting", DOCUMENT.replace("Hello", "<script>alert(1)</script>"))

        for address in ("versions/compare", "versions/compare?mode=text", "publication"):
            assert b"<script>alert" not in client.get(f"/flows/greeting/{address}").content

    def test_a_viewer_compares_and_changes_nothing(self, flow: Flow) -> None:
        client = Client()
        client.force_login(make_person("viewer"))

        page = text_of(client.get("/flows/greeting/versions/compare?from=v1&to=draft"))

        assert shows(page, "restore") + shows(page, "publish") == 0
        assert client.post("/flows/greeting/draft/restoration", {"version": "1"}).status_code == 403


def test_FP_1_rolling_back_shows_what_changes_and_adds_a_version(client: Client, flow: Flow) -> None:
    page = text_of(client.get("/flows/greeting/versions/1/rollback"))
    assert "<mark>One</mark>" in page

    answer = client.post("/flows/greeting/versions/1/rollback", {"live": "2"})

    assert answer.status_code == 302
    assert Flow.objects.get().published.number == 3  # type: ignore[union-attr]
    again = client.post("/flows/greeting/versions/1/rollback", {"live": "2"})
    assert again.status_code == 409
    assert "Another version was published" in text_of(again)


def test_restoring_says_what_becomes_of_the_draft_and_brings_it_back(client: Client, flow: Flow) -> None:
    client.post("/flows/greeting/draft/restoration", {"version": "1", "revision": flow.revision})

    page = text_of(client.get("/flows/greeting?tab=versions"))
    assert shows(page, "replaced-draft") == 1
    assert "The draft that it replaced is kept" in page
    client.post("/flows/greeting/draft/restoration", {"revision": flow.revision + 1})
    assert "Three" in Flow.objects.get().draft


def test_FP_2_a_run_in_flight_goes_on_showing_the_version_that_it_started_with(
    client: Client, flow: Flow, builder: Person
) -> None:
    run = make_run(Flow.objects.get(), status="running")

    publish_flow(Actor(person=builder), "greeting", note="Three")

    assert Flow.objects.get().published.number == 3  # type: ignore[union-attr]
    assert re.search(r">\s*v2\s*<", text_of(client.get(f"/runs/{run.public_id}")))
    assert re.search(r">\s*v2\s*<", text_of(client.get("/flows/greeting?tab=runs")))


def test_FP_3_the_versions_show_how_each_went(client: Client, flow: Flow) -> None:
    for status in ("succeeded", "failed"):
        make_run(Flow.objects.get(), status=status, spent="0.25")

    page = text_of(client.get("/flows/greeting?tab=versions"))

    assert shows(page, "version-row") == 2
    assert "50 %" in page
    assert "$0.2500" in page


def test_FP_5_the_command_starts_a_run(client: Client, flow: Flow, builder: Person) -> None:
    page = text_of(client.get("/flows/greeting"))

    (command,) = re.findall(r'data-testid="curl">(.*?)</pre>', page, re.DOTALL)
    assert "http://testserver/api/v1/flows/greeting/runs" in command
    assert '{"input": {"name": "text"}}' in command
    address = re.search(r"http://testserver(/api\S+/runs)", command)
    assert address is not None
    bearer = {"Authorization": f"Bearer {make_key(builder, 'runs:write')[1]}"}
    answer = Client().post(address[1], '{"input": {"name": "text"}}', content_type="application/json", headers=bearer)
    assert (answer.status_code, answer.json()["id"]) == (202, Run.objects.get().public_id)


class TestSettings:
    def test_an_owner_sets_everything(self, flow: Flow) -> None:
        make_team("finance")
        client = Client()
        client.force_login(make_person("owner", username="owner"))
        given = {
            "tags": "ops, money",
            "owner": "owner",
            "team": "finance",
            "cost": "0.50",
            "steps": "1,000",
            "needs_second": "on",
            "max_running": "3",
            "keeps_slot": "on",
            "priority": "-2",
        }

        assert client.post("/flows/greeting/settings", given).status_code == 302

        flow = Flow.objects.get()
        assert (flow.tags, flow.ceiling, flow.needs_second) == (["ops", "money"], {"cost": "0.50", "steps": 1000}, True)
        assert (flow.max_running, flow.keeps_slot, flow.priority) == (3, True, -2)
        assert AuditRow.objects.get(action="flow.settings").data["tags"] == {"before": [], "after": ["ops", "money"]}
        assert 'value="0.50"' in text_of(client.get("/flows/greeting?tab=settings"))

    def test_what_is_wrong_stands_at_its_field(self, flow: Flow) -> None:
        client = Client()
        client.force_login(make_person("owner"))

        answer = client.post(
            "/flows/greeting/settings", {"cost": "much", "tags": "x" * 61, "max_running": "many", "priority": "11"}
        )

        assert answer.status_code == 422
        assert "is not an amount of money" in text_of(answer)
        assert "Is no limit" in text_of(answer)
        assert "Is no priority" in text_of(answer)
        assert 'value="much"' in text_of(answer)

    def test_a_builder_sets_the_tags_and_no_more(self, client: Client, flow: Flow) -> None:
        assert client.post("/flows/greeting/settings", {"tags": "ops", "needs_second": "on", "cost": "9"}).status_code == 302

        flow = Flow.objects.get()
        assert (flow.tags, flow.needs_second, flow.ceiling) == (["ops"], False, {})

    def test_FLW_3_pausing_asks_once_and_says_who(self, client: Client, flow: Flow) -> None:
        assert shows(text_of(client.get("/flows/greeting/pause")), "pause-confirm") == 1
        client.post("/flows/greeting/pause")

        for address in ("/flows", "/flows/greeting"):
            page = text_of(client.get(address))
            assert shows(page, "paused") == 1
            assert "builder" in page
        assert shows(text_of(client.get("/flows/greeting")), "run") == 0
        answer = client.post("/flows/greeting/run", {"act": "start", "name": "Ann"})
        assert "paused" in text_of(answer)

    def test_an_archived_flow_is_read_only_and_leaves_the_list(self, client: Client, flow: Flow) -> None:
        client.post("/flows/greeting/archive")

        assert shows(text_of(client.get("/flows")), "flow-row") == 0
        assert shows(text_of(client.get("/flows?status=archived")), "flow-row") == 1
        page = text_of(client.get("/flows/greeting"))
        assert (shows(page, "unarchive"), shows(page, "edit"), shows(page, "run")) == (1, 0, 0)
        client.post("/flows/greeting/archive", {"archived": "no"})
        assert shows(text_of(client.get("/flows/greeting")), "edit") == 1


def test_the_report_answers_the_four_questions(client: Client, builder: Person) -> None:
    ModelEntry.objects.create(slug="small", model="sim/small")
    Route.objects.create(slug="balanced", candidates=["small"])
    save_draft(Actor(person=builder), "ask", MODEL_STEP)

    page = text_of(client.get("/flows/ask?tab=report"))

    assert shows(page, "answer") == 4
    assert 'data-slug="no_cap" data-path=""' in page
    assert 'data-slug="no_retry" data-path="ask"' in page
    assert 'href="/flows/ask/edit#step=ask"' in page


class TestNewFlows:
    def test_a_blank_one_opens_in_the_builder(self, client: Client) -> None:
        assert client.post("/flows/new", {"name": "My flow"})["Location"] == "/flows/my-flow/edit"
        assert Flow.objects.get().name == "My flow"
        assert client.post("/flows/new", {"name": ""}).status_code == 422

    def test_a_duplicate_has_the_same_steps(self, client: Client, flow: Flow) -> None:
        assert "Copy of Greeting" in text_of(client.get("/flows/new?copy=greeting"))
        client.post("/flows/new", {"copy": "greeting", "name": "Second"})

        assert "Three" in Flow.objects.get(slug="second").draft

    def test_a_viewer_makes_none(self) -> None:
        client = Client()
        client.force_login(make_person("viewer"))

        for address in ("/flows/new", "/flows/import"):
            assert client.get(address).status_code == 403
        assert "New flow" not in text_of(client.get("/flows"))


class TestImport:
    def test_a_file_is_shown_before_it_becomes_a_flow(self, client: Client) -> None:
        file = SimpleUploadedFile("greeting.yaml", DOCUMENT.encode())

        page = text_of(client.post("/flows/import", {"file": file}))

        assert "1 step" in page
        assert not Flow.objects.exists()
        answer = client.post("/flows/import", {"text": DOCUMENT, "act": "import"})
        assert answer["Location"] == "/flows/greeting/edit"
        exported = client.get("/flows/greeting/export").content.decode()
        assert exported == dump_document(parse_document(DOCUMENT))
        client.post("/flows/import", {"text": exported, "act": "import"})
        assert client.get("/flows/greeting-2/export").content.decode() == exported, "byte for byte"

    def test_into_a_flow_it_shows_the_difference_first(self, client: Client, flow: Flow) -> None:
        page = text_of(client.post("/flows/import", {"text": DOCUMENT, "flow": "greeting"}))

        assert shows(page, "diff-summary") == 1
        assert "<mark>Hello</mark>" in page
        answer = client.post("/flows/import", {"text": DOCUMENT, "flow": "greeting", "revision": "3", "act": "import"})
        assert answer["Location"] == "/flows/greeting/edit"
        assert Flow.objects.get().revision == 4
        stale = client.post(
            "/flows/import", {"text": DOCUMENT.replace("Hello", "x"), "flow": "greeting", "revision": "3", "act": "import"}
        )
        assert stale.status_code == 422
        assert "revision 4" in text_of(stale)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "Choose a file"),
            ("name: x\n  steps: [", "line 2"),
            ("apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: {}\n", "other products' files cannot be read"),
            ("orchestrator: 1\nname: x\nsteps:\n  <script>alert(1)</script>: {kind: set}\n", "is not allowed"),
            ("x: " + "y" * 1_100_000, "larger than"),
        ],
    )
    def test_what_cannot_be_read_says_where_and_why(self, client: Client, text: str, said: str) -> None:
        answer = client.post("/flows/import", {"text": text})

        assert said in text_of(answer)
        assert b"<script>alert" not in answer.content
        assert not Flow.objects.exists()

    def test_a_file_of_5_mb_is_refused(self, client: Client) -> None:
        answer = client.post("/flows/import", {"file": SimpleUploadedFile("big.yaml", b"a" * 5_000_000)})

        assert answer.status_code == 422
        assert "5.0 MB" in text_of(answer)

    def test_a_missing_tool_is_said_and_can_be_imported_to_be_mended(self, client: Client) -> None:
        ToolEntry.objects.create(slug="mail.send", kind="http", effect="write", repeat="keyed")
        text = "orchestrator: 1\nname: x\nsteps:\n  send: {kind: tool, with: {tool: mail.sent}}\nedges: [start -> send]\n"

        page = text_of(client.post("/flows/import", {"text": text}))

        assert "the tool `mail.sent` is not in the catalogue" in page
        assert "mail.send" in page
        assert client.post("/flows/import", {"text": text, "act": "import"}).status_code == 302


class TestManyAtOnce:
    def test_pausing_asks_once_with_the_names(self, client: Client, flow: Flow) -> None:
        page = text_of(client.post("/flows/bulk", {"act": "pause", "flow": ["greeting", "nothing"]}))
        assert "Pause 1 flow?" in page

        client.post("/flows/bulk", {"act": "pause", "flow": ["greeting"], "confirmed": "1"})

        assert Flow.objects.get().paused_at is not None

    def test_tags_are_added(self, client: Client, flow: Flow) -> None:
        client.post("/flows/bulk", {"act": "tag", "flow": ["greeting"], "tag": "ops"})

        assert Flow.objects.get().tags == ["ops"]
        assert shows(text_of(client.get("/flows?tag=ops")), "flow-row") == 1
        assert shows(text_of(client.get("/flows?tag=other")), "flow-row") == 0

    def test_the_export_has_every_draft(self, client: Client, flow: Flow) -> None:
        answer = client.post("/flows/bulk", {"act": "export", "flow": ["greeting"]})

        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert archive.read("greeting.yaml").decode() == flow.draft


class TestTemplates:
    def test_TPL_5_nothing_leaves_this_machine(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        ModelEntry.objects.create(slug="sim-small", model="sim/small", simulated=True)
        asked: list[object] = []

        def getaddrinfo(host: object, *_: object, **__: object) -> list[object]:
            asked.append(host)
            return []

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        for address in ("/templates", "/templates/refund_decision"):
            assert client.get(address).status_code == 200
        assert client.post("/templates/refund_decision", {"name": "My refunds"}).status_code == 302
        assert {host for host in asked if host not in ("127.0.0.1", "localhost")} == set()

    def test_TPL_4_tags_narrow_them(self, client: Client) -> None:
        assert shows(text_of(client.get("/templates")), "template") == 12
        assert shows(text_of(client.get("/templates?tag=map")), "template") == 4
        assert "nothing-matches" in text_of(client.get("/templates?q=zzz"))

    def test_TPL_3_what_is_missing_is_said_before(self, client: Client) -> None:
        page = text_of(client.get("/templates/refund_decision"))

        assert page.count('data-testid="need" data-missing="yes"') == 2
        assert "simulated: sends nothing" in page
        assert not Flow.objects.exists()
        assert shows(text_of(client.get("/templates?needs=none")), "template") == 0

    def test_TPL_2_the_preview_shows_an_example_run_and_makes_nothing(self, client: Client) -> None:
        page = text_of(client.get("/templates/refund_decision"))

        assert page.count('data-ran="yes"') == 4
        assert page.count('data-ran="no"') == 3
        assert "came to 4 of 7 steps" in page
        assert not Flow.objects.exists()

    def test_TPL_1_using_one_makes_a_draft(self, client: Client) -> None:
        ModelEntry.objects.create(slug="sim-small", model="sim/small", simulated=True)

        answer = client.post("/templates/refund_decision", {"name": "My refunds"})

        assert answer["Location"] == "/flows/my-refunds/edit"
        page = text_of(client.get("/flows/my-refunds/publication"))
        assert shows(page, "drawing") == 1
        assert shows(page, "problems") == 0
        assert "v1" in page

    def test_TPL_3_a_flow_that_it_runs_is_listed_and_made_with_it(self, client: Client) -> None:
        ModelEntry.objects.create(slug="sim-small", model="sim/small", simulated=True)
        page = text_of(client.get("/templates/weekly_brief"))
        assert "make it of its template, and publish it" in page

        answer = client.post("/templates/weekly_brief", {"name": "Our week"})

        assert answer["Location"] == "/flows/our-week/edit"
        inner = Flow.objects.exclude(slug="our-week").get()
        assert inner.published is not None
        assert f"flow: {inner.slug}" in Flow.objects.get(slug="our-week").draft
        assert shows(text_of(client.get("/flows/our-week/publication")), "problems") == 0
        assert f'value="{inner.slug}" selected' in text_of(client.get("/templates/weekly_brief"))

    def test_a_template_that_cannot_be_used_makes_no_other_flow_either(self, client: Client) -> None:
        answer = client.post("/templates/weekly_brief", {"name": "Our week"})  # no model: the inner flow cannot be published

        assert answer.status_code == 422
        assert not Flow.objects.exists()

    def test_a_viewer_only_looks(self) -> None:
        client = Client()
        client.force_login(make_person("viewer"))

        assert shows(text_of(client.get("/templates/refund_decision")), "use-form") == 0
        assert client.post("/templates/refund_decision").status_code == 403
        assert client.get("/templates/nothing").status_code == 404


def test_the_api_compares_versions_the_draft_and_a_file(builder: Person, flow: Flow) -> None:
    bearer = {"Authorization": f"Bearer {make_key(builder, 'flows:read')[1]}"}
    address = "/api/v1/flows/greeting/comparison"
    assert flow.published is not None
    text = flow.published.document.replace("name: ", "name: Not ", 1)
    Flow.objects.filter(id=flow.id).update(draft=text)

    found = Client().get(address, headers=bearer).json()
    assert (found["before"], found["after"], found["in_words"]) == ("v2", "draft", "1 changed")
    [change] = found["changes"]
    [field] = change["fields"]
    assert (change["what"], field["name"], field["after"]) == ("flow", "name", f"Not {field['before']}")
    assert Client().get(address, {"before": "draft", "after": "v1"}, headers=bearer).json()["changes"]

    sent = {"content_type": "application/yaml", "headers": bearer}
    same = Client().post(f"{address}?before=draft", text, **sent).json()
    assert (same["after"], same["in_words"], same["changes"]) == ("file", "No functional changes", [])
    assert "+ Not" in Client().post(address, text, **sent).json()["text"]
    wrong = Client().post(address, "name: [", **sent)
    assert (wrong.status_code, wrong.json()["problems"][0]["place"][:5]) == (422, "line ")
    assert Client().get(address, {"after": "v9"}, headers=bearer).status_code == 404


def test_the_api_pauses_archives_and_asks(builder: Person, flow: Flow) -> None:
    bearer = {"Authorization": f"Bearer {make_key(builder, 'admin')[1]}"}

    def post(what: str, body: dict[str, Any]) -> Any:
        return Client().post(f"/api/v1/flows/greeting/{what}", body, content_type="application/json", headers=bearer)

    assert post("pause", {}).json()["paused_at"]
    assert post("pause", {"on": False}).json()["paused_at"] is None
    Flow.objects.update(needs_second=True)
    asked = post("publication", {"note": "n"})
    assert (asked.status_code, asked.json()["request"]) == (202, Request.objects.get().public_id)
    assert post("archive", {}).json()["archived_at"]
    assert post("pause", {}).json()["type"].endswith("archived")
