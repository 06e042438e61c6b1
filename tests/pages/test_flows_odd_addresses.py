"""Addresses that somebody made up are answered, not broken on."""

import pytest
from django.test import Client

from tests.makers import make_flow, make_person

pytestmark = pytest.mark.django_db

ODD = ("%00", "x%00y", "%ff", "..", "a" * 300, "%F0%9F%A6%86", "%27%22%3C")


@pytest.mark.parametrize("text", ODD)
def test_an_odd_address_is_answered(text: str) -> None:
    make_flow("greeting")
    client = Client()
    client.force_login(make_person("owner"))

    for address in (
        f"/flows/{text}",
        f"/flows/{text}/run",
        f"/flows/{text}/export",
        f"/approvals/{text}",
        f"/approvals/{text}/news",
    ):
        assert client.get(address).status_code in (404, 301), address
    for address in (
        f"/flows?q={text}",
        f"/flows?after={text}",
        f"/flows/greeting?tab={text}&newest={text}&part=runs",
        f"/approvals?box={text}&after={text}",
        f"/approvals/news?box={text}&newest={text}&shown={text},{text}",
        f"/flows/greeting/run?tab={text}",
    ):
        assert client.get(address).status_code == 200, address
    for address in (
        f"/flows/greeting/run?from={text}",
        f"/flows/greeting/run?version={text}",
        f"/flows/greeting/export?version={text}",
    ):
        assert client.get(address).status_code == 404, address
    posted = client.post(
        "/flows/greeting/run", {"input-name": f"a\x00{text}", "of": text, "tab": text, "key": text, "tags": "\x00"}
    )
    assert posted.status_code in (200, 404, 422)
