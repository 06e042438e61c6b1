"""What every test may use. A test that marks ``django_db`` gets a real PostgreSQL and Redis; they start when first needed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.test import TransactionTestCase
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from flows.access.installation import heed
from orchestrator.embedded.servers import running_servers
from tests.emptying import empty_database

hypothesis_settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("busy")  # how fast the machine is fails no test

INSTALLATIONS = (
    "path/",
    "faults/",
    "orchestrator/",
    "frontend/",
    "routing/providers/test_litellm_proxy.py",
    "browser/test_journey.py",
)
"""What starts installations of its own or waits for other processes. Of several processes, one runs all tests of such a file (and one all
fault tests), so that it is started once; they come first, so that none is left over when the other processes have nothing to do."""


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """(The scheduler of `--dist loadgroup` does not know groups under this pytest: xdist writes them where it no longer looks.)"""
    from xdist.scheduler import LoadScopeScheduling  # absent where tests run in one process without it

    class Scheduler(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0].removeprefix("tests/")
            if not file.startswith(INSTALLATIONS):
                return nodeid
            return "faults" if file.startswith("faults/") else file

    return Scheduler(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """pytest-django has put them in its order: first those that share a database, then those that empty it, then the others."""
    here = Path(__file__).parent
    items.sort(key=lambda item: _has_database(item) or not item.path.relative_to(here).as_posix().startswith(INSTALLATIONS))


def _has_database(item: pytest.Item) -> bool:
    fixtures = getattr(item, "fixturenames", ())
    return item.get_closest_marker("django_db") is not None or not {"db", "transactional_db"}.isdisjoint(fixtures)


@pytest.fixture(scope="session")
def embedded_servers() -> Iterator[None]:
    """PostgreSQL and Valkey of this session. Ask for it by name where a test needs Redis but no database."""
    with running_servers(settings.DATA_DIR, holder="pytest"):
        _need_not_survive_a_power_cut()
        yield


def _need_not_survive_a_power_cut() -> None:
    """This session's data is thrown away with it. (What survives what is tested on installations of their own: tests/faults.)"""
    database = settings.DATABASES["default"]
    with psycopg.connect(host=database["HOST"], port=5432, user=database["USER"], dbname="postgres", autocommit=True) as server:
        server.execute("ALTER SYSTEM SET fsync = off")
        server.execute("ALTER SYSTEM SET full_page_writes = off")
        server.execute("SELECT pg_reload_conf()")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(embedded_servers: None) -> None:
    """pytest-django asks for this before it opens its first connection."""


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", empty_database)
        yield


@pytest.fixture(autouse=True)
def installation_as_it_comes() -> Iterator[None]:
    """What a process has heard of its installation outlives a test's database."""
    yield
    heed(None)


@pytest.fixture
def mail_server(settings: Any) -> None:
    """As where a mail server is set up; what is sent to it lands in `mailoutbox`."""
    settings.EMAIL_HOST = "127.0.0.1"
