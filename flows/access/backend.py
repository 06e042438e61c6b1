"""Who a session belongs to."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend

from flows.access.rights import with_roles
from flows.models import Person


class PersonBackend(ModelBackend):
    """Signs in with username and password; reads the person of a session together with the roles: one query for each page."""

    def get_user(self, user_id: Any) -> Person | None:
        return with_roles(Person.objects.filter(pk=user_id, is_active=True)).first()
