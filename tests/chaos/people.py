"""People who use the installation through the API as programs do, whatever breaks meanwhile: one decides what runs ask, and looks at
the service before saying what became of a call; one pauses runs, lets them go on, and retries those that failed."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx

from tests.faults.harness import Site


@contextmanager
def deciding(site: Site) -> Iterator[None]:
    """While the block runs, every open request is answered soon after it was asked."""
    with _busy(lambda: [_decide_all(site, user) for user in ("approver-3", "operator")], 0.1):
        yield


@contextmanager
def meddling(site: Site, chance: random.Random) -> Iterator[None]:
    """While the block runs, runs are paused and go on, and those that failed are retried, once each."""
    with _busy(lambda: _meddle(site.api("operator"), chance), 0.3):
        yield


@contextmanager
def resuming(site: Site) -> Iterator[None]:
    """While the block runs, what is paused is let go on."""
    with _busy(lambda: _resume_all(site.api("operator")), 0.5):
        yield


@contextmanager
def _busy(work: Callable[[], Any], every: float) -> Iterator[None]:
    """Does this again and again, in a thread, every so many seconds; what does not come through is tried again."""
    stop = threading.Event()

    def live() -> None:
        while not stop.wait(every):
            with suppress(httpx.HTTPError, ValueError):
                work()

    person = threading.Thread(target=live, daemon=True)
    person.start()
    try:
        yield
    finally:
        stop.set()
        person.join(30)


def _decide_all(site: Site, user: str) -> None:
    api = site.api(user)
    answer = api.get("/approvals", params={"box": "mine", "limit": 50})
    for request in answer.json()["items"] if answer.is_success else ():
        decision = _truth(site, request) if request["kind"] == "unknown" else {"outcome": "approve"}
        api.post(f"/approvals/{request['id']}/decisions", json={**decision, "revision": request["revision"]})


def _truth(site: Site, request: dict[str, Any]) -> dict[str, Any]:
    """What became of a call, by the service's own journal: its worker is dead for a lease, so nothing is on its way any more."""
    arguments = request["payload"]["arguments"]
    happened = [line for line in site.effects.lines if line["method"] == "POST" and line["body"] == arguments]
    if happened:
        return {"outcome": "happened", "payload": {"result": {"id": f"effect_{happened[0]['n']}", "body": arguments}}}
    return {"outcome": "repeat"}


def _meddle(api: httpx.Client, chance: random.Random) -> None:
    going = _runs(api, "running,waiting_approval")
    if going and chance.random() < 0.5:
        api.post(f"/runs/{chance.choice(going)['id']}/pause")
    if chance.random() < 0.5:
        _resume_all(api)
    failed = [run for run in _runs(api, "failed") if run["pass"] == 1]
    if failed:
        api.post(f"/runs/{chance.choice(failed)['id']}/retry", json={"pass": 1})


def _resume_all(api: httpx.Client) -> None:
    for run in _runs(api, "waiting,running,queued"):
        if run["paused"]:
            api.post(f"/runs/{run['id']}/resumption")


def _runs(api: httpx.Client, states: str) -> list[dict[str, Any]]:
    answer = api.get("/runs", params={"state": states, "limit": 200})
    return list(answer.json()["items"]) if answer.is_success else []
