"""From ``make run`` on an empty clone to a finished, approved, cost-explained run, timed step by step; more than five minutes fail."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from tests.bench.installation import bare_environment, free_port, started
from tests.browser.chromium import ARGS, CHROMIUM
from tests.tour import walk

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 300.0  # seconds
PATIENCE = 60_000  # milliseconds of one look


class Watch:
    """Tells each step with its seconds."""

    def __init__(self) -> None:
        self.began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @contextmanager
    def step(self, words: str) -> Iterator[None]:
        before = self.seconds
        yield
        print(f"{self.seconds - before:7.1f} s  {words}", flush=True)


def first_minutes() -> int:
    """The exit code: 0 within the limit."""
    folder = Path(tempfile.mkdtemp(prefix="first-minutes-"))
    folder.chmod(0o711)
    clone, port = folder / "clone", free_port()
    try:
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        watch = Watch()
        with started(["make", "run", f"ARGS=--port {port}"], port, clone, bare_environment()):
            print(f"{watch.seconds:7.1f} s  make run, until the first page answers", flush=True)
            passwords = passwords_of(clone / "bench-said")
            _walk(watch, f"http://127.0.0.1:{port}", passwords)
        print(f"{watch.seconds:7.1f} s  together with stopping it; at most {LIMIT:g} s")
        return 0 if watch.seconds <= LIMIT else 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def passwords_of(said: Path) -> dict[str, str]:
    """What `up` printed of the accounts, once it has; `said` is where its words go."""
    deadline = time.monotonic() + PATIENCE / 1000
    while "Ctrl-C stops it" not in (text := said.read_text(errors="replace")):
        if time.monotonic() > deadline:
            raise TimeoutError(text[-2000:])
        time.sleep(0.1)
    return dict(walk.SIGN_IN.findall(text))


def _walk(watch: Watch, url: str, passwords: dict[str, str]) -> None:
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=ARGS)
        operator, approver, builder = (chromium.new_context().new_page() for _ in range(3))
        with watch.step("sign in as operator; the list of five things is there"):
            walk.sign_in(operator, url, "operator", passwords["operator"])
        with watch.step("1  run Refund decision"):
            walk.start(operator)
        with watch.step("2  watch it stream, until it stops for a person"):
            walk.watch(operator)
        with watch.step("   sign in as approver-1 in another window"):
            walk.sign_in(approver, url, "approver-1", passwords["approver-1"])
        with watch.step("3  approve its request"):
            walk.approve(approver)
        with watch.step("   the run's page shows that it is finished"):
            walk.finished(operator)
        with watch.step("4  open the receipt of its dearest call"):
            walk.receipt(operator, url)
        explained = watch.seconds
        print(f"{explained:7.1f} s  from nothing to a finished, approved and explained run", flush=True)
        with watch.step("   sign in as builder"):
            walk.sign_in(builder, url, "builder", passwords["builder"])
        with watch.step("5  change the prompt and publish it"):
            walk.change_and_publish(builder, url)
        with watch.step("   compare the versions"):
            walk.compare(builder, url)
        walk.ticked(builder, url, 4)  # the receipt was opened in the operator's browser
        chromium.close()
