"""A canary secret goes through every door of a run, and is found nowhere afterwards."""

from __future__ import annotations

import base64
import io
import json
import logging
import zipfile
from urllib.parse import quote

import pytest
from django.test import Client

from approvals.models import Channel
from flows.access import redaction
from flows.access.actions.put_secret import put_secret
from flows.access.actor import system
from flows.access.redaction import RedactingFilter, redacted
from flows.models import AllowedHost, MCPServer, ModelEntry, Run, ToolEntry
from flows.runs.actions.tag_run import tag_run
from flows.triggers.secrets import secret_of
from tests.execution.conftest import Drive
from tests.execution.runs import finish, make_model, model, start
from tests.execution.runs import tool as tool_step
from tests.makers import DOCUMENT, make_actor, make_flow, make_key, make_person, make_trigger
from tests.retention.test_retention import everything
from tests.servers.effect_server import EffectServer
from tests.servers.loopback import running
from tests.servers.model_server import ModelServer

CANARY = "canary+7f3a/9c51&e2d0"
ENCODED = base64.b64encode(CANARY.encode()).decode()

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def canary(monkeypatch: pytest.MonkeyPatch) -> str:
    """The secret, as an operator gives it to web and workers."""
    monkeypatch.setenv("CANARY_KEY", CANARY)
    monkeypatch.setattr(redaction, "_needles", None)
    monkeypatch.setattr(redaction, "_known", set())
    return CANARY


def nowhere(text: str) -> None:
    for form in (CANARY, ENCODED, "canary%2B7f3a", "canary+7f3a"):
        assert form not in text, text[max(0, text.index(form) - 300) : text.index(form) + 60]


def every_page_and_answer(run: Run) -> str:
    """All that the pages, the API and the exports show of it."""
    person = make_person("owner")
    page, headers = Client(), {"Authorization": f"Bearer {make_key(person, 'admin')[1]}"}
    page.force_login(person)
    here, there = f"/runs/{run.public_id}", f"/api/v1/runs/{run.public_id}"
    addresses = [f"{here}?tab={tab}" for tab in ("overview", "timeline", "events", "io", "cost", "approvals")]
    addresses += [here + "/events.jsonl", "/runs", "/runs/export.csv", "/runs/export.json", "/audit", "/audit/export.jsonl", "/"]
    answers = [page.get(address) for address in addresses]
    answers += [Client().get(there + part, headers=headers) for part in ("", "/events", "/calls")]
    assert {answer.status_code for answer in answers} == {200}
    return "\n".join(b"".join(each).decode() if each.streaming else each.content.decode() for each in answers)  # type: ignore[arg-type]


def test_a_providers_error_that_repeats_the_key(drive: Drive, canary: str) -> None:
    with running(ModelServer()) as server:
        AllowedHost.objects.create(host=server.host)
        make_model("keyed", model="openai/keyed", api_base=f"{server.base}/v1", api_key_env="CANARY_KEY")
        server.program.append({"behave": "401", "say": CANARY})
        drive()
        run = finish(start({"a": model("Say {{ input.say }}", "keyed")}, ["start -> a"], {"say": CANARY}, limits={"cost": 1}))

    nowhere(everything())
    nowhere(every_page_and_answer(run))


def test_a_tool_that_sends_back_what_it_was_sent(drive: Drive, canary: str) -> None:
    with running(EffectServer()) as server:
        AllowedHost.objects.create(host=server.host)
        settings = {"method": "GET", "url": f"{server.base}/echo", "header_env": {"Authorization": "CANARY_KEY"}}
        ToolEntry.objects.create(
            slug="echo", kind="http", settings=settings, effect="read", repeat="freely", arguments={"type": "object"}
        )
        drive()
        run = finish(start({"a": tool_step("echo")}, ["start -> a"]))

    assert run.status == "succeeded", run.error
    assert "[removed]" in json.dumps(everything())
    nowhere(everything())
    nowhere(every_page_and_answer(run))


def test_what_people_write_into_inputs_tags_and_reasons(canary: str) -> None:
    given = {"prompt": CANARY, "token": ENCODED, "link": f"https://a.example/?key={quote(CANARY, safe='')}"}
    run = start({"a": {"kind": "set", "with": {"values": {"x": 1}}}}, ["start -> a"], given)
    tag_run(make_actor("operator"), run, CANARY)

    nowhere(Run.objects.get(id=run.id).input)
    nowhere(every_page_and_answer(run))


def test_an_export_of_the_whole_configuration(canary: str) -> None:
    """What is kept sealed or hashed, what the environment holds, and what somebody typed into a setting."""
    typed = "typed+into/a&setting"
    person = make_person("owner")
    key = make_key(person, "admin")[1]
    put_secret(system("tests"), "SEALED_KEY", typed, [], [])
    trigger = make_trigger(make_flow("greet", document=DOCUMENT.replace("Hello", f"Hello {CANARY}")), "webhook", owner=person)
    type(trigger).objects.update(settings={**trigger.settings, "sample": {"say": typed}, "mapping": {"token": typed, "say": key}})
    Channel.objects.create(kind="chat", name="ops", address="https://chat.example/secret-hook", salt="ab" * 16)
    settings = {"url": f"https://a.example/?token={typed}", "headers": {"Authorization": typed}, "body": {"say": CANARY}}
    ToolEntry.objects.create(slug="echo", kind="http", settings=settings, effect="read", repeat="freely")
    ModelEntry.objects.create(
        slug="a",
        model="openai/a",
        api_key_env="CANARY_KEY",
        api_base=f"http://me:{quote(typed, safe='')}@a.example",
        settings={"api_key": typed},
    )
    MCPServer.objects.create(slug="near", command=["server", f"--say={CANARY}"], env={"TOKEN": "CANARY_KEY"})

    answer = Client().get("/api/v1/export", headers={"Authorization": f"Bearer {key}"})

    with zipfile.ZipFile(io.BytesIO(b"".join(answer))) as archive:  # type: ignore[arg-type]
        files = {name: archive.read(name).decode() for name in archive.namelist()}
    text = "\n".join(files.values())
    nowhere(text)
    assert "CANARY_KEY" in files["catalogue.yaml"]
    assert "Hello [removed]" in files["flows/drafts/greet.yaml"]
    hidden = (typed, quote(typed, safe=""), key, person.password, "secret-hook", trigger.salt, secret_of(trigger))
    assert [each for each in hidden if each in text] == []


def test_a_log_line_and_a_traceback(canary: str) -> None:
    try:
        raise RuntimeError(f"https://user:{CANARY}@example.com refused {ENCODED}")
    except RuntimeError as error:
        told = (type(error), error, error.__traceback__)
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "sent %s", (CANARY,), told)

    assert RedactingFilter().filter(record)

    nowhere(logging.Formatter().format(record))
    assert "Traceback" in logging.Formatter().format(record)


def test_innocent_text_stays_and_short_values_are_no_secrets(monkeypatch: pytest.MonkeyPatch, canary: str) -> None:
    monkeypatch.setenv("SHORT_KEY", "ab")

    assert redacted('{"a": "able was I"}') == '{"a": "able was I"}'
    assert redacted(f"x{CANARY}y") == "x[removed]y"
