"""The README's pictures: pages of the demonstration in Chromium, small enough to be kept beside the code."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.bench.installation import bare_environment, free_port, started
from tests.browser.chromium import ARGS, CHROMIUM
from tests.tour import walk
from tests.tour.minutes import passwords_of

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "pictures"
SIZE = {"width": 1280, "height": 800}
LARGEST = 150_000  # bytes
PAGES = (
    ("home", "operator", "/", None),
    ("builder", "builder", "/flows/refund_decision/edit", "#builder[data-ready]"),
    ("run", "operator", "/go/1842", "[data-testid=run-head]"),
    ("approval", "approver-1", "/approvals", "[data-testid=approval]"),
    ("costs", "owner", "/costs?by=model", None),
)
"""Name of the file, who looks, address, and what must be there. The list of requests leads on to that of run #1851."""


def take_screenshots() -> int:
    """The exit code: 1 where a picture became too large."""
    FOLDER.mkdir(exist_ok=True)
    port = free_port()
    expect.set_options(timeout=60_000)
    with tempfile.TemporaryDirectory(prefix="screenshots-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        command = ["make", "-C", str(ROOT), "run", f"ARGS=--port {port}"]
        with started(command, port, folder, bare_environment(ORCHESTRATOR_DATA=str(folder / "data"))):
            passwords, url = passwords_of(folder / "bench-said"), f"http://127.0.0.1:{port}"
            with sync_playwright() as playwright:
                chromium = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=ARGS)
                sizes = pictures_of(chromium, url, passwords, FOLDER)
                chromium.close()
    return 1 if max(sizes) > LARGEST else 0


def pictures_of(chromium: Browser, url: str, passwords: Mapping[str, str], folder: Path) -> list[int]:
    """Takes each picture, of an installation that has the demonstration; gives their sizes in bytes."""
    sizes = []
    for file, who, address, there in PAGES:
        page = chromium.new_context(viewport=SIZE, reduced_motion="reduce", timezone_id="UTC").new_page()
        walk.sign_in(page, url, who, passwords[who])
        sizes.append(_picture(page, f"{url}{address}", there, folder / f"{file}.png"))
        page.context.close()
    return sizes


def _picture(page: Page, address: str, there: str | None, file: Path) -> int:
    page.goto(address)
    if address.endswith("/approvals"):
        page.get_by_test_id("approval-row").filter(has_text="#1851").get_by_role("link").click()
    if there is not None:
        expect(page.locator(there)).to_be_attached()
    page.wait_for_load_state("networkidle")
    page.screenshot(path=file)
    size = file.stat().st_size
    print(f"{size / 1000:7.1f} kB  {file.name}", flush=True)
    return size
