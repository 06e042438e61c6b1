"""People, roles and keys: each change with its right and its audit row."""

from datetime import timedelta

import pytest
from django.utils import timezone

from flows.access.actions.create_key import create_key
from flows.access.actions.create_person import NameTaken, create_person
from flows.access.actions.create_team import create_team
from flows.access.actions.deactivate_person import deactivate_person
from flows.access.actions.grant_role import grant_role
from flows.access.actions.revoke_key import revoke_key
from flows.access.actions.revoke_role import LastOwner, revoke_role
from flows.access.actor import Actor
from flows.access.keys import key_behind
from flows.access.refusals import Forbidden, Invalid
from flows.models import ApiKey, AuditRow, Person
from tests.makers import make_actor, make_key, make_person

pytestmark = pytest.mark.django_db


def actions() -> list[str]:
    return list(AuditRow.objects.order_by("id").values_list("action", flat=True))


def test_an_owner_adds_people_teams_and_roles() -> None:
    owner = make_actor("owner")

    person = create_person(owner, "new-one", password="a long password", email="new@example.com")
    team = create_team(owner, "legal", "Legal")
    grant_role(owner, person, "approver", team)
    grant_role(owner, person, "approver", team)
    assert revoke_role(owner, person, "approver", team)
    assert not revoke_role(owner, person, "approver", team)

    assert Person.objects.get(username="new-one").check_password("a long password")
    assert actions() == ["person.create", "team.create", "role.grant", "role.revoke"]


@pytest.mark.parametrize("role", ["viewer", "operator", "approver", "builder", "auditor"])
def test_nobody_else_does(role: str) -> None:
    actor = make_actor(role)

    for change in (
        lambda: create_person(actor, "new-one"),
        lambda: create_team(actor, "new"),
        lambda: grant_role(actor, actor.person, "owner"),
        lambda: revoke_role(actor, actor.person, role),
        lambda: create_key(actor, make_person(), ["runs:read"]),
        lambda: deactivate_person(actor, make_person()),
    ):
        with pytest.raises(Forbidden):
            change()
    assert not actions()


def test_bad_values_are_named_and_change_nothing() -> None:
    owner = make_actor("owner")

    with pytest.raises(Invalid) as refusal:
        create_person(owner, "No Name!", password="short", email="nowhere")

    assert [fault.place for fault in refusal.value.problems] == ["username", "password", "email"]
    with pytest.raises(NameTaken):
        create_person(owner, owner.name)
    with pytest.raises(Invalid):
        grant_role(owner, owner.person, "emperor")
    assert not actions()


def test_the_last_owner_stays() -> None:
    owner = make_actor("owner")

    with pytest.raises(LastOwner):
        revoke_role(owner, owner.person, "owner")
    with pytest.raises(LastOwner):
        deactivate_person(owner, owner.person)
    make_person("owner")
    assert revoke_role(owner, owner.person, "owner")


def test_a_key_is_shown_once_and_kept_as_a_hash() -> None:
    actor = make_actor("operator")

    key, secret = create_key(actor, actor.person, ["runs:write", "runs:read"], label="ci")

    assert secret.startswith("ork_")
    assert secret not in str(ApiKey.objects.filter(id=key.id).values().get())
    assert key_behind(secret) == key
    assert key_behind(secret + "x") is None
    assert actions() == ["key.create"]
    assert secret not in str(list(AuditRow.objects.values()))


def test_a_key_ends_by_time_by_revoking_and_with_its_person() -> None:
    owner = make_actor("owner")
    person = make_person("viewer")
    _, late = make_key(person, "runs:read", expires_at=timezone.now() - timedelta(seconds=1))
    key, revoked = make_key(person, "runs:read")
    _, orphan = make_key(person, "runs:read")

    assert revoke_key(Actor(person=person), key)
    assert not revoke_key(Actor(person=person), key)
    assert key_behind(late) is None
    assert key_behind(revoked) is None
    assert key_behind(orphan) is not None
    deactivate_person(owner, person)
    assert key_behind(orphan) is None


def test_a_key_makes_no_key_that_may_do_more() -> None:
    person = make_person("owner")
    weak = Actor(person=person, key=make_key(person, "runs:read")[0])

    with pytest.raises(Forbidden):
        create_key(weak, person, ["admin"])


def test_unknown_scopes_are_named() -> None:
    actor = make_actor("operator")

    with pytest.raises(Invalid) as refusal:
        create_key(actor, actor.person, ["runs:fly"])

    assert "runs:fly" in refusal.value.problems[0].message


def test_that_a_key_was_used_is_noted_at_most_once_a_minute(django_assert_num_queries: object) -> None:
    key, secret = make_key(make_person("viewer"), "runs:read")

    key_behind(secret)
    with django_assert_num_queries(1):  # type: ignore[operator]
        key_behind(secret)
    key.refresh_from_db()
    assert key.used_at is not None
