"""The steps of an error handler are looked at like any others."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import Client

from flows.models import Run
from tests.makers import make_flow, make_person, make_run
from tests.runs.journals import make_attempt, make_call

pytestmark = pytest.mark.django_db
DOCUMENT = """\
orchestrator: 1
name: Handled
steps:
  judge: {kind: model, with: {route: sim-small, prompt: Judge.}}
edges: [start -> judge]
on_error:
  steps:
    word: {kind: model, label: Word the apology, with: {route: sim-small, prompt: "Sorry: {{ error.message }}"}}
    each:
      kind: map
      label: Tell each
      with:
        over: "['ann', 'bob']"
        body:
          steps:
            tell: {kind: tool, label: Tell one, with: {tool: mail.send, arguments: {text: "{{ item }}"}}}
          edges: [start -> tell]
          output: "{{ steps.tell.output }}"
  edges: [start -> word, word -> each]
"""


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(make_person("operator"))
    return client


def handled() -> Run:
    run = make_run(
        make_flow(document=DOCUMENT), status="failed", error=json.dumps({"step": "judge", "class": "refused", "message": "No."})
    )
    make_attempt(run, "judge", status="failed", error={"class": "refused", "message": "No."})
    make_attempt(run, "error", status="succeeded")
    make_attempt(run, "error.word", status="failed", n=1, error={"class": "rate_limit", "message": "Slowly."})
    make_attempt(run, "error.word", n=2, output="We are sorry.")
    make_call(
        run,
        "error.word",
        attempt=2,
        request={"messages": [{"role": "user", "content": "Sorry: No."}]},
        response={"text": "We are sorry."},
    )
    make_attempt(run, "error.each", output=["told", "told"])
    for n in range(2):
        make_attempt(run, f"error.each[{n}].tell", output="told")
    return run


def text_of(answer: Any) -> str:
    assert answer.status_code == 200, answer.content.decode()[:500]
    return answer.content.decode()


def test_a_step_of_an_error_handler_shows_its_attempts_its_calls_and_what_it_gave(client: Client) -> None:
    run = handled()

    page = text_of(client.get(f"/runs/{run.public_id}?step=error.word"))

    inspector = page.partition('data-testid="inspector"')[2]
    assert "Word the apology" in inspector
    assert len(re.findall(r'data-testid="attempt"', inspector)) == 2
    assert "Sorry: No." in inspector
    assert "We are sorry." in inspector
    assert 'data-path="error.word"' in page
    assert 'data-testid="step-acts"' not in page, "it runs again only where the flow fails again"
    assert 'value="error.word"' not in text_of(client.get(f"/runs/{run.public_id}/retry"))


def test_a_map_in_an_error_handler_has_its_items(client: Client) -> None:
    run = handled()

    page = text_of(client.get(f"/runs/{run.public_id}?step=error.each"))
    item = text_of(client.get(f"/runs/{run.public_id}?step=error.each[1].tell"))

    assert "error.each[0]" in page.partition('data-testid="inspector"')[2]
    assert "Tell one" in item.partition('data-testid="inspector"')[2]
