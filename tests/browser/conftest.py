"""Browser tests: Chromium at the application's real web process. Each test commits, and the database is emptied after it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from flows.models import Person
from tests.browser.chromium import ARGS, CHROMIUM
from tests.browser.site import Site
from tests.makers import make_person

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1440, "height": 900}
PATIENCE = 30_000
"""Milliseconds: what a page shows is asserted, not how fast a busy machine is."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser/" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.django_db(transaction=True))
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="chromium is not installed (Debian: apt-get install chromium)"))


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """One Chromium for all browser tests. While it runs, this thread has an event loop: Django is told that this is meant."""
    from playwright.sync_api import expect, sync_playwright  # only here: the rest of the suite does without it

    expect.set_options(timeout=PATIENCE)

    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    try:
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=ARGS)
            yield chromium
            chromium.close()
    finally:
        os.environ.pop("DJANGO_ALLOW_ASYNC_UNSAFE")
        if before is not None:
            os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = before


@pytest.fixture(scope="package")
def web_process(django_db_setup: None) -> Iterator[Site]:
    built = settings.BASE_DIR / "static" / "build" / "manifest.json"
    assert built.exists(), "the browser's files are not built: make assets"
    site = Site()
    site.start()
    yield site
    site.stop()


@pytest.fixture
def site(web_process: Site, transactional_db: None) -> Iterator[Site]:
    """The web process with an empty database and the real time."""
    if web_process.process is None:
        web_process.start()
    yield web_process
    web_process.clock.release()
    _wait_for_silence()


def _wait_for_silence() -> None:
    """Pages that were left may still be answered, which would be in each other's way with the emptying of the database."""
    with connection.cursor() as cursor:
        for _ in range(500):
            cursor.execute(
                "SELECT NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND state <> 'idle')"
            )
            if cursor.fetchone()[0]:
                break
            time.sleep(0.02)
        # What the web process reads by itself may still come between: then its reading is given up, not the emptying.
        cursor.execute("SET deadlock_timeout = '60s'")


@pytest.fixture
def visit(browser: Any, site: Site) -> Iterator[Callable[..., Any]]:
    """Makes visits: ``visit()``, ``visit(phone=True)``, ``visit(dark=True)``. Each is a browser of its own."""
    from tests.browser.visit import Visit

    contexts = []

    def make(*, phone: bool = False, dark: bool = False, as_: Person | None = None, **options: Any) -> Visit:
        options.setdefault("viewport", PHONE if phone else DESK)
        context = browser.new_context(
            color_scheme="dark" if dark else "light",
            has_touch=phone,
            reduced_motion="reduce",
            locale="en-GB",
            timezone_id="UTC",
            **options,
        )
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        made = Visit(context, site)
        if as_ is not None:
            made.enter_as(as_)
        return made

    yield make
    for context in contexts:
        context.close()


ROLES = {"operator": ("operator", "approver"), "owner": ("owner",), "builder": ("builder",), "approver-1": ("approver",)}
PASSWORD = "correct horse battery"  # what `make_person` sets


@pytest.fixture
def person(site: Site) -> Callable[[str], Person]:
    """The account of a role: ``person("owner")``; made when first asked for."""
    made: dict[str, Person] = {}

    def account(role: str) -> Person:
        if role not in made:
            made[role] = make_person(*ROLES.get(role, (role,)), username=role)
        return made[role]

    return account
