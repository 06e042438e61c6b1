"""Every kind of step and every verb, through the public API only: states, reasons, outputs, what was sent, what was charged.

One real installation (`up` in a folder of its own) with a model server and an effect server outside of it.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.catalogue import step_kinds
from tests.bench.installation import bare_environment
from tests.faults.flows import catalogue
from tests.faults.harness import Site, folder_for_servers
from tests.orchestrator.processes import ROOT, until
from tests.path.kinds import ASKED, BOUNDLESS, CIRCLE, EVERYTHING, FLOWS, FRAGILE, LINE, POLISH
from tests.servers.environments import python_with

pytestmark = pytest.mark.slow

SCOPES = "flows:read,flows:write,runs:read,runs:write,approvals:read,approvals:write,costs:read,admin"
CAST = ("owner", "operator", "approver-3")
ENDED = {"succeeded", "failed", "cancelled", "budget_stopped"}
YAML = {"Content-Type": "application/yaml"}


class Api:
    """What the people of the cast do over HTTP. The operator starts the runs, so what needs somebody else is the owner's."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.clients = {user: site.client(site.manage("apikey", "create", "--user", user, "--scopes", SCOPES)) for user in CAST}
        self.runs: list[str] = []

    def ask(self, method: str, path: str, body: Any = None, *, by: str = "operator", **more: Any) -> httpx.Response:
        return self.clients[by].request(method, path, **({"json": body} if body is not None else {}), **more)

    def get(self, path: str, **params: Any) -> Any:
        answer = self.ask("GET", path, params=params, by="owner")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None, *, by: str = "operator") -> Any:
        answer = self.ask("POST", path, {} if body is None else body, by=by)
        assert answer.is_success, f"{answer.status_code} {answer.text}"
        return answer.json()

    def refused(self, path: str, status: int, slug: str, body: Any = None) -> str:
        """The refusal's words."""
        answer = self.ask("POST", path, {} if body is None else body)
        assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{slug}"), answer.text
        return " ".join([answer.json()["detail"], *(f"{each['place']} {each['message']}" for each in answer.json()["problems"])])

    def save(self, slug: str, document: str, revision: int = 0) -> httpx.Response:
        """The draft, over the one of this revision."""
        headers = YAML | ({"If-Match": f'"{revision}"'} if revision else {})
        return self.ask("PUT", f"/flows/{slug}", by="owner", content=document, headers=headers)

    def publish(self, slug: str, document: str, revision: int = 0) -> None:
        answer = self.save(slug, document, revision)
        assert answer.is_success, answer.text
        self.post(f"/flows/{slug}/publication", by="owner")

    def start(self, slug: str, input: Any = None, **more: Any) -> str:  # noqa: A002 - the word of the document
        run = str(self.post(f"/flows/{slug}/runs", {"input": {} if input is None else input, **more})["id"])
        self.runs.append(run)
        return run

    def run(self, run: str, **params: Any) -> Any:
        return self.get(f"/runs/{run}", **params)

    def reach(self, run: str, state: str, reason: str | None = None) -> Any:
        """The run once it is in this state."""
        found: dict[str, Any] = {}

        def there() -> bool:
            found.update(self.run(run))
            wrong = found["state"] in ENDED and found["state"] != state
            assert not wrong, (found["state"], found["reason"], found["error"])
            return found["state"] == state and reason in (None, found["reason"])

        until(there, 40, f"{run} is {state} {reason}; it is {found.get('state')} {found.get('reason')}")
        return found

    def reach_pass(self, run: str, number: int) -> Any:
        """The run once this pass of it has ended."""
        found: dict[str, Any] = {}

        def there() -> bool:
            found.update(self.run(run))
            return found["pass"] == number and found["state"] in ENDED

        until(there, 40, f"{run} ends in pass {number}")
        return found

    def requests(self, run: str, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """The open requests of this kind, by path."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            items = self.get("/approvals", box="all", limit=200)["items"]
            found[:] = [item for item in items if item["run"] == run and item["kind"] == kind and item["state"] == "pending"]
            return len(found) >= count

        until(there, 40, f"{run} asks {count} times ({kind})")
        assert len(found) == count
        return sorted(found, key=lambda item: str(item["path"]))

    def decide(self, request: dict[str, Any], outcome: str, *, by: str = "owner", payload: Any = None) -> Any:
        body = {"outcome": outcome, "revision": request["revision"], "comment": "Looked at it."}
        decided = self.post(
            f"/approvals/{request['id']}/decisions", body | ({"payload": payload} if payload is not None else {}), by=by
        )
        assert decided["closed"] is True
        return decided

    def all_of(self, path: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            page = self.get(path, limit=100, **({"after": after} if after else {}))
            items += page["items"]
            after = page["next"]
            if after is None:
                return items

    def calls(self, run: str) -> None:
        """Returns once a call of the run is in flight."""
        until(lambda: [call["state"] for call in self.get(f"/runs/{run}/calls")["items"]] == ["started"], 20, "a call")

    def steps(self, run: str, **params: Any) -> dict[str, str]:
        return {step["path"]: step["state"] for step in self.run(run, **params)["steps"]}

    def effects(self, run: str, step: str) -> list[dict[str, Any]]:
        """What the effect server was asked by this step, without look-ups."""
        lines = [line for line in self.site.effects.lines if line["method"] == "POST"]
        return [line for line in lines if (line["body"]["run"], line["body"]["step"]) == (run, step)]


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with folder_for_servers("kinds-") as folder:
        site = Site(folder)
        try:
            site.start()
            document = folder / "catalogue.yaml"
            document.write_text(catalogue(site.models.port, site.effects.port))
            site.manage("catalogue", "apply", str(document))
            api = Api(site)
            api.post("/knowledge", {"slug": "terms"}, by="owner")
            terms = {"source": "terms.txt", "text": "A refund may take ten days."}
            terms = api.post("/knowledge/terms/documents", terms, by="owner")
            until(
                lambda: api.get(f"/knowledge/terms/documents/{terms['id']}")["state"] == "ready", 40, "a document that is indexed"
            )
            for slug, text in FLOWS.items():
                api.publish(slug, text)
            yield api
        finally:
            site.stop()


@pytest.fixture(autouse=True)
def _books_balance(api: Api) -> Iterator[None]:
    """After each test, for every run that it began: events without gaps, one end a pass, a bill that is the sum of its calls."""
    api.runs.clear()
    yield
    for run in api.runs:
        assert_books(api, run)
    assert api.site.violations() == []


def assert_books(api: Api, run: str) -> None:
    shown, events, calls = api.run(run), api.all_of(f"/runs/{run}/events"), api.all_of(f"/runs/{run}/calls")
    assert [event["seq"] for event in events] == [*range(1, len(events) + 1)]
    for number in range(1, shown["pass"] + 1):
        ends = [event for event in events if event["type"] == "run.ended" and event["pass"] == number]
        assert len(ends) == (number < shown["pass"] or shown["state"] in ENDED), (run, number)
    assert sum((Decimal(call["cost"] or 0) for call in calls), Decimal(0)) == Decimal(shown["cost"])
    if all(call["state"] != "unknown" for call in calls):  # else what was reserved stays charged
        assert sum((call["input_tokens"] or 0) + (call["output_tokens"] or 0) for call in calls) == shown["tokens"]
    if shown["state"] in ENDED:
        assert (shown["reserved"], {call["state"] for call in calls} & {"started"}) == ("0", set())


def test_every_kind_in_one_run(api: Api) -> None:
    assert set(re.findall(r"kind: (\w+)", EVERYTHING + POLISH + FRAGILE)) == set(step_kinds())
    effects = api.site.effects
    effects.behaves({"behave": "reset"}, {}, {"behave": "late"}, {"behave": "late"})  # keyed, again; never; lookup, then its find
    at = datetime.now(UTC) + timedelta(seconds=4)
    given = {"items": ["one", "two", "three"], "amount": 60, "at": at.isoformat()}
    run = api.start("everything", given, key="everything-1", tags=["all"])
    same = api.post("/flows/everything/runs", {"input": given, "key": "everything-1"})
    early = api.post(f"/runs/{run}/deliveries", {"event": "go", "payload": {"text": "too long"}, "key": "go-1"})

    api.reach(run, "waiting_approval", "outcome_unknown")
    (unknown,) = api.requests(run, "unknown")
    api.decide(unknown, "happened", payload={"result": {"id": "by hand"}})
    items = api.requests(run, "approval", 2)  # two at a time
    api.decide(items[1], "reject", by="approver-3")
    items = api.requests(run, "approval", 2)
    for item in items:
        api.decide(item, "approve", by="approver-3")
    (refund,) = api.requests(run, "approval")
    api.decide(refund, "approve", by="approver-3", payload={**refund["payload"], "count": 5})
    ended = api.reach(run, "succeeded")

    assert (same["id"], early["taken_by"]) == (run, "")
    assert [item["path"] for item in items] == ["rate[0].ask", "rate[2].ask"]
    assert refund["payload"] == {"run": run, "step": "refund", "count": 7}
    key = effects_key(api, run, "lookup")
    texts = ended["output"].pop("polished")
    assert ended["output"] == {
        "rated": [{"output": "approver-3"}, ended["output"]["rated"][1], {"output": "approver-3"}],
        "mended": {"step": "fragile", "class": "expression"},
        "heard": "nothing",
        "verdict": "fail",
        "little": None,
        "shrug": "expression",
        "happened": {"id": "by hand"},
        "adopted": key,
        "refund": 5,
        "begun": True,
        "embedded": 0,  # its vectors came with the product
        "recalled": {"run": run, "cited": "terms.txt"},
        "nothing": "skipped",
    }
    assert texts["rounds"] == [1, 2]
    assert ended["output"]["rated"][1]["error"]["step"] == "rate[1].refuse"
    steps = api.steps(run)
    assert steps["little"] == "skipped"
    assert {"polish/again[0].draft", "polish/again[1].noted", "rate[2].assess"} <= steps.keys()
    assert steps["fragile/error.tidy"] == "succeeded"
    once = ("never", "lookup", "refund", "fragile/error.tidy", "research.turn[0].call[0]")
    assert {step: len(api.effects(run, step)) for step in ("keyed", *once)} == {"keyed": 2, **dict.fromkeys(once, 1)}
    assert len({line["key"] for line in api.effects(run, "keyed")}) == 1
    assert Decimal(ended["cost"]) > 0


def test_the_official_clients_drive_a_flow_over_the_network(api: Api, tmp_path: Path) -> None:
    """OpenAI's client streams past an approval, and the MCP client waits for one: each is under way while a person decides."""
    python = python_with(ROOT / "requirements-clients.lock", tmp_path)
    api.publish("asked", ASKED)
    key = api.site.manage("apikey", "create", "--user", "operator", "--scopes", "runs:write").strip()
    base = f"http://127.0.0.1:{api.site.port}"

    with client(python, "chat", f"{base}/v1", key, "flow/asked", "Ann") as chat:
        first = next(chat)
        run = str(first["id"]).removeprefix("chatcmpl-")
        approve_what(api, run)
        rest = list(chat)

    assert "".join(each["text"] for each in [first, *rest]) == api.reach(run, "succeeded")["output"]
    assert [first["ended"], rest[-1]["ended"]] == [None, "stop"]

    with client(python, "tool", f"{base}/mcp", key, "asked", '{"message": "Ann"}') as tool:
        assert {"asked", "run_status"} <= {*next(tool)["tools"]}
        while (told := next(tool)) != {"progress": "waiting approval"}:
            assert told.keys() == {"progress"}, told
        (run,) = [each["id"] for each in api.get("/runs", flow="asked", state="waiting_approval")["items"]]
        approve_what(api, run)
        result = list(tool)[-1]

    assert (result["failed"], result["result"]["state"], result["result"]["run"]) == (False, "succeeded", run)


def approve_what(api: Api, run: str) -> None:
    """Decides the one request of the run, and has its books looked at."""
    api.runs.append(run)
    (request,) = api.requests(run, "approval")
    api.decide(request, "approve", by="approver-3")


@contextmanager
def client(python: Path, program: str, *arguments: str) -> Iterator[Iterator[dict[str, Any]]]:
    """One of `tests.clients` at work; gives what it says, line by line, as it says it."""
    command = [str(python), str(ROOT / "tests" / "clients" / f"{program}.py"), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=bare_environment()) as process:
        assert process.stdout is not None
        try:
            yield (json.loads(line) for line in process.stdout)
            assert process.wait(30) == 0
        finally:
            process.kill()


def effects_key(api: Api, run: str, step: str) -> str:
    (line,) = api.effects(run, step)
    return str(line["key"])


def test_a_run_is_cancelled_while_it_waits_and_while_it_calls(api: Api) -> None:
    waiting, busy = api.start("waiting"), api.start("chain", {"delay": 30})
    api.reach(waiting, "waiting")
    api.calls(busy)

    for run in (waiting, busy):
        api.post(f"/runs/{run}/cancellation")
        ended = api.reach(run, "cancelled")
        assert ended["reason"].startswith("cancelled")
    assert "ended" in api.refused(f"/runs/{waiting}/deliveries", 409, "run-ended", {"event": "go"})
    assert "retry" in api.refused(f"/runs/{waiting}/resumption", 409, "run-ended")
    assert [call["state"] for call in api.all_of(f"/runs/{busy}/calls")] == ["unknown"]
    assert api.run(waiting)["state"] == "cancelled"


def test_a_paused_run_rests_is_steered_and_goes_on(api: Api) -> None:
    run = api.start("chain", {"delay": 1})
    api.calls(run)
    api.post(f"/runs/{run}/pause")
    paused = api.reach(run, "waiting", "paused")
    edited = api.post(f"/runs/{run}/steps/last/input", {"input": {"arguments": {"run": run, "step": "last", "count": 41}}})
    api.post(f"/runs/{run}/steps/first/skip", {"output": {"id": "by hand"}, "comment": "Done by hand."})
    api.post(f"/runs/{run}/resumption")
    ended = api.reach(run, "succeeded")

    assert paused["paused"] is True
    assert api.steps(run)["think"] == "succeeded"
    assert edited["kind"] == "input"
    assert ended["output"]["first"] == "by hand"
    assert ended["output"]["last"]["body"]["count"] == 41
    assert (len(api.effects(run, "first")), len(api.effects(run, "last"))) == (0, 1)
    assert [(each["kind"], each["path"]) for each in ended["interventions"]] == [("input", "last"), ("skip", "first")]


def test_a_failed_run_is_retried_from_there_from_a_step_and_with_another_input(api: Api) -> None:
    api.site.effects.behaves({"behave": "400"})
    run = api.start("chain")
    failed = api.reach(run, "failed")
    never = api.refused(f"/runs/{run}/retry", 409, "never-ran", {"from_step": "last"})
    preview = api.get(f"/runs/{run}/retry")
    api.post(f"/runs/{run}/retry", {"pass": 1})
    second = api.reach(run, "succeeded")
    api.post(f"/runs/{run}/retry", {"from_step": "last"})
    assert api.reach_pass(run, 3)["state"] == "succeeded"
    fork = api.post(f"/runs/{run}/retry", {"from_step": "first", "input": {"delay": 0, "more": 1}})
    api.runs.append(fork["id"])
    forked = api.reach(fork["id"], "succeeded")

    assert (failed["reason"], failed["error"]["step"]) == ("bad_request", "first")
    assert "last" in never
    assert (preview["makes"], preview["reused"], [step["path"] for step in preview["again"]]) == ("pass", ["think"], ["first"])
    assert api.steps(run, **{"pass": 1})["error.tell"] == "succeeded"
    assert second["pass"] == 2
    calls = api.all_of(f"/runs/{run}/calls")
    assert [(call["path"], call["pass"]) for call in calls] == [
        ("think", 1),
        ("first", 1),
        ("error.tell", 1),
        ("first", 2),
        ("last", 2),
        ("last", 3),
    ]
    assert len({line["key"] for line in api.effects(run, "first")}) == 1  # what failed is tried again under its key
    assert len({line["key"] for line in api.effects(run, "last")}) == 2  # what succeeded is done again on purpose
    assert [(each["number"], each["redone"]) for each in api.run(run)["passes"]] == [(2, ["error"]), (3, ["last"])]
    assert forked["origin"] == {"run": run, "from_step": "first"}
    assert [call["path"] for call in api.all_of(f"/runs/{fork['id']}/calls")] == ["first", "last"]


def test_many_failed_runs_are_retried_at_once(api: Api) -> None:
    api.site.effects.behaves({"behave": "400"}, {}, {"behave": "400"}, {})
    first = api.start("chain", tags=["many"])
    api.reach(first, "failed")
    second = api.start("chain", tags=["many"])
    api.reach(second, "failed")
    done = api.start("chain", tags=["many"])
    api.reach(done, "succeeded")

    preview = api.post("/runs/bulk", {"verb": "retry", "filter": {"tag": ["many"]}, "preview": True})
    acted = api.post("/runs/bulk", {"verb": "retry", "filter": {"tag": ["many"]}})

    for answer in (preview, acted):
        assert {item["run"]: item["problem"] for item in answer["items"]} == {first: None, second: None, done: "nothing-failed"}
    for run in (first, second):
        assert api.reach_pass(run, 2)["state"] == "succeeded"


def test_limits_ask_stop_and_are_raised(api: Api) -> None:
    """Each call of the flow costs a dollar."""
    asked = api.start("dear", limits={"cost": "1.00"})
    paused = api.reach(asked, "waiting_approval", "budget")
    (question,) = api.requests(asked, "budget")
    api.decide(question, "raise", payload={"limit": "2.00"})
    raised = api.reach(asked, "succeeded")

    stopped = api.start("dear", limits={"cost": "1.00", "at_limit": "stop"})
    over = api.reach(stopped, "budget_stopped", "cost")
    low = api.refused(f"/runs/{stopped}/limits", 422, "invalid", {"cost": "1.00"})
    api.post(f"/runs/{stopped}/limits", {"cost": "2.00", "reason": "Worth it."})
    again = api.reach_pass(stopped, 2)

    refused = api.start("dear", limits={"cost": "1.00"})
    (question,) = api.requests(refused, "budget")
    api.decide(question, "stop")
    ended = api.reach(refused, "budget_stopped")

    finished = api.start("dear", limits={"cost": "1.00", "at_limit": "finish"})
    limited = api.reach(finished, "succeeded", "limited")

    assert (paused["cost"], paused["reserved"], raised["cost"], raised["output"]) == ("1", "0", "2", "x")
    assert (over["cost"], again["state"], again["cost"], ended["cost"]) == ("1", "succeeded", "2", "1")
    assert "cost" in low
    assert (limited["output"], limited["cost"]) == (None, "1")


def test_a_call_of_unknown_outcome_is_repeated_or_fails_as_people_say(api: Api) -> None:
    api.site.effects.behaves({"behave": "late"})
    repeated = api.start("never")
    (question,) = api.requests(repeated, "unknown")
    api.decide(question, "repeat")
    api.reach(repeated, "succeeded")

    api.site.effects.behaves({"behave": "late"})
    failing = api.start("never")
    (question,) = api.requests(failing, "unknown")
    api.decide(question, "fail")
    failed = api.reach(failing, "failed", "unknown_outcome")

    assert (len(api.effects(repeated, "once")), len(api.effects(failing, "once"))) == (2, 1)
    assert failed["error"]["step"] == "once"
    assert [call["state"] for call in api.all_of(f"/runs/{repeated}/calls")] == ["unknown", "succeeded"]


def test_the_kill_switch_stops_every_effect_until_it_is_released(api: Api) -> None:
    switch = api.post("/killswitch", {"on": True, "reason": "A drill."}, by="owner")
    try:
        run = api.start("chain")
        stopped = api.reach(run, "waiting", "kill_switch")
        calls = api.all_of(f"/runs/{run}/calls")
    finally:
        api.post("/killswitch", {"on": False}, by="owner")
    api.reach(run, "succeeded")

    assert (switch["on"], switch["by"], calls, stopped["cost"]) == (True, "owner", [], "0")
    assert api.ask("POST", "/killswitch", {"on": True, "reason": "x"}).status_code == 403


def test_bad_input_is_a_clear_error_and_leaves_the_run_unharmed(api: Api) -> None:
    boundless = api.save("boundless", BOUNDLESS)
    api.publish("circle", LINE)
    api.publish("circle", CIRCLE, 1)
    circle = api.save("circle", CIRCLE.replace(", version: 1", ""), 2)
    no_list = api.start("over", {"list": "a, b"})
    over = api.reach(no_list, "failed")
    done = api.start("over", {"list": [1, 2]})
    before = api.reach(done, "succeeded")

    assert boundless.status_code == 422
    assert any("max" in each["place"] or "max" in each["message"] for each in boundless.json()["problems"]), boundless.text
    assert circle.status_code == 422, circle.text
    assert "the flow would run itself" in circle.text
    assert (over["reason"], over["error"]["step"]) == ("expression", "each")
    assert "`over` of each is no list but str" in over["error"]["message"]
    assert "each[9].x" in api.refused(f"/runs/{done}/retry", 409, "never-ran", {"from_step": "each[9].x"})
    assert "nothing" in api.refused(f"/runs/{done}/retry", 409, "never-ran", {"from_step": "nothing"})
    api.refused(f"/runs/{done}/retry", 409, "nothing-failed")
    api.refused(f"/runs/{done}/resumption", 409, "run-ended")
    api.refused(f"/runs/{done}/deliveries", 409, "run-ended", {"event": "go"})
    api.refused(f"/runs/{done}/cancellation", 409, "run-ended")
    api.refused(f"/runs/{done}/pause", 409, "run-ended")
    api.refused(f"/runs/{done}/limits", 422, "invalid", {})
    api.refused(f"/runs/{done}/steps/each/skip", 409, "run-ended")
    api.refused(f"/runs/{done}/steps/each/input", 422, "invalid", {"input": {"nothing": 1}})
    assert api.run(done) == before
