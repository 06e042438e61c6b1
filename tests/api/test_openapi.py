"""Every operation of the API is asked what nobody thought of: no 500, and no answer that its document does not name.

Bounded: a fixed number of requests an operation, the same ones each time.
"""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from flows.models import Firing
from orchestrator.api import api
from tests.makers import make_flow, make_key, make_person, make_request, make_run, make_trigger

REQUESTS = 12  # of each operation
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

document = schemathesis.openapi.from_dict(api.get_openapi_schema())
document.app = get_wsgi_application()


@pytest.fixture
def secret(one_connection: None) -> str:
    """A key that may do everything, in an installation that has one of each thing."""
    flow = make_flow("greet")
    run = make_run(flow, status="waiting_approval")
    make_request(run, terms={"approvers": {}})
    trigger = make_trigger(flow, "webhook", sample={"name": "Ann"})
    Firing.objects.create(trigger=trigger, mark="1", outcome="started", body='{"name": "Ann"}')
    return make_key(make_person("owner"), "admin")[1]


@document.parametrize()
@settings(
    max_examples=REQUESTS,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_operation_breaks_or_answers_what_its_document_does_not_name(case: Any, secret: str) -> None:
    case.call_and_validate(headers={"Authorization": f"Bearer {secret}"}, checks=CHECKS)
