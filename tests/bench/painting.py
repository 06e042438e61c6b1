"""How soon a page is there for a person: its largest paint and how much it shifts, in a real Chromium with an empty cache, the processor
slowed down four times, over 10 Mbit/s with 40 ms of latency."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from typing import Any, NamedTuple

from django.conf import settings

from orchestrator.supervisor.children import answers
from tests.bench.stage import ROOT
from tests.browser.chromium import ARGS, CHROMIUM

LOOKS = 3  # at each page; the median paint and the largest shift are taken
SLOWED = 4
NETWORK = {"offline": False, "latency": 40, "downloadThroughput": 10e6 / 8, "uploadThroughput": 10e6 / 8}
SETTLES = 2000  # milliseconds after loading in which a page may still shift
PATIENCE = 60.0  # seconds until the web process answers
WATCH = """() => {
  window.painted = { lcp: 0, cls: 0 }
  const watch = (type, tell) => new PerformanceObserver((list) => list.getEntries().forEach(tell)).observe({ type, buffered: true })
  watch("largest-contentful-paint", (entry) => { painted.lcp = entry.startTime })
  watch("layout-shift", (entry) => { if (!entry.hadRecentInput) painted.cls += entry.value })
}"""


class Paint(NamedTuple):
    """Seconds until the largest part of the page was painted, and the sum of its layout shifts."""

    seconds: float
    shift: float


def painted(addresses: Mapping[str, str], session: str) -> dict[str, Paint]:
    """Of each page, as the person of this session sees it at 1440 by 900 pixels; the servers must be running."""
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        raise RuntimeError("chromium is not installed (Debian: apt-get install chromium)")
    with _web() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=ARGS)
        try:
            cookie = {"name": settings.SESSION_COOKIE_NAME, "value": session, "url": url}
            return {name: _paint(browser, cookie, url + address) for name, address in addresses.items()}
        finally:
            browser.close()


def _paint(browser: Any, cookie: Any, address: str) -> Paint:
    looks = [_look(browser, cookie, address) for _ in range(LOOKS + 1)][1:]  # at the first the web process warms up
    return Paint(round(median(look.seconds for look in looks), 2), round(max(look.shift for look in looks), 4))


def _look(browser: Any, cookie: Any, address: str) -> Paint:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB", timezone_id="UTC")
    try:
        context.add_cookies([cookie])
        page = context.new_page()
        page.add_init_script(f"({WATCH})()")
        wire = context.new_cdp_session(page)
        wire.send("Network.enable")
        wire.send("Network.emulateNetworkConditions", NETWORK)
        wire.send("Emulation.setCPUThrottlingRate", {"rate": SLOWED})
        answer = page.goto(address, wait_until="load")
        if answer is None or answer.status != 200 or answer.request.redirected_from is not None:
            raise RuntimeError(f"{address}: {answer and (answer.status, answer.url)}")
        page.wait_for_timeout(SETTLES)
        found = page.evaluate("() => window.painted")
        return Paint(found["lcp"] / 1000, found["cls"])
    finally:
        context.close()


@contextmanager
def _web() -> Iterator[str]:
    """A web process over this process's servers, and where it listens."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listening:
        port = listening.getsockname()[1]
        command = f"-m uvicorn orchestrator.asgi:application --fd {listening.fileno()} --lifespan off --log-level warning"
        process = subprocess.Popen(
            [sys.executable, *command.split(), "--no-access-log"], cwd=ROOT, pass_fds=(listening.fileno(),)
        )
        try:
            deadline = time.monotonic() + PATIENCE
            while not answers(port, "/healthz"):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("the web process does not answer")
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)
