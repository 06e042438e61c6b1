"""The `retrieve` step on a real engine."""

from __future__ import annotations

import json

from flows.access.actor import system
from flows.retrieval.actions.delete_document import delete_document
from tests.execution.conftest import Drive
from tests.execution.runs import calls_of, error_of, finish, output_of, start
from tests.makers import make_team
from tests.retrieval.house import bring, make_base, make_shop

OUTPUT = {"found": "{{ steps.look.output }}", "first": "{{ steps.look.output[0].id }}"}


def look(**more: object) -> dict[str, object]:
    return {"look": {"kind": "retrieve", "with": {"base": "shop", "query": "{{ input.question }}", **more}}}


def test_a_run_finds_passages_and_cites_them(drive: Drive) -> None:
    make_shop()
    drive()

    run = finish(start(look(top=2), ["start -> look"], {"question": "How long may goods be sent back?"}, output=OUTPUT))

    found = output_of(run)["found"]
    assert len(found) <= 2
    assert found[0]["source"] == "refunds.md"
    assert "30 days" in found[0]["text"]
    assert found[0]["id"].startswith("psg_")
    assert set(found[0]) == {"id", "text", "source", "score"}
    (call,) = calls_of(run, "look")
    assert (call.kind, call.target, call.status, call.settled) == ("retrieve", "shop", "succeeded", 0)
    assert json.loads(call.response or "") == found


def test_a_deleted_document_is_not_found_by_the_next_run(drive: Drive) -> None:
    base = make_shop()
    drive()
    given = {"question": "XK-4431"}
    before = output_of(finish(start(look(), ["start -> look"], given, output=OUTPUT)))["found"]
    delete_document(system("test"), base, base.documents.get(source="warranty.txt"))

    after = finish(start(look(), ["start -> look"], given, output={"found": "{{ steps.look.output }}"}))

    assert "warranty.txt" in {hit["source"] for hit in before}
    assert "warranty.txt" not in {hit["source"] for hit in output_of(after)["found"]}


def test_the_base_of_another_team_does_not_exist(drive: Drive) -> None:
    bring(make_base(team=make_team()), "a.txt", "Secret plans.")
    drive()

    run = finish(start(look(), ["start -> look"], {"question": "plans"}))

    assert run.status == "failed"
    assert error_of(run)["class"] == "bad_request"
    assert "'shop'" in error_of(run)["message"]
    assert "Secret" not in error_of(run)["message"]


def test_an_empty_question_is_told(drive: Drive) -> None:
    make_shop()
    drive()

    run = finish(start(look(), ["start -> look"], {"question": "  "}))

    assert error_of(run)["message"] == "look has nothing to search for: its query is empty."
