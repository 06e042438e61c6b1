"""A mail server on loopback: takes letters by SMTP, in the clear or encrypted, and keeps them."""

from __future__ import annotations

import email
import email.policy
import socketserver
import ssl
import threading
from email.message import EmailMessage
from pathlib import Path
from typing import Self


class MailServer:
    """`letters` are those that were taken; with `refuses` set, each sender gets that answer instead. With a `certificate` (its key in the
    same file) it speaks TLS from the first byte, or after STARTTLS where `starts_tls`; `encrypted` counts the sessions that did."""

    def __init__(self, certificate: Path | None = None, *, starts_tls: bool = False) -> None:
        self.letters: list[EmailMessage] = []
        self.refuses = ""
        self.encrypted = 0
        self.starts_tls = starts_tls
        self.tls: ssl.SSLContext | None = None
        if certificate is not None:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(certificate)
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

            def encrypt(self, tls: ssl.SSLContext) -> None:
                self.connection = tls.wrap_socket(self.connection, server_side=True)
                self.rfile = self.connection.makefile("rb")
                self.wfile = self.connection.makefile("wb", buffering=0)
                server.encrypted += 1

            def handle(self) -> None:
                try:
                    self.converse()
                except OSError:  # whoever does not trust the certificate leaves in the middle
                    return

            def converse(self) -> None:
                if server.tls is not None and not server.starts_tls:
                    self.encrypt(server.tls)
                self.say("220 loopback")
                while line := self.rfile.readline():
                    verb = line[:4].upper()
                    if verb == b"QUIT":
                        return self.say("221 bye")
                    if verb == b"EHLO" and server.starts_tls:
                        self.say("250-loopback\r\n250 STARTTLS")
                    elif verb == b"STAR" and server.tls is not None:
                        self.say("220 go on")
                        self.encrypt(server.tls)
                    elif verb == b"MAIL" and server.refuses:
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
