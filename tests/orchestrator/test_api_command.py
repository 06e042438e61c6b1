"""Any operation of the API by command: by its rules, with the rights of whoever is named, in the audit log as by command."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from flows.models import AuditRow, Flow
from tests.makers import DOCUMENT, make_flow, make_person, make_run

pytestmark = pytest.mark.django_db


def test_any_operation_is_done_by_command(tmp_path: Path, capsys: Any) -> None:
    ann = make_person("builder", "operator", username="ann").username
    run = make_run(make_flow("greet"))
    make_run()
    file = tmp_path / "greet.yaml"
    file.write_text(DOCUMENT.replace("Greeting", "Good day"))

    call_command("api", "get", "/runs?flow=greet", "--as", ann)
    assert [each["id"] for each in json.loads(capsys.readouterr().out)["items"]] == [run.public_id]
    call_command("api", "POST", "/api/v1/flows/greet/runs", '{"input": {"name": "Ann"}}', "--as", ann)
    assert json.loads(capsys.readouterr().out)["url"].startswith("http://127.0.0.1:8000/api/v1/runs/run_")
    revision = str(Flow.objects.get(slug="greet").revision)
    call_command("api", "PUT", "/flows/greet", f"@{file}", "--if-match", revision, "--as", ann)
    assert "Good day" in Flow.objects.get(slug="greet").draft
    assert set(AuditRow.objects.values_list("door", "actor_name")) == {("cli", ann)}

    for words, said in (
        (("GET", "/runs/run_nothing"), "There is no run"),
        (("DELETE", "/runs"), "does not work here"),
        (("POST", "/flows/greet/runs", '{"input": {}}'), "name"),
        (("POST", "/budgets/holds/1/release", '{"reason": "stuck"}'), "'budgets.manage'"),
        (("GET", "/nowhere"), "no address"),
        (("POST", "/flows/greet/runs", "{"), "JSON"),
        (("PUT", "/flows/greet", f"@{tmp_path}/none.yaml"), "cannot be read"),
    ):
        with pytest.raises(CommandError, match=said):
            call_command("api", *words, "--as", ann)
