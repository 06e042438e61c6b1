"""Somebody who decides what runs ask, through the API as people's programs do, whatever breaks meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx

from tests.faults.harness import Site


@contextmanager
def deciding(site: Site) -> Iterator[None]:
    """While the block runs, every open request is answered soon after it was asked."""
    stop = threading.Event()
    person = threading.Thread(target=_decide, args=(site, stop), daemon=True)
    person.start()
    try:
        yield
    finally:
        stop.set()
        person.join(30)


def _decide(site: Site, stop: threading.Event) -> None:
    while not stop.wait(0.1):
        for user in ("approver-3", "owner"):
            with suppress(httpx.HTTPError, ValueError):
                _decide_all(site.api(user))


def _decide_all(api: httpx.Client) -> None:
    answer = api.get("/approvals", params={"box": "mine", "limit": 50})
    for request in answer.json()["items"] if answer.is_success else ():
        outcome = "fail" if request["kind"] == "unknown" else "approve"  # nobody here looks at the service
        api.post(f"/approvals/{request['id']}/decisions", json={"outcome": outcome, "revision": request["revision"]})
