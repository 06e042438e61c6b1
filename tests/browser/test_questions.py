"""What the engine asks, in a browser: at a limit, and about a call whose answer is lost."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from flows.models import Request, Run, ToolEntry
from tests.makers import make_flow, make_limit_question, make_run, make_unknown_question


def questions() -> list[Request]:
    ToolEntry.objects.create(slug="mail.send", kind="http", effect="write", repeat="never")
    unknown = make_unknown_question(make_run(make_flow(), status="waiting_approval"))
    return [make_limit_question(), unknown]


@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
def test_both_questions_can_be_read_and_answered_by_everybody(visit: Any, person: Any, phone: bool) -> None:
    asked = questions()
    someone = visit(as_=person("operator"), phone=phone)

    for request in asked:
        someone.go(f"/approvals/{request.public_id}")
        expect(someone.see("facts")).to_be_visible()
        someone.fits()
        someone.is_accessible()
    someone.go("/approvals")
    expect(someone.see("approval-row")).to_have_count(2)
    someone.is_quiet()


def test_an_amount_that_is_too_low_is_said_beside_the_field_and_then_mended(visit: Any, person: Any) -> None:
    request = make_limit_question()
    owner = visit(as_=person("owner"))
    owner.go(f"/approvals/{request.public_id}")

    owner.page.get_by_label("New limit").fill("0.10")
    owner.see("choice-raise").click()
    expect(owner.page.get_by_text("Give more than $0.50.").first).to_be_visible()
    expect(owner.page.get_by_label("New limit")).to_have_value("0.10")
    owner.page.get_by_label("New limit").fill("0.95")
    owner.see("choice-raise").click()

    expect(owner.see("decided-text")).to_contain_text("Limit raised by")
    assert str(Run.objects.get(id=request.run_id).cap_cost) == "0.950000000000"
    owner.expect_noise("422")
    owner.is_quiet()
