"""A typed Python client is generated from the OpenAPI document, and drives the API."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.core.wsgi import get_wsgi_application

from orchestrator.api import api
from tests.makers import make_flow, make_key, make_person

CONFIG = "content_type_overrides:\n  application/yaml: application/octet-stream\n"


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of the generated package."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "openapi.json").write_text(json.dumps(api.get_openapi_schema()), encoding="utf-8")
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    made = subprocess.run(
        [Path(sys.executable).parent / "openapi-python-client", "generate", "--meta", "none", "--path", "openapi.json",
         "--config", "config.yaml", "--output-path", "orchestrator_client"],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    assert "WARNING parsing" not in made.stdout, made.stdout
    sys.path.insert(0, str(folder))
    return "orchestrator_client"


def test_it_starts_a_run_and_reads_it_by_its_types(generated: str, one_connection: None) -> None:
    make_flow("greet")
    _, secret = make_key(make_person("operator"), "runs:write")

    def part(name: str) -> Any:
        return importlib.import_module(f"{generated}.{name}")

    transport = httpx.WSGITransport(app=get_wsgi_application())
    client = part("client").AuthenticatedClient("http://localhost", secret, httpx_args={"transport": transport})
    models = part("models")

    started = part("api.runs.post_run").sync("greet", client=client, body=models.RunStart(input_={"name": "Ann"}))
    run = part("api.runs.get_run").sync(started.id, client=client)
    listed = part("api.runs.list_runs").sync(client=client)
    refused = part("api.people.list_people").sync(client=client)

    assert isinstance(run, models.RunDetail)
    assert (run.id, run.state.value) == (started.id, "queued")
    assert [each.id for each in listed.items] == [run.id]
    assert isinstance(refused, models.ProblemDocument)
    assert (refused.status, refused["right"]) == (403, "people.manage")


def test_each_operation_has_a_name_of_its_own() -> None:
    names = [way["operationId"] for ways in api.get_openapi_schema()["paths"].values() for way in ways.values()]

    assert len(names) == len(set(names))
