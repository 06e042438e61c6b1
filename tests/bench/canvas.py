"""The canvas with a flow of 300 steps, in a real Chromium: frames a second while it pans and zooms, and the time of a whole layout.

The page is served by itself, so that nothing else of the product takes time. The limit is what the browser reaches on this machine at that
moment with a bare page: where no graphics card helps, drawing is the processor's work, and other programs take their share of it.
"""

from __future__ import annotations

import json
import threading
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from orchestrator.pages.samples import OFFERED, wide
from tests.bench import Row, measure
from tests.browser.chromium import ARGS, CHROMIUM

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "static" / "build"
FRAMES, SECONDS = 50.0, 1.0
SMOOTH = 0.8  # of the frames that a bare page gets
PAGE = """<!doctype html>
<html lang="en" data-theme="light" data-icons="/icons.svg">
<head><meta charset="utf-8"><title>Canvas</title>
<link rel="stylesheet" href="/build/{site}"><link rel="stylesheet" href="/build/{style}">
<script type="module" src="/build/{script}"></script></head>
<body><flow-canvas><script type="application/json">{document}</script>
<script type="application/json" id="catalogue">{catalogue}</script></flow-canvas></body></html>"""


@measure("canvas_pan_fps")
def canvas_pan_fps() -> Row:
    """The slower of panning (drag) and zooming (wheel), as a median over some attempts."""
    found = measured()
    frames, limit = min(found["pan"], found["zoom"]), found["bare"]
    return Row(
        frames,
        "frames/s",
        f">= {FRAMES:.0f}, or {SMOOTH} of a bare page",
        frames >= FRAMES or frames >= SMOOTH * limit,
        limit,
        frames / limit,
    )


@measure("canvas_layout")
def canvas_layout() -> Row:
    """From the call until the new drawing is on the screen."""
    seconds = measured()["layout"]
    return Row(seconds, "s", f"< {SECONDS:.0f} s", seconds < SECONDS)


@cache
def measured() -> dict[str, float]:
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        raise RuntimeError("chromium is not installed (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=ARGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Site, directory=str(ROOT / "static")))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            page.goto(f"http://127.0.0.1:{server.server_port}/canvas")
            page.wait_for_selector("[data-testid=node]")
            found: dict[str, float] = page.evaluate(Path(__file__).with_suffix(".js").read_text(encoding="utf-8"))
            return found
        finally:
            browser.close()
            server.shutdown()


class Site(SimpleHTTPRequestHandler):
    """The folder `static`, and the page."""

    def do_GET(self) -> None:
        if self.path != "/canvas":
            return super().do_GET()
        body = page().encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Security-Policy", "default-src 'self'")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return None

    def log_message(self, *_: Any) -> None:
        """Nothing is said of requests."""


def page() -> str:
    names = json.loads((BUILT / "manifest.json").read_text())
    return PAGE.format(
        site=names["site.css"],
        style=names["canvas.css"],
        script=names["canvas.js"],
        document=json.dumps(wide()),
        catalogue=json.dumps({"kinds": [offered(slug) for slug in OFFERED]}),
    )


def offered(slug: str) -> dict[str, Any]:
    return {"slug": slug, "label": slug, "group": "Logic", "ports": ["done"], **OFFERED[slug]}
