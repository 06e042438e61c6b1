"""A session with somebody's mail server, by Django's own mail machinery, at the address that was checked."""

from __future__ import annotations

import asyncio
import smtplib
import socket
from functools import partial
from typing import Any

from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend

from flows.access.egress import Egress, HTTPError
from flows.engine.failures import BadKey, BadRequest, Failure, TimedOut, Unavailable
from flows.engine.problems import shorten
from flows.tools.connections import Connected, SMTPSettings


class _Pinned(EmailBackend):
    """Connects to one address; what the certificate must say is the server's name all the same."""

    def __init__(self, address: str, **options: Any) -> None:
        super().__init__(**options)
        self.address = address
        self.sent = False  # the text of a letter has left: the server may have taken it

    @property
    def connection_class(self) -> Any:
        return partial(_TLSSession if self.use_ssl else _Session, self)


class _Session(smtplib.SMTP):
    """A session with the address that its backend is pinned to."""

    def __init__(self, backend: _Pinned, *given: Any, **options: Any) -> None:
        self._backend = backend
        super().__init__(*given, **options)

    def _get_socket(self, host: str, port: int, timeout: float) -> Any:
        return socket.create_connection((self._backend.address, port), timeout)

    def data(self, message: Any) -> Any:
        self._backend.sent = True
        return super().data(message)


class _TLSSession(_Session, smtplib.SMTP_SSL):
    """The same inside of TLS from its first byte."""

    def _get_socket(self, host: str, port: int, timeout: float) -> Any:
        return self.context.wrap_socket(super()._get_socket(host, port, timeout), server_hostname=host)


async def opened(connected: Connected, egress: Egress, seconds: float) -> _Pinned:
    """A backend for this mail server, which has not connected yet. Raises `EgressRefused`, `Unavailable`."""
    settings: SMTPSettings = connected.settings
    try:
        address = (await egress.addresses(settings.host, settings.port))[0]
    except HTTPError as error:
        raise Unavailable(f"The connection {connected.slug} cannot be made: {shorten(str(error), 200)}") from None
    return _Pinned(
        address,
        host=settings.host.strip("[]"),
        port=settings.port,
        username=settings.user,
        password=connected.password,
        use_ssl=settings.tls == "tls",
        use_tls=settings.tls == "starttls",
        timeout=seconds,
        fail_silently=False,
    )


async def send(connected: Connected, letter: EmailMessage, egress: Egress, seconds: float) -> None:
    """Sends one letter. Raises `Failure`s whose `sent` says whether the server may have taken it."""
    backend = await opened(connected, egress, seconds)
    try:
        async with asyncio.timeout(seconds + 1):  # the socket's own limit counts each answer by itself
            await asyncio.to_thread(backend.send_messages, [letter])
    except (OSError, smtplib.SMTPException) as error:  # TimeoutError is an OSError
        raise failure_of(connected.slug, error, sent=backend.sent) from None


async def check(connected: Connected, egress: Egress, seconds: float = 10.0) -> str:
    """Connects and signs in; gives what is to be said of it. Raises as `send` does."""
    backend = await opened(connected, egress, seconds)

    def greet() -> str:
        try:
            backend.open()
            session = backend.connection
            if session is None:
                raise smtplib.SMTPServerDisconnected("no session was opened")
            code, said = session.noop()
            return f"{code} {_text(said)}"
        finally:
            backend.close()

    try:
        async with asyncio.timeout(seconds + 1):
            return shorten(await asyncio.to_thread(greet), 200)
    except (OSError, smtplib.SMTPException) as error:
        raise failure_of(connected.slug, error, sent=False) from None


def failure_of(name: str, error: Exception, *, sent: bool) -> Failure:
    """What a mail server's refusal, or its silence, is."""
    said = f"The connection {name}: {shorten(_said(error), 300)}"
    failure: Failure
    if isinstance(error, smtplib.SMTPAuthenticationError):
        failure = BadKey(said)
    elif isinstance(error, smtplib.SMTPRecipientsRefused | smtplib.SMTPResponseException):
        codes = (
            [code for code, _ in error.recipients.values()]
            if isinstance(error, smtplib.SMTPRecipientsRefused)
            else [error.smtp_code]
        )
        failure = (Unavailable if all(400 <= code < 500 for code in codes) else BadRequest)(said, sent=sent)
        failure.answered = True  # it says itself that it did not take the letter
    elif isinstance(error, smtplib.SMTPNotSupportedError):
        failure = BadRequest(said)
    elif isinstance(error, TimeoutError):
        failure = TimedOut(f"The connection {name}: the mail server did not answer in time.", sent=sent)
    else:
        failure = Unavailable(said, sent=sent)
    return failure


def _said(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "; ".join(f"{who}: {code} {_text(text)}" for who, (code, text) in error.recipients.items())
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_text(error.smtp_error)}"
    return str(error) or type(error).__name__


def _text(said: bytes | str) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said
