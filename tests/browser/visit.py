"""A person at a browser: pages by what they are called in `data-testid`, and everything that a page must not do."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from playwright.sync_api import BrowserContext, Locator, Page, Request, Response

from flows.models import Person
from tests.browser.site import Site

AXE = Path(settings.BASE_DIR) / "static" / "build" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OF_COLOURS = ["color-contrast", "link-in-text-block"]
"""The rules whose verdict depends on the theme."""
SCRIPTED = "document.addEventListener('DOMContentLoaded', () => document.documentElement.setAttribute('data-scripted', ''))"
"""Marks a document once its scripts have run: modules do before this event."""


class Visit:
    """One browser context with one page. `noise` is what the console and the network complained about."""

    def __init__(self, context: BrowserContext, site: Site) -> None:
        self.context = context
        self.site = site
        self.page: Page = context.new_page()
        self.noise: list[str] = []
        self.page.on("console", lambda m: self.noise.append(f"{m.type}: {m.text}") if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.noise.append(f"page error: {error}"))
        self.page.on("requestfailed", self._failed)
        # A document is seen before its scripts have run, and a key or a click in between does nothing, which no person is
        # quick enough for. Every act and every expectation waits until nothing is in that state.
        self.page.add_init_script(SCRIPTED)
        self.page.add_locator_handler(self.page.locator("html:not([data-scripted])"), lambda: None)

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the page was left before the answer came
            self.noise.append(f"failed: {request.url} {request.failure}")

    def go(self, path: str) -> Response:
        response = self.page.goto(self.site.url + path)
        assert response is not None
        return response

    def see(self, testid: str) -> Locator:
        return self.page.get_by_test_id(testid)

    @property
    def path(self) -> str:
        return self.page.url.removeprefix(self.site.url)

    def sign_in(self, username: str, password: str) -> None:
        """Through the door, as people do."""
        self.go("/login")
        self.page.get_by_label("Username").fill(username)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()

    def enter_as(self, person: Person) -> None:
        """Signed in at once, for tests that are about something else."""
        session = SessionStore()
        session[SESSION_KEY] = str(person.pk)
        session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
        session[HASH_SESSION_KEY] = person.get_session_auth_hash()
        session.save()
        self.context.add_cookies(
            [{"name": settings.SESSION_COOKIE_NAME, "value": str(session.session_key), "url": self.site.url}]
        )

    def at(self, now: datetime) -> None:
        """Server and browser take this for now."""
        self.site.clock.freeze(now)
        self.page.clock.set_fixed_time(now)

    def theme(self, name: str) -> None:
        self.page.evaluate("name => { document.documentElement.dataset.theme = name }", name)

    # --- gates

    def is_quiet(self) -> None:
        """Nothing was said in the console, and every request was answered."""
        assert self.noise == [], self.noise

    def expect_noise(self, *words: str) -> None:
        """Takes away the complaints that belong to what the test does (a status 422, for one)."""
        self.noise = [line for line in self.noise if not any(word in line for word in words)]

    def is_accessible(self, *themes: str) -> None:
        """The audit finds nothing, in each of the themes. They differ in colours alone, so for the second that is what is looked at."""
        rules: dict[str, Any] = {"type": "tag", "values": TAGS}
        for name in themes or ("light", "dark"):
            self.theme(name)
            found = self.audit(rules)
            assert not found, f"{name}: {json.dumps(found, indent=1)}"
            rules = {"type": "rule", "values": OF_COLOURS}

    def audit(self, rules: dict[str, Any]) -> list[dict[str, Any]]:
        if not self.page.evaluate("() => 'axe' in window"):
            self.page.evaluate(AXE.read_text(encoding="utf-8"))
        result = self.page.evaluate("rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", rules)
        return [
            {
                "rule": each["id"],
                "help": each["help"],
                "where": [[*node["target"], node.get("failureSummary", "")] for node in each["nodes"][:5]],
            }
            for each in result["violations"]
        ]

    def fits(self) -> None:
        """Nothing is wider than the window."""
        wider = self.page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, f"{wider} px too wide"
