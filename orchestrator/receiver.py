"""The demonstration's outside world: a small real HTTP server on loopback that takes refunds, mails, reports and letters.

``POST /refunds``, ``/mail``, ``/reports``, ``/letters`` take a JSON object and answer ``201`` with it and an ``id``. An ``Idempotency-Key``
is honoured: the same key with the same body gives the first answer again and applies nothing; with another body, 409. ``GET /``
lists what was taken, ``GET /healthz`` answers ok. A body that says ``[[receiver: fail=503]]`` anywhere is answered with that status
and not taken, so that a service can be seen to fail; one that says ``[[receiver: hang up]]`` is taken, and the line is cut in the
middle of the answer, so that nobody can know. Everything taken is appended to ``receiver.jsonl`` in the data folder before
it is answered, and read back at the start, so that a key is honoured across restarts.
"""

import argparse
import json
import os
import re
import threading
import uuid
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import uvicorn

KINDS = {"refunds": "refund", "mail": "mail", "reports": "report", "letters": "letter"}
LARGEST_BODY = 1024 * 1024
FAILS = re.compile(rb"\[\[receiver: fail=(429|50[0-4])\]\]")
HANGS_UP = b"[[receiver: hang up]]"
Answer = tuple[HTTPStatus, Any]


@dataclass
class Receiver:
    """What was taken, in order, and the answer that each idempotency key got."""

    file: Path
    taken: list[dict[str, Any]] = field(default_factory=list)
    by_key: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def load(self) -> None:
        """Reads what earlier processes took; a last line that a crash cut off is dropped, for it was never answered."""
        try:
            lines = self.file.read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return
        whole = 0
        for line in lines:
            try:
                self._remember(json.loads(line))
            except ValueError:
                break
            whole += len(line)
        with self.file.open("r+b") as stream:
            stream.truncate(whole)

    def take(self, path: str, body: Any, key: str | None) -> Answer:
        """Applies one request; with a key, once."""
        if not isinstance(body, dict):
            return HTTPStatus.BAD_REQUEST, {"error": "The body must be a JSON object."}
        with self.lock:
            earlier = self.by_key.get((path, key)) if key else None
            if earlier and earlier["body"] != body:
                return HTTPStatus.CONFLICT, {"error": "This Idempotency-Key was used with another body.", "id": earlier["id"]}
            if not earlier:
                earlier = {"id": f"{KINDS[path]}_{uuid.uuid4().hex[:12]}", "to": path, "key": key, "body": body}
                with self.file.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(earlier, ensure_ascii=False) + "\n")
                self._remember(earlier)
        return HTTPStatus.CREATED, {**earlier["body"], "id": earlier["id"]}

    def _remember(self, entry: dict[str, Any]) -> None:
        self.taken.append(entry)
        if entry["key"]:
            self.by_key[entry["to"], entry["key"]] = entry


class Application:
    """The ASGI face of a `Receiver`."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = await read_body(receive)
        status, content = self.answer(scope["method"], scope["path"].strip("/"), body, scope["headers"])
        data = json.dumps(content, ensure_ascii=False).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
        await send({"type": "http.response.start", "status": int(status), "headers": headers})
        if body and HANGS_UP in body:
            await send({"type": "http.response.body", "body": data[:1], "more_body": True})
            return  # what was promised does not come: the server closes the connection
        await send({"type": "http.response.body", "body": data})

    def answer(self, method: str, path: str, body: bytes | None, headers: list[tuple[bytes, bytes]]) -> Answer:
        if method == "GET" and path == "healthz":
            return HTTPStatus.OK, {"state": "ok"}
        if method == "GET" and path == "":
            return HTTPStatus.OK, {"items": self.receiver.taken}
        if path not in KINDS:
            return HTTPStatus.NOT_FOUND, {"error": f"Known addresses: {', '.join(f'/{name}' for name in KINDS)}."}
        if method != "POST":
            return HTTPStatus.METHOD_NOT_ALLOWED, {"error": "Use POST."}
        if body is None:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": f"A body holds at most {LARGEST_BODY} bytes."}
        if wanted := FAILS.search(body):
            return HTTPStatus(int(wanted[1])), {"error": "It was told to fail."}
        try:
            content = json.loads(body)
        except ValueError as error:
            return HTTPStatus.BAD_REQUEST, {"error": f"The body is not JSON: {error}."}
        key = next((value.decode("latin-1") for name, value in headers if name == b"idempotency-key"), None)
        return self.receiver.take(path, content, key)


async def read_body(receive: Any) -> bytes | None:
    """The whole body; None if it is larger than allowed (the rest is read and dropped)."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size <= LARGEST_BODY:
            parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts) if size <= LARGEST_BODY else None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m orchestrator.receiver", description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--port", type=int, help="a port on loopback")
    where.add_argument("--fd", type=int, help="a listening socket that was inherited")
    arguments = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings")
    from django.conf import settings

    receiver = Receiver(settings.DATA_DIR / "receiver.jsonl")
    receiver.load()
    place = {"fd": arguments.fd} if arguments.fd is not None else {"host": "127.0.0.1", "port": arguments.port}
    # That it hangs up in the middle of an answer, as it is told to, would be an error of each start's demonstration on the terminal.
    uvicorn.run(Application(receiver), lifespan="off", log_level="critical", access_log=False, **place)


if __name__ == "__main__":
    main()
