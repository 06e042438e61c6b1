"""A mail server on loopback: takes letters by SMTP and keeps them."""

from __future__ import annotations

import email
import email.policy
import socketserver
import threading
from email.message import EmailMessage
from typing import Self


class MailServer:
    """`letters` are those that were taken; with `refuses` set, each sender gets that answer instead."""

    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []
        self.refuses = ""
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._handler(), bind_and_activate=True)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[socketserver.StreamRequestHandler]:
        server = self

        class Session(socketserver.StreamRequestHandler):
            def say(self, line: str) -> None:
                self.wfile.write(f"{line}\r\n".encode())

            def handle(self) -> None:
                self.say("220 loopback")
                while line := self.rfile.readline():
                    verb = line[:4].upper()
                    if verb == b"QUIT":
                        return self.say("221 bye")
                    if verb == b"MAIL" and server.refuses:
                        self.say(server.refuses)
                    elif verb == b"DATA":
                        self.say("354 go on")
                        self.take()
                    else:
                        self.say("250 ok")
                return None

            def take(self) -> None:
                lines = []
                while (line := self.rfile.readline()) not in (b".\r\n", b""):
                    lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
                letter = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
                assert isinstance(letter, EmailMessage)
                server.letters.append(letter)
                self.say("250 taken")

        return Session
