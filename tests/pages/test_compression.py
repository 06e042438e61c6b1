"""What goes over the wire is compressed, where nothing else depends on its bytes."""

from __future__ import annotations

import gzip

import pytest
from django.test import Client

from tests.makers import make_key, make_person, make_run

pytestmark = pytest.mark.django_db
TAKES = {"Accept-Encoding": "gzip, br"}


def test_a_page_is_compressed_for_a_browser_that_takes_it() -> None:
    client = Client()
    client.force_login(make_person("viewer"))

    plain = client.get("/runs")
    packed = client.get("/runs", headers=TAKES)

    assert "Content-Encoding" not in plain
    assert packed["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in packed["Vary"]
    assert len(packed.content) < len(plain.content) / 2
    assert b'data-testid="run-list"' in gzip.decompress(packed.content)


def test_files_and_what_a_program_changes_by_its_tag_stay_as_they_are() -> None:
    person, run = make_person("owner"), make_run()
    client = Client()
    client.force_login(person)
    key = {"Authorization": f"Bearer {make_key(person, 'admin')[1]}"}

    for answer in (
        client.get("/runs/export.csv", headers=TAKES),
        client.get(f"/api/v1/flows/{run.flow.slug}", headers=TAKES | key),
    ):
        assert answer.status_code == 200
        assert "Content-Encoding" not in answer
