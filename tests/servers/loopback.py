"""A small HTTP/1.1 server on loopback whose handlers may misbehave at the level of the socket: reset, hang, drip, cut.

Runs in a thread of the test (`with running(Server()) as server`) or as a process of its own (`python -m tests.servers.…`), which
prints its port. Everything that it was asked is appended to a journal, fsynced before it is answered.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import struct
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

REASONS = {
    200: "OK",
    201: "Created",
    301: "Moved",
    302: "Found",
    307: "Temporary Redirect",
    400: "Bad Request",
    401: "Unauthorized",
}


@dataclass
class Asked:
    """One request."""

    number: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None


@dataclass
class Connection:
    """The answering side of one connection."""

    writer: asyncio.StreamWriter
    chunked: bool = False

    async def head(self, status: int, headers: dict[str, str], *, chunked: bool = False, close: bool = False) -> None:
        self.chunked = chunked
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if chunked:
            lines.append("Transfer-Encoding: chunked")
        if close:
            lines.append("Connection: close")
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())

    async def part(self, data: bytes) -> None:
        self.writer.write(b"%x\r\n%b\r\n" % (len(data), data) if self.chunked else data)
        await self.writer.drain()

    async def end(self) -> None:
        if self.chunked:
            self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    async def answer(self, status: int, body: bytes | Any, headers: dict[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Content-Type": "application/json", **(headers or {})}
        await self.head(status, {**given, "Content-Length": str(len(data))})
        await self.part(data)

    def reset(self) -> None:
        """Ends the connection with RST, as a crashed service does."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def cut(self) -> None:
        """Ends the connection in the middle."""
        self.writer.close()


@dataclass
class Server:
    """Base: subclasses answer in `handle`. `program` is a queue of behaviours, one for each coming request."""

    journal: Path | None = None
    program: deque[dict[str, Any]] = field(default_factory=deque)
    asked: list[dict[str, Any]] = field(default_factory=list)
    port: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    connections: int = 0

    async def handle(self, asked: Asked, connection: Connection, behave: dict[str, Any]) -> None:
        raise NotImplementedError

    def noted(self, asked: Asked) -> dict[str, Any]:
        """What the journal says of a request."""
        return {
            "n": asked.number,
            "method": asked.method,
            "path": asked.path,
            "key": asked.headers.get("idempotency-key"),
            "body": _body(asked),
        }

    def behaves(self, *behaviours: dict[str, Any] | str) -> None:
        """How the next requests are answered, one each; after them all goes well."""
        self.program.extend({"behave": each} if isinstance(each, str) else each for each in behaviours)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def serve(self, sock: socket.socket, ready: threading.Event | None = None) -> None:
        self.port = sock.getsockname()[1]
        self._file = self.journal.open("ab") if self.journal else None
        server = await asyncio.start_server(self._connected, sock=sock, backlog=2048, limit=1 << 20)
        if ready is not None:
            ready.set()
        async with server:
            await server.serve_forever()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = Connection(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            while (asked := await self._read(reader)) is not None:
                await self._answer(asked, connection)
                if writer.is_closing():
                    break
        writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> Asked | None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(await reader.readline(), 16):
                body += await reader.readexactly(size)
                await reader.readline()
            await reader.readline()
        else:
            body = await reader.readexactly(int(headers.get("content-length", 0)))
        return Asked(len(self.asked) + 1, method, path, headers, body)

    async def _answer(self, asked: Asked, connection: Connection) -> None:
        if asked.path == "/_served":
            await connection.answer(
                200, {"served": self.asked, "in_flight": self.in_flight, "most_in_flight": self.most_in_flight}
            )
            return
        if asked.path == "/_program":
            self.behaves(*asked.json)
            await connection.answer(200, {})
            return
        behave = self.program.popleft() if self.program else {}
        line = {**self.noted(asked), "behave": behave}
        self.asked.append(line)
        if self._file is not None:
            self._file.write(json.dumps(line).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self.handle(asked, connection, behave)
        finally:
            self.in_flight -= 1


def _body(asked: Asked) -> Any:
    try:
        return asked.json
    except ValueError:
        return asked.body.decode("utf-8", "replace")


async def misbehave(name: str, behave: dict[str, Any], connection: Connection) -> bool:
    """Carries out the behaviours that every server knows; False if `name` is none of them."""
    if name.isdigit():
        headers = {"Retry-After": str(behave["retry_after"])} if "retry_after" in behave else {}
        message = behave.get("message", f"status {name}")
        await connection.answer(int(name), {"error": {"message": message, "code": behave.get("code")}}, headers)
    elif name == "redirect":
        await connection.answer(behave.get("status", 302), {}, {"Location": behave["to"]})
    elif name == "reset":
        connection.reset()
    elif name == "hang":
        await asyncio.sleep(behave.get("seconds", 3600))
    elif name == "html":
        await connection.answer(200, b"<!doctype html><title>Welcome</title>", {"Content-Type": "text/html; charset=utf-8"})
    elif name == "drip":
        await connection.head(200, {"Content-Type": "application/json", "Content-Length": "1000000"})
        while True:
            await connection.part(b" ")
            await asyncio.sleep(behave.get("every", 0.05))
    elif name == "large":
        await connection.answer(200, b'"' + b"x" * int(behave.get("bytes", 2 << 20)) + b'"')
    else:
        return False
    return True


AnyServer = TypeVar("AnyServer", bound=Server)


@contextmanager
def running(server: AnyServer) -> Iterator[AnyServer]:
    """The server in a thread with a loop of its own, until the block ends."""
    sock = socket.create_server(("127.0.0.1", 0), backlog=2048)
    ready, loop = threading.Event(), asyncio.new_event_loop()
    tasks: list[asyncio.Task[None]] = []

    def work() -> None:
        asyncio.set_event_loop(loop)
        tasks.append(loop.create_task(server.serve(sock, ready)))
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(tasks[0])
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(tasks[0].cancel)
        thread.join(10)


def main(kind: type[Server]) -> None:
    """Runs the server as a process; its first line of output is its port."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--journal", type=Path, default=None, help="file of fsynced lines; none without")
    given = parser.parse_args()
    sock = socket.create_server(("127.0.0.1", given.port), backlog=2048)
    print(sock.getsockname()[1], flush=True)
    with suppress(KeyboardInterrupt):
        asyncio.run(kind(journal=given.journal).serve(sock))
    sys.exit(0)


def journal_file() -> Path:
    """A fresh file for a journal."""
    handle, name = tempfile.mkstemp(prefix="served-", suffix=".jsonl")
    os.close(handle)
    return Path(name)
