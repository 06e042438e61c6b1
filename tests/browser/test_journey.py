"""The whole path by people in a browser: ``manage.py up`` as a newcomer starts it, a document uploaded, a run watched, a decision on
a phone, and the bill to its last digit."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from html import unescape
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from playwright.sync_api import Locator, expect

from orchestrator.supervisor.children import answers
from tests.bench.installation import bare_environment, free_port
from tests.faults.harness import folder_for_servers
from tests.orchestrator.processes import ROOT, end, until
from tests.tour import screenshots, walk

LICENSE = ROOT / "LICENSE"
CLAUSES = sum(len(part.strip()) > 40 for part in LICENSE.read_text(encoding="utf-8").split("\n\n"))
LAST = f"rate[{CLAUSES - 1}].assess"  # of the map's items the one that begins last


@dataclass
class House:
    """An installation of its own with the demonstration, and the sign-ins that it told."""

    folder: Path
    port: int = field(default_factory=free_port)
    running: ExitStack = field(default_factory=ExitStack)
    process: psutil.Process = field(init=False)
    options: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def said(self) -> str:
        return (self.folder / "said").read_text(encoding="utf-8", errors="replace")

    @property
    def passwords(self) -> dict[str, str]:
        return dict(walk.SIGN_IN.findall(self.said))

    def spoken_to(self) -> set[str]:
        """The addresses to which a process of the house has a connection now."""
        addresses = set[str]()
        for process in (self.process, *self.process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):  # it has just ended
                addresses |= {each.raddr.ip for each in process.net_connections("inet") if each.raddr}
        return addresses

    def start(self) -> None:
        command = [sys.executable, "manage.py", "up", "--port", str(self.port), "--engines", "2", *self.options]
        environment = bare_environment(ORCHESTRATOR_DATA=str(self.folder / "data"))
        said = self.running.enter_context((self.folder / "said").open("wb"))
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=said, text=True)
        self.running.callback(end, process)
        self.process = psutil.Process(process.pid)
        until(lambda: process.poll() is not None or "Ctrl-C stops it" in self.said, 90, "the first page")
        assert answers(self.port, "/healthz"), self.said


@contextmanager
def a_house(*options: str) -> Iterator[House]:
    """A house of its own, started with these options of `up`."""
    with folder_for_servers("journey-") as folder:
        home = House(folder, options=options)
        with home.running:
            home.start()
            yield home


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with a_house() as home:
        yield home


def remember(page: Any) -> None:
    """Marks the document, so that a load in its place is found out."""
    page.evaluate("() => { window.sameDocument = true }")


def is_same(page: Any) -> bool:
    return bool(page.evaluate("() => window.sameDocument === true"))


def amount(place: Locator) -> Decimal:
    """The one exact figure in a place."""
    text = place.locator("[data-money]").first.get_attribute("data-money")
    assert text
    return Decimal(text)


@pytest.mark.slow
def test_FST_1_and_2_the_first_five_minutes_in_one_visit_and_nothing_leaves_the_host(
    house: House, visit: Callable[..., Any]
) -> None:
    """Each of the five things by its link of the list, which ticks it by what is there."""
    operator, approver, builder = visits = [visit() for _ in range(3)]
    asked = set[str]()
    for each, name in zip(visits, ("operator", "approver-1", "builder"), strict=True):
        each.site = house
        each.context.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
        walk.sign_in(each.page, house.url, name, house.passwords[name])
    operator.is_accessible()
    spoken_to = house.spoken_to()
    walk.start(operator.page)
    walk.watch(operator.page)
    spoken_to |= house.spoken_to()
    approver.page.reload()
    walk.approve(approver.page)
    walk.finished(operator.page)
    walk.receipt(operator.page, house.url)
    walk.ticked(operator.page, house.url, 4)
    walk.change_and_publish(builder.page, house.url)
    walk.compare(builder.page, house.url)
    walk.ticked(builder.page, house.url, 4)  # the receipt was opened in the operator's browser
    spoken_to |= house.spoken_to()
    assert asked == {f"127.0.0.1:{house.port}"}
    assert [address for address in spoken_to if not ip_address(address).is_loopback] == []
    for each in visits:
        each.is_quiet()


@pytest.mark.slow
def test_the_pictures_of_the_readme_can_be_taken_again(house: House, browser: Any, tmp_path: Path) -> None:
    sizes = screenshots.pictures_of(browser, house.url, house.passwords, tmp_path)

    assert {file.stem for file in tmp_path.iterdir()} == {file.stem for file in screenshots.FOLDER.glob("*.png")}
    assert max(sizes) <= screenshots.LARGEST


@pytest.mark.slow
def test_from_the_first_page_to_the_receipt(house: House, visit: Callable[..., Any]) -> None:
    operator = visit()
    operator.site = house
    upload_and_start(operator, house.passwords["operator"])
    run = operator.path.partition("?")[0]
    watch(operator)

    approver = visit(phone=True)
    approver.site = house
    number = operator.page.get_by_role("heading", level=1).inner_text().split("#")[1].split()[0]
    decide_on_a_phone(approver, house.passwords["approver-3"], number)

    expect(operator.see("run-head")).to_have_attribute("data-state", "succeeded")
    expect(operator.see("step-row").and_(operator.page.locator("[data-path=post]"))).to_have_attribute("data-state", "succeeded")
    assert is_same(operator.page), "it became live without a load"
    operator.is_accessible()
    pay(operator, run)
    operator.is_quiet()
    approver.is_quiet()


def upload_and_start(operator: Any, password: str) -> None:
    """From the door to the run's page, through what a newcomer would press."""
    page = operator.page
    operator.go("/")
    operator.is_accessible()
    page.get_by_label("Username").fill("operator")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("operator", ignore_case=True)
    page.get_by_role("link", name="Flows", exact=True).first.click()
    expect(operator.see("flow-row").first).to_be_visible()
    operator.is_accessible()
    page.get_by_role("link", name="Contract check", exact=True).click()
    expect(page.get_by_role("heading", name="Contract check")).to_be_visible()
    operator.is_accessible()
    operator.see("run").click()

    form = operator.see("run-form")
    form.get_by_label("Title").fill("Licence [[sim: rate=12]]")  # the simulated model is told to write as slowly as people read
    form.locator("input[type=file]").set_input_files(LICENSE)
    operator.is_accessible()
    operator.see("start").click()
    page.wait_for_url("**/runs/run_*")


def watch(operator: Any) -> None:
    """Steps turn, and text streams, on a page that was loaded once."""
    page = operator.page
    expect(operator.see("live")).to_have_attribute("data-status", "live")
    rate = page.locator("[data-testid=step-row][data-path=rate]")
    remember(page)
    expect(rate).to_have_attribute("data-state", "running")
    assert is_same(page)

    operator.go(f"{operator.path.partition('?')[0]}?step={LAST}")
    remember(page)
    expect(operator.see("not-begun")).to_be_visible()
    stream = operator.see("stream")
    expect(stream).to_contain_text("{", timeout=60_000)
    early = stream.inner_text()
    expect(stream).not_to_have_text(early)
    assert stream.inner_text().startswith(early)
    expect(operator.see("call")).to_have_attribute("data-state", "succeeded")
    expect(stream).to_have_count(0)
    expect(rate).to_have_attribute("data-state", "succeeded")
    expect(operator.see("run-head")).to_have_attribute("data-state", "waiting_approval")
    expect(operator.see("open-request")).to_be_visible()
    assert is_same(page), "it became live without a load"
    operator.is_accessible()


def decide_on_a_phone(approver: Any, password: str, number: str) -> None:
    page = approver.page
    approver.go("/approvals")
    page.get_by_label("Username").fill("approver-3")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    row = approver.see("approval-row").filter(has_text=f"#{number}")
    expect(row).to_have_count(1)
    expect(approver.see("approvals-badge").first).to_be_visible()
    approver.fits()
    approver.is_accessible()

    row.get_by_role("link").click()
    expect(approver.see("argument").first).to_be_visible()
    expect(approver.see("approval")).to_have_attribute("data-state", "pending")
    approver.fits()
    approver.is_accessible()

    walk.decide(page)
    approver.fits()
    approver.is_accessible()


def pay(operator: Any, run: str) -> None:
    """The receipt of the dearest call multiplies exactly; those of all calls sum to the run's figure exactly."""
    page = operator.page
    cost = amount(operator.see("run-head").get_by_test_id("run-cost"))
    assert cost > 0
    page.get_by_role("link", name="Cost", exact=True).click()
    expect(operator.see("call-row").first).to_be_visible()
    operator.is_accessible()
    assert amount(operator.see("cost-total")) == cost
    receipts = operator.see("call-row").locator("td.lead a").evaluate_all("links => links.map(link => link.pathname)")
    assert len(receipts) == CLAUSES + 1

    operator.see("call-row").first.get_by_role("link").click()
    expect(operator.see("receipt")).to_be_visible()
    operator.is_accessible()
    total = Decimal(0)
    for line in operator.see("receipt-line").all():
        tokens = int(line.locator("[data-tokens]").get_attribute("data-tokens") or "")
        price = Decimal(line.locator("[data-price]").get_attribute("data-price") or "")
        assert tokens * price / 1_000_000 == amount(line)
        total += amount(line)
    assert total == amount(operator.see("receipt-total")) == amount(operator.see("charged"))
    charged = [charge(operator, path) for path in receipts]
    assert charged[0] == total == max(charged)
    assert sum(charged) == cost
    assert run in (page.locator("a").evaluate_all("links => links.map(link => link.pathname)"))


def charge(operator: Any, receipt: str) -> Decimal:
    """What a receipt says was charged; a tool's has no price."""
    answer = operator.context.request.get(operator.site.url + receipt)
    assert answer.ok, answer.status
    found = re.search(r'data-testid="charged"[^>]*>(.*?)</dd>', unescape(answer.text()), re.DOTALL)
    assert found is not None
    figure = re.search(r'data-money="([\d.]+)"', found[1])
    return Decimal(figure[1]) if figure is not None else Decimal(0)
