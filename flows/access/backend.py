"""Who a session belongs to."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.db.models import QuerySet

from flows.access.installation import heed_from, with_installation
from flows.access.rights import with_roles
from flows.models import Person


class PersonBackend(ModelBackend):
    """Signs in with username and password; reads the person of a session together with the roles and
    what is said of the installation: one query for each page."""

    def get_user(self, user_id: Any) -> Person | None:
        found = self.read_with(Person.objects.filter(pk=user_id, is_active=True)).first()
        if found is not None:
            heed_from(found)
        return found

    def read_with(self, people: QuerySet[Person]) -> QuerySet[Person]:
        """The same people with what is read together with each."""
        return with_installation(with_roles(people))
