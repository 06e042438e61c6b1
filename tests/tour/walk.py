"""The first five minutes by hand, each step by its link of the list on the first page."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from playwright.sync_api import Page, expect

FILLED = 180_000  # milliseconds within which the demonstration has come
SIGN_IN = re.compile(r"sign in as (\S+)\s+with (\S+)")
"""What `manage.py up` prints of each account."""

FLOW = "refund_decision"


def sign_in(page: Page, url: str, username: str, password: str) -> None:
    page.goto(f"{url}/login")
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_test_id("first-item")).to_have_count(5, timeout=FILLED)


def follow(page: Page, number: int) -> None:
    """By the link of the list's item of this number."""
    page.get_by_test_id("first-item").nth(number - 1).get_by_role("link").click()
    page.wait_for_url(lambda url: urlsplit(url).path != "/")


def start(page: Page) -> None:
    """The filled form is sent; the run's page comes."""
    follow(page, 1)
    page.get_by_test_id("start").click()
    page.wait_for_url("**/runs/run_*")


def watch(page: Page) -> None:
    """Its page changes by itself until the run stops for a person."""
    expect(page.get_by_test_id("run-head")).to_have_attribute("data-state", "waiting_approval")


def approve(page: Page) -> None:
    follow(page, 3)
    decide(page)


def decide(page: Page) -> None:
    """Approves what is open; the inbox goes on to the next request, and the one that was decided says by whom."""
    address = page.url
    page.get_by_test_id("approve").click()
    expect(page.get_by_role("status").filter(has_text="pproved").or_(page.get_by_test_id("decided-text")).first).to_be_visible()
    page.goto(address)
    expect(page.get_by_test_id("decided-text")).to_contain_text("Approved by")


def finished(page: Page) -> None:
    """The run's own page shows that it went on, without a load."""
    expect(page.get_by_test_id("run-head")).to_have_attribute("data-state", "succeeded")


def receipt(page: Page, url: str) -> None:
    """What the dearest call cost, token by token."""
    page.goto(f"{url}/")
    follow(page, 4)
    expect(page.get_by_test_id("receipt")).to_be_visible()
    expect(page.get_by_test_id("receipt-line").first).to_be_visible()


def change_and_publish(page: Page, url: str) -> None:
    """Another prompt, tried on one message, and a version with it."""
    follow(page, 5)
    expect(page.locator("#builder[data-ready]")).to_be_attached()
    prompt = page.locator('#inspector [data-field="/with/prompt"] .cm-content')
    prompt.click()
    page.keyboard.press("Control+End")
    page.keyboard.type(" It is a customer's.")
    expect(page.get_by_test_id("saved")).to_have_attribute("data-state", "saved")
    page.locator("#test-form [name=input-message]").fill("I was charged twice and want a refund.")
    page.locator("#test-form [name=input-amount]").fill("12")
    page.locator("#test-extents button").first.click()
    expect(page.locator("#test-result [data-testid=test-step]").first).to_be_visible()
    page.goto(f"{url}/flows/{FLOW}/publication")
    page.get_by_label("What is new").fill("Say whose message it is")
    read = page.get_by_label("I have read")
    if read.count():
        read.check()
    page.get_by_test_id("publish-now").click()
    expect(page).not_to_have_url(re.compile("publication"))


def compare(page: Page, url: str) -> None:
    page.goto(f"{url}/")
    follow(page, 5)
    expect(page).to_have_url(re.compile("compare"))


def ticked(page: Page, url: str, count: int) -> None:
    """So many of the five are done by what is there."""
    page.goto(f"{url}/")
    expect(page.locator('[data-testid=first-item][data-done="yes"]')).to_have_count(count)
