"""The demonstration: there as a whole, once."""

import pytest

from flows.models import AllowedHost, AuditRow, Flow, ModelEntry, Person, ToolEntry
from orchestrator.demo import CAST, bring_catalogue, follow_receiver, seed
from orchestrator.seeding.ground import CATALOGUE
from orchestrator.seeding.marks import marked

pytestmark = pytest.mark.django_db


def test_it_fills_an_empty_installation_once() -> None:
    signs = seed(9555)

    assert [name for name, _ in signs] == [name for name, _, _ in CAST]
    assert all(Person.objects.get(username=name).check_password(password) for name, password in signs)
    assert len({password for _, password in signs}) == len(signs)
    assert Flow.objects.exists()
    assert not Flow.objects.filter(published=None).exists()
    assert ":9555/" in ToolEntry.objects.get(slug="refunds.create").settings["url"]
    rows = AuditRow.objects.count()
    assert seed(9555) == []
    assert AuditRow.objects.count() == rows
    assert not any(password in str(list(AuditRow.objects.values())) for _, password in signs)


def test_its_tools_and_models_follow_a_receiver_that_had_to_take_another_port() -> None:
    seed(9555)
    bring_catalogue(CATALOGUE, 9555)
    own = ToolEntry.objects.create(slug="own.refund", kind="http", settings={"url": "http://127.0.0.1:9555/refunds"})

    follow_receiver(9556)

    brought = [*ToolEntry.objects.filter(slug__in=marked("tool")).values_list("settings", flat=True)]
    brought += ModelEntry.objects.filter(slug__in=marked("model")).values_list("api_base", flat=True)
    assert ":9556/" in ToolEntry.objects.get(slug="refunds.create").settings["url"]
    assert ":9556/" in str(brought)
    assert ":9555" not in str(brought)
    assert [*AllowedHost.objects.values_list("host", flat=True)] == ["127.0.0.1:9556"] == [*marked("host")]
    assert AuditRow.objects.filter(action="tool.change", subject="refunds.create").count() == 1
    own.refresh_from_db()
    assert own.settings["url"].startswith("http://127.0.0.1:9555"), "what people made is left to them"
    rows = AuditRow.objects.count()
    follow_receiver(9556)
    assert AuditRow.objects.count() == rows
