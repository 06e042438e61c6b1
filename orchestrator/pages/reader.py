"""Who reads a page, with what the shell around every page asks of the database: one query in place of three."""

from __future__ import annotations

from django.db.models import QuerySet

from approvals.standing import with_hands
from flows.access.backend import PersonBackend
from flows.execution.errands import with_errand
from flows.execution.killswitch import with_switch
from flows.models import Person


class ReaderBackend(PersonBackend):
    """Reads the person of a session together with the roles, whether anything is handed to them, whether everything is stopped, and
    the errand that they wait for."""

    def read_with(self, people: QuerySet[Person]) -> QuerySet[Person]:
        return with_errand(with_switch(with_hands(super().read_with(people))))
