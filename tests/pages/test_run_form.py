"""The run form: made from the input schema, it starts one run, and loses nothing that was typed."""

import json
import re
import shlex
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from flows.models import AuditRow, Flow, FlowVersion, Run
from tests.makers import make_flow, make_key, make_person, make_run, make_team
from tests.runs.journals import make_call

pytestmark = pytest.mark.django_db

XSS = '"><script>alert(1)</script>'
DOCUMENT = """\
orchestrator: 1
name: Everything
input:
  type: object
  required: [amount, text, urgent]
  additionalProperties: true
  properties:
    amount: {type: number, minimum: 0, title: Amount}
    count: {type: integer}
    text: {type: string, contentMediaType: text/plain, minLength: 3}
    customer: {type: string, maxLength: 20}
    message: {type: string}
    urgent: {type: boolean}
    again: {type: boolean}
    level: {enum: [low, high, 3]}
    on: {type: string, format: date}
    lines: {type: array, items: {type: string}}
    extra: {$ref: "#/$defs/extra"}
    with space: {type: string, default: kept}
  $defs: {extra: {type: object, properties: {a: {type: integer}}}}
limits: {cost: 2.00, at_limit: stop}
steps: {greet: {kind: set, with: {values: {text: "{{ input.text }}"}}}}
edges: [start -> greet]
"""
KEY = "a" * 32
GOOD = {"input-amount": "4.20", "input-text": "hello", "input-urgent": "on", "key": KEY, "of": "1", "version": "1", "tab": "form"}


@pytest.fixture
def client() -> Client:
    made = Client()
    made.force_login(make_person("operator", username="operator"))
    return made


def everything(**fields: Any) -> Flow:
    return make_flow("everything", document=DOCUMENT, **fields)


def page_of(response: Any) -> str:
    return unescape(response.content.decode())


def sent(client: Client, address: str = "/flows/everything/run", **fields: Any) -> Any:
    return client.post(address, GOOD | {name.replace("__", "-"): value for name, value in fields.items()})


def test_every_kind_of_property_has_its_field(client: Client) -> None:
    everything()

    page = client.get("/flows/everything/run").content.decode()

    for name in ("amount", "count", "text", "customer", "message", "urgent", "again", "level", "on", "lines", "extra"):
        assert f'data-field="input-{name}"' in page
    assert 'name="input-text-file"' in page
    assert 'type="date"' in page
    assert "kept</textarea>" in page  # the schema's default
    assert "$2.00 is the flow" in page


def test_it_starts_a_run_and_leads_to_its_page(client: Client) -> None:
    everything()

    response = sent(
        client,
        input__count="3",
        input__level='"high"',
        input__again="false",
        input__lines='["a", "b"]',
        input__extra='{"a": 1}',
        input__on="2025-07-15",
        limit="$0.50",
        tags="ops, july",
    )

    run = Run.objects.get()
    assert response.status_code == 302
    assert response["Location"] == f"/runs/{run.public_id}"
    assert json.loads(run.input) == {
        "amount": 4.2,
        "count": 3,
        "text": "hello",
        "urgent": True,
        "again": False,
        "level": "high",
        "on": "2025-07-15",
        "lines": ["a", "b"],
        "extra": {"a": 1},
    }
    assert (run.cap_cost, run.tags, run.source) == (Decimal("0.50"), ["ops", "july"], "page")
    assert AuditRow.objects.latest("id").action == "run.start"


def test_an_uploaded_file_is_the_text(client: Client) -> None:
    everything()

    sent(client, input__text="", input__text__file=SimpleUploadedFile("clause.txt", "\ufeffline one\r\nline two ü".encode()))

    assert json.loads(Run.objects.get().input)["text"] == "line one\nline two ü"


def test_RF_1_errors_stand_in_the_summary_and_at_the_field(client: Client) -> None:
    everything()

    response = sent(client, input__amount="lots", input__text="", input__count="1.5", input__lines="[1", limit="cheap")
    page = page_of(response)

    assert response.status_code == 422
    assert not Run.objects.exists()
    assert 'data-testid="form-errors"' in page
    for name in ("input-amount", "input-text", "input-count", "input-lines", "limit"):
        assert f'href="#id_{name}"' in page, name
        assert f'id="id_{name}-error"' in page, name
        assert re.search(rf'id="id_{name}"[^>]*aria-invalid="true"|aria-invalid="true"[^>]*id="id_{name}"', page), name
    assert "“lots” is not a number" in page
    assert "This is required." in page


def test_RF_1_what_the_schema_refuses_stands_at_its_field(client: Client) -> None:
    everything()

    page = page_of(sent(client, input__amount="-1", input__text="ab", input__extra='{"a": "x"}', input__lines='["a", 2]'))

    assert not Run.objects.exists()
    assert 'href="#id_input-amount"' in page
    assert "The text is shorter than 3 characters." in page
    assert 'href="#id_input-extra"' in page
    assert "[1]: 2 is not text" in page


def test_RF_1_nothing_that_was_typed_is_lost(client: Client) -> None:
    everything()
    file = SimpleUploadedFile("clause.txt", b"the whole contract")

    page = page_of(
        sent(client, input__amount="lots", input__text__file=file, input__message="one\ntwo", limit="0.7x", tags="a,b")
    )

    assert 'value="lots"' in page
    assert "the whole contract</textarea>" in page
    assert "one\ntwo</textarea>" in page
    assert 'value="0.7x"' in page
    assert 'value="a,b"' in page
    assert f'name="key" value="{KEY}"' in page


def test_a_file_that_is_no_text_is_refused_by_its_name(client: Client) -> None:
    everything()

    page = page_of(sent(client, input__text="", input__text__file=SimpleUploadedFile("a.pdf", b"\xff\xfe%PDF")))

    assert "The file a.pdf is no text" in page


def test_RF_2_it_is_filled_from_a_run_and_marks_what_is_other(client: Client) -> None:
    flow = everything()
    before = {"amount": 380, "text": "the old text", "urgent": False, "lines": ["x"], "level": 3, "unknown": {"deep": 1}}
    run = make_run(flow, status="failed", input=json.dumps(before))
    address = f"/flows/everything/run?from={run.public_id}"

    page = page_of(client.get(address))

    assert 'data-testid="filled-from"' in page
    assert 'value="380"' in page
    assert "the old text</textarea>" in page
    assert '"deep": 1' in page  # what the schema does not name is not lost
    assert "data-changed" not in page

    fields = {"input__amount": "420", "input__text": "the old text", "input__lines": '[\n  "x"\n]', "input__level": "3"}
    page = page_of(sent(client, address, input__count="z", input__rest='{\n  "unknown": {\n    "deep": 1\n  }\n}', **fields))

    assert page.count("data-changed") == 3  # amount, urgent and count
    assert "changed from 380" in page
    assert "changed from no" in page


def test_a_run_that_is_filled_from_another_repeats_it(client: Client) -> None:
    before = make_run(everything(), status="failed", input=json.dumps({"amount": 380, "text": "the old text", "urgent": False}))

    page = page_of(client.get(sent(client, f"/flows/everything/run?from={before.public_id}")["Location"]))

    assert Run.objects.exclude(id=before.id).get().origin == before
    assert f'repeats <a href="/runs/{before.public_id}">#{before.number}</a>' in page


def test_what_a_test_was_given_fills_the_form_but_its_run_repeats_nothing(client: Client) -> None:
    tested = make_run(everything(), status="succeeded", purpose="test", input='{"amount": 380}')

    sent(client, f"/flows/everything/run?from={tested.public_id}")

    assert Run.objects.exclude(id=tested.id).get().origin is None


@pytest.fixture
def tester() -> Client:
    made = Client()
    made.force_login(make_person("owner", username="owner"))
    return made


def test_the_draft_runs_as_a_test(tester: Client) -> None:
    flow = everything()
    assert "draft, as a test" in page_of(tester.get("/flows/everything/run"))

    page = page_of(tester.get("/flows/everything/run?version=draft"))
    assert 'name="of" value="draft"' in page
    answer = sent(tester, of="draft", version="draft", simulate="on")

    run = Run.objects.get()
    assert answer["Location"] == f"/runs/{run.public_id}"
    assert (run.purpose, run.version.number, run.flow) == ("test", None, flow)


def test_who_may_not_edit_is_not_offered_the_draft(client: Client) -> None:
    everything()

    assert "draft, as a test" not in page_of(client.get("/flows/everything/run"))
    assert client.get("/flows/everything/run?version=draft").status_code == 404


def test_a_run_goes_first_and_on_simulated_models_where_that_is_asked(client: Client) -> None:
    everything()

    sent(client, priority="5", simulate="on")

    run = Run.objects.get()
    assert run.priority == 5
    assert run.handling is not None
    assert run.handling["simulate"] is True


def test_recent_inputs_fill_the_form_each_once(client: Client) -> None:
    flow = everything()
    for amount in (1, 2, 2):
        made = make_run(flow, status="succeeded", input=json.dumps({"amount": amount}))

    page = page_of(client.get("/flows/everything/run"))

    listed = page[page.index('data-testid="recent-inputs"') :]
    assert listed.count("?from=run_") == 2
    assert f"?from={made.public_id}" in listed


def test_RF_2_a_run_of_another_flow_or_one_that_is_hidden_fills_nothing(client: Client) -> None:
    everything()
    other = make_run(input='{"amount": 999}')
    hidden = make_run(make_flow(team=make_team("legal")))
    narrow = Client()
    narrow.force_login(make_person("operator", team=make_team("finance")))

    assert "999" not in page_of(client.get(f"/flows/everything/run?from={other.public_id}"))
    assert narrow.get(f"/flows/everything/run?from={hidden.public_id}").status_code == 404
    assert client.get("/flows/everything/run?from=run_nonsense").status_code == 404


def test_RF_3_sent_twice_it_starts_one_run(client: Client) -> None:
    everything()

    first, second = sent(client), sent(client)

    assert first["Location"] == second["Location"]
    assert Run.objects.count() == 1


def test_RF_3_the_same_form_with_other_values_says_so_and_keeps_them(client: Client) -> None:
    everything()
    sent(client)

    response = sent(client, input__amount="5")
    page = page_of(response)

    assert response.status_code == 409
    assert "has already started a run with other values" in page
    assert 'value="5"' in page
    fresh = re.search(r'name="key" value="([0-9a-f]{32})"', page)
    assert fresh is not None
    assert fresh[1] != KEY
    assert sent(client, input__amount="5", key=fresh[1]).status_code == 302
    assert Run.objects.count() == 2


def test_RF_4_a_limit_below_the_usual_cost_is_warned_of_before_it_starts(client: Client) -> None:
    flow = everything()
    for cost in ("0.10", "0.30", "0.50"):
        make_call(make_run(flow, status="succeeded", spent=Decimal(cost)), "greet", cost=cost)

    page = page_of(sent(client, limit="0.2"))

    assert 'data-testid="limit-warning"' in page
    assert "Start all the same" in page
    assert Run.objects.count() == 3
    assert sent(client, limit="0.2", confirmed="0.2").status_code == 302
    assert sent(client, limit="0.1", confirmed="0.2", key="b" * 32).status_code == 200  # another limit is another question
    assert sent(client, limit="0.3", key="c" * 32).status_code == 302
    assert Run.objects.count() == 5


def test_RF_4_the_estimate_is_the_median(client: Client) -> None:
    flow = everything()
    for cost in ("0.10", "0.30", "0.50"):
        make_call(make_run(flow, status="succeeded", spent=Decimal(cost)), "greet", cost=cost)

    page = page_of(client.get("/flows/everything/run"))

    assert 'data-estimate="0.300000000000"' in page
    assert 'data-money="0.500000000000"' in page
    assert "by 3 runs" in page
    assert "at today's prices" in page


def test_RF_5_the_command_starts_what_the_form_would_start(client: Client) -> None:
    everything()
    fields = {"input__message": 'it\'s "quoted" $HOME\nü', "limit": "0.50", "tags": "ops", "input__lines": '["a"]'}

    page = page_of(sent(client, act="curl", **fields))
    command = re.search(r'data-testid="curl">(.+?)</pre>', page, re.DOTALL)

    assert command is not None
    assert not Run.objects.exists()
    words = shlex.split(command[1].replace("\\\n", " "))
    address, body = words[words.index("POST") + 1], json.loads(words[words.index("--data-binary") + 1])
    _, secret = make_key(make_person("operator"), "runs:write")
    path = address.removeprefix("http://testserver")
    by_command = Client().post(path, body, content_type="application/json", headers={"Authorization": f"Bearer {secret}"})
    assert by_command.status_code == 202
    sent(client, **fields)
    first, second = Run.objects.order_by("id")
    for name in ("input", "cap_cost", "tags", "flow", "version", "at_limit"):
        assert getattr(first, name) == getattr(second, name), name


def test_RF_5_what_cannot_be_sent_makes_no_command(client: Client) -> None:
    everything()

    page = page_of(sent(client, act="curl", input__amount="lots"))

    assert 'data-testid="curl"' not in page
    assert 'data-testid="form-errors"' in page


def test_the_json_tab_takes_the_whole_input(client: Client) -> None:
    everything()

    assert 'name="json"' in page_of(client.get("/flows/everything/run?tab=json"))
    response = sent(client, tab="json", json='{"amount": 1, "text": "abc", "urgent": false}')

    assert response.status_code == 302
    assert json.loads(Run.objects.get().input) == {"amount": 1, "text": "abc", "urgent": False}


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "This is not JSON"), ("[1]", "a list is not an object"), ('{"amount": NaN}', "NaN"), ('{"amount": "x"}', "amount: ")],
)
def test_json_that_does_not_fit_is_kept_with_its_fault(client: Client, text: str, said: str) -> None:
    everything()

    response = sent(client, tab="json", json=text)
    page = page_of(response)

    assert response.status_code == 422
    assert said.lower() in page.lower()
    assert f"{text}</textarea>" in page


def test_what_was_typed_goes_along_from_tab_to_tab(client: Client) -> None:
    everything()

    as_json = page_of(sent(client, "/flows/everything/run?tab=json", act="show", input__amount="lots", input__message="m"))
    assert '"amount": "lots"' in as_json
    assert '"message": "m"' in as_json
    assert 'data-testid="form-errors"' not in as_json

    back = {"act": "show", "tab": "json", "json": '{"amount": 7, "other": [1]}'}
    as_fields = page_of(sent(client, "/flows/everything/run?tab=form", **back))
    assert 'value="7"' in as_fields
    assert '"other": [' in as_fields
    assert "This is not JSON" in page_of(sent(client, "/flows/everything/run?tab=form", act="show", tab="json", json="{x"))


def test_another_version_shows_its_own_fields_first(client: Client) -> None:
    flow = everything()
    document = DOCUMENT.replace("count: {type: integer}", "number: {type: integer}")
    flow.published = FlowVersion.objects.create(flow=flow, number=2, document=document, hash="1" * 64)
    flow.save()

    assert 'data-field="input-number"' in page_of(client.get("/flows/everything/run"))
    assert 'data-field="input-count"' in page_of(client.get("/flows/everything/run?version=1"))
    assert client.get("/flows/everything/run?version=9").status_code == 404
    page = page_of(sent(client, version="2", input__count="3"))
    assert "You chose another version" in page
    assert '"count": 3' in page
    assert not Run.objects.exists()
    assert sent(client, version="2", of="2").status_code == 302
    assert Run.objects.get().version_id == flow.published_id


def test_a_flow_without_inputs_or_with_an_unusual_schema_can_be_started(client: Client) -> None:
    plain = "orchestrator: 1\nname: n\nsteps: {a: {kind: set, with: {values: {x: 1}}}}\nedges: [start -> a]\n"
    make_flow("plain", document=plain)
    odd = "name: n\ninput: {anyOf: [{type: object}, {type: array}], type: [object, array]}\n"
    make_flow("odd", document=plain.replace("name: n\n", odd))

    assert "asks for no input" in page_of(client.get("/flows/plain/run"))
    assert client.post("/flows/plain/run", {"key": KEY, "tab": "form"}).status_code == 302
    assert 'name="json"' in page_of(client.get("/flows/odd/run"))
    assert client.post("/flows/odd/run", {"key": "b" * 32, "tab": "json", "json": "[1]"}).status_code == 302


def test_a_draft_cannot_be_started_and_says_so(client: Client) -> None:
    everything(published=False)

    assert "Draft only" in page_of(client.get("/flows/everything/run"))
    assert "Draft only" in page_of(sent(client))
    assert not Run.objects.exists()


def test_without_the_right_it_names_the_right() -> None:
    everything()
    viewer = Client()
    viewer.force_login(make_person("viewer"))

    for response in (viewer.get("/flows/everything/run"), sent(viewer)):
        assert response.status_code == 403
        assert "runs.start" in page_of(response)
    assert not Run.objects.exists()


def test_a_form_without_a_token_starts_nothing() -> None:
    everything()
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(make_person("operator"))

    assert sent(strict).status_code == 403
    assert not Run.objects.exists()


def test_what_was_typed_is_only_text(client: Client) -> None:
    flow = everything()
    run = make_run(flow, input=json.dumps({"amount": XSS, "message": f"</textarea>{XSS}", "level": XSS, XSS: XSS}))

    pages = [
        client.get(f"/flows/everything/run?from={run.public_id}"),
        client.get(f"/flows/everything/run?from={run.public_id}&tab=json"),
        sent(
            client,
            input__amount=XSS,
            input__message=f"</textarea>{XSS}",
            input__level=XSS,
            limit=XSS,
            tags=XSS,
            key=XSS,
            confirmed=XSS,
        ),
        sent(client, act="curl", input__message=XSS),
        client.get(f"/flows/everything/run?tab={XSS}&from=&x={XSS}"),
    ]

    for response in pages:
        assert "<script>alert" not in response.content.decode()


def test_the_number_of_queries_is_bounded(client: Client, django_assert_max_num_queries: Any) -> None:
    flow = everything()
    for _ in range(25):
        make_run(flow, status="succeeded", spent=Decimal("0.1"))

    with django_assert_max_num_queries(14):
        client.get("/flows/everything/run")
