"""The routing table over a plain psycopg connection: what engines load."""

from __future__ import annotations

from decimal import Decimal

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections

from flows.models import AllowedHost, ModelEntry, Price, Route
from flows.routing.table import Unknown, current_table, load_table


def seed() -> dict[str, object]:
    entry = ModelEntry.objects.create(slug="a", model="openai/a", capabilities=["json"], settings={"x": 1})
    Price.objects.create(model=entry, input=Decimal(1), output=Decimal(2))
    ModelEntry.objects.create(slug="b", model="sim/b", simulated=True)
    Route.objects.create(slug="r", candidates=["a", "b", "gone"], fall_back_on=["timeout"], timeout=4.5)
    Route.objects.create(slug="empty")
    AllowedHost.objects.create(host="127.0.0.1:9")
    given = connection.get_connection_params()
    return {name: given[name] for name in ("dbname", "user", "password", "host", "port") if given.get(name)}


@pytest.mark.django_db(transaction=True)
async def test_both_ways_of_loading_give_the_same() -> None:
    parameters = await sync_to_async(seed)()

    async with await psycopg.AsyncConnection.connect(**parameters) as opened:  # type: ignore[arg-type]
        table = await load_table(opened)

    assert table == await sync_to_async(current_table)()
    await sync_to_async(connections.close_all)()
    model = table.model("a")
    assert model.capabilities == {"json"}
    assert model.settings["x"] == 1
    assert model.price is not None
    assert model.price.output == 2
    assert table.model("b").price is None
    assert table.allowed_hosts == {"127.0.0.1:9"}
    for name, said in (("r", "gone"), ("empty", "no candidates"), ("zz", "zz")):
        with pytest.raises(Unknown, match=said):
            table.candidates(name)
