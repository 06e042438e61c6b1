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
    api = site.api("approver-3")
    while not stop.wait(0.1):
        with suppress(httpx.HTTPError, ValueError):
            answer = api.get("/approvals", params={"box": "mine", "limit": 50})
            for request in answer.json()["items"] if answer.is_success else ():
                body = {"outcome": "approve", "revision": request["revision"]}
                api.post(f"/approvals/{request['id']}/decisions", json=body)
