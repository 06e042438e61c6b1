"""The demonstration: there as a whole, once."""

import pytest

from flows.models import AuditRow, Flow, Person, ToolEntry
from orchestrator.demo import CAST, seed

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
