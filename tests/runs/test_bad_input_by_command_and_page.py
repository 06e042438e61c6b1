"""What cannot be done to a run or a flow is refused in words by the commands and the pages as by the API, and changes nothing.
(The API: `tests/path/test_every_kind_and_verb.py`.)"""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.forms.models import model_to_dict
from django.test import Client

from flows.models import Event, Run
from tests.makers import make_flow, make_person, make_run
from tests.path.kinds import BOUNDLESS, CIRCLE, LINE

pytestmark = pytest.mark.django_db


def standing(run: Run) -> tuple[dict[str, Any], int]:
    return model_to_dict(Run.objects.get(id=run.id)), Event.objects.filter(run_id=run.id).count()


@pytest.fixture
def done() -> Run:
    return make_run(make_flow(), status="succeeded")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("retry", "--from", "greet"), "greet"),
        (("retry", "--from", "nothing"), "nothing"),
        (("retry",), "succeeded"),
        (("resume",), "retry it from a step"),
        (("pause",), "ended"),
        (("cancel",), "ended"),
        (("skip", "greet"), "ended"),
        (("input", "greet", '{"values": {"text": "x"}}'), "ended"),
        (("limits", "--cost", "9"), "ended|succeeded"),
    ],
)
def test_a_command_says_why_it_does_nothing_to_a_run_that_has_ended(done: Run, arguments: tuple[str, ...], words: str) -> None:
    before = standing(done)
    verb, *rest = arguments

    with pytest.raises(CommandError, match=words):
        call_command("run", verb, done.public_id, *rest)

    assert standing(done) == before


@pytest.mark.parametrize(("act", "values"), [("resumption", {}), ("pause", {}), ("cancellation", {})])
def test_a_page_says_that_the_run_has_ended(done: Run, act: str, values: dict[str, str]) -> None:
    client = Client()
    client.force_login(make_person("operator", username="olga"))
    before = standing(done)

    answer = client.post(f"/runs/{done.public_id}/{act}", values, follow=True)

    assert "ended" in html.unescape(answer.content.decode())
    assert standing(done) == before


@pytest.mark.parametrize("step", ["greet", "nothing", "each[9].x"])
def test_the_page_of_a_retry_refuses_a_step_that_never_ran(done: Run, step: str) -> None:
    client = Client()
    client.force_login(make_person("operator", username="olga"))
    before = standing(done)

    answer = client.post(f"/runs/{done.public_id}/retry", {"from": step, "pass": "1", "key": "abc"}, follow=True)

    assert answer.status_code < 500
    assert step in html.unescape(answer.content.decode())
    assert standing(done) == before


def test_a_loop_without_max_is_named_with_file_and_place(tmp_path: Path) -> None:
    file = tmp_path / "boundless.yaml"
    file.write_text(BOUNDLESS)

    with pytest.raises(CommandError) as refusal:
        call_command("flow", "import", str(file))

    said = str(refusal.value)
    assert "boundless.yaml" in said
    assert "steps.again.with.max" in said


def test_a_flow_that_would_run_itself_is_not_imported_over_the_one_that_does_not(tmp_path: Path) -> None:
    file = tmp_path / "circle.yaml"
    file.write_text(LINE)
    call_command("flow", "import", str(file), "--publish")
    file.write_text(CIRCLE.replace(", version: 1", ""))

    with pytest.raises(CommandError, match="the flow would run itself"):
        call_command("flow", "import", str(file), "--publish")
