"""The kind `mail`: what it sends, to whom it may, and what each answer of a mail server means."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from psycopg_pool import AsyncConnectionPool

from flows.access.addresses import EgressRefused
from flows.access.egress import Egress
from flows.engine.failures import BadRequest, Failure, Unavailable
from flows.models import AllowedHost, Connection
from flows.runs.actions.put_connection import check_connection
from flows.tools.base import ToolCall, ToolContext, ToolSpec
from flows.tools.mail import MailSettings, MailTool
from orchestrator.engine import dsn
from tests.makers import make_actor
from tests.servers.mail_server import MailServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server(transactional_db: None) -> Iterator[MailServer]:
    with MailServer() as server:
        settings = {"host": "127.0.0.1", "port": server.port, "tls": "none"}
        Connection.objects.create(slug="post", kind="smtp", settings=settings)
        AllowedHost.objects.create(host=f"127.0.0.1:{server.port}")
        yield server


@pytest.fixture
async def pool() -> AsyncIterator[AsyncConnectionPool[Any]]:
    async with AsyncConnectionPool(dsn(), min_size=0, max_size=2, open=False) as pool:
        yield pool


async def here(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


async def write(
    pool: AsyncConnectionPool[Any], port: int, *, allowed: tuple[str, ...] = (), host: str = "127.0.0.1", **given: Any
) -> Any:
    settings = MailSettings(connection="post", sender="Shop <shop@example.com>", to=allowed)
    spec = ToolSpec("mail.send", "mail", "write", "never", MailTool.arguments, settings)
    arguments = {"to": ["ann@example.com"], "subject": "Refund", "text": "It is on its way.\n.\n", **given}
    context = ToolContext(Egress(lambda: frozenset({f"{host}:{port}"}), resolve=here), pool)
    return await MailTool().call(ToolCall(spec, arguments, "key-1", 5.0, uuid4()), context)


async def test_a_letter_arrives_as_it_was_written(pool: AsyncConnectionPool[Any], server: MailServer) -> None:
    given = await write(pool, server.port, to=["Ann <ann@example.com>", "bob@example.com"], reply_to="desk@example.com")

    (letter,) = server.letters
    assert given == {"to": ["ann@example.com", "bob@example.com"], "message_id": "<key-1@example.com>"}
    assert (letter["From"], letter["To"]) == ("Shop <shop@example.com>", "ann@example.com, bob@example.com")
    assert (letter["Subject"], letter["Reply-To"], letter["Message-ID"]) == ("Refund", "desk@example.com", "<key-1@example.com>")
    assert letter.get_content().splitlines() == ["It is on its way.", "."]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"to": ["nobody"]}, "is no address"),
        ({"to": ["ann@example.com\nBcc: all@example.com"]}, "is no address"),
        ({"to": ["ann@elsewhere.net"], "allowed": ("*@example.com",)}, "may not write to ann@elsewhere.net"),
        ({"subject": "Hello\nBcc: all@example.com"}, "one line"),
        ({"reply_to": "a@b.c\r\nBcc: all@example.com"}, "one line"),
    ],
)
async def test_what_would_go_elsewhere_is_refused_before_anything_is_sent(
    pool: AsyncConnectionPool[Any], server: MailServer, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadRequest, match=said):
        await write(pool, server.port, **given)

    assert server.letters == []


@pytest.mark.parametrize(("answer", "failure"), [("550 no such mailbox", BadRequest), ("451 try again later", Unavailable)])
async def test_a_refusal_is_an_answer_and_nothing_is_owed(
    pool: AsyncConnectionPool[Any], server: MailServer, answer: str, failure: type[Failure]
) -> None:
    server.refuses = answer

    with pytest.raises(failure, match=answer[4:]) as found:
        await write(pool, server.port)

    assert found.value.answered


async def test_a_server_that_is_down_was_sent_nothing_and_one_that_nobody_allowed_is_not_reached(
    pool: AsyncConnectionPool[Any], server: MailServer
) -> None:
    with pytest.raises(EgressRefused):
        await write(pool, server.port + 1)

    settings = {"host": "127.0.0.1", "port": 9, "tls": "none"}
    await Connection.objects.filter(slug="post").aupdate(settings=settings)
    with pytest.raises(Unavailable, match="The connection post") as found:
        await write(pool, 9)
    assert not found.value.sent


def test_checking_it_greets_the_server(server: MailServer) -> None:
    assert check_connection(make_actor("owner"), "post").startswith("250")


# ---------------------------------------------------------------------- encrypted


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Of the name `localhost`, signed by itself: certificate and key in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - timedelta(1), now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file = tmp_path / "mail.pem"
    file.write_bytes(made.public_bytes(Encoding.PEM) + secret)
    return file


@pytest.fixture
def encrypted(request: pytest.FixtureRequest, transactional_db: None, certificate: Path) -> Iterator[MailServer]:
    """A server that is reached as `param` says: how the connection wants it, by which name, and what the server offers."""
    wanted, host, offered = request.param
    with MailServer(certificate if offered else None, starts_tls=offered == "starttls") as server:
        Connection.objects.create(slug="post", kind="smtp", settings={"host": host, "port": server.port, "tls": wanted})
        yield server


@pytest.mark.parametrize(
    "encrypted", [("tls", "localhost", "tls"), ("starttls", "localhost", "starttls")], indirect=True, ids=["tls", "starttls"]
)
async def test_a_letter_goes_encrypted_where_the_certificate_is_trusted_and_not_at_all_elsewhere(
    pool: AsyncConnectionPool[Any], encrypted: MailServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Failure, match="certificate") as failure:
        await write(pool, encrypted.port, host="localhost")
    assert not failure.value.sent
    assert encrypted.letters == []

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    await write(pool, encrypted.port, host="localhost")

    (letter,) = encrypted.letters
    assert letter["Subject"] == "Refund"
    assert encrypted.encrypted == 1


@pytest.mark.parametrize(
    ("encrypted", "host", "said"),
    [
        (("tls", "mail.example.com", "tls"), "mail.example.com", r"mail\.example\.com"),
        (("starttls", "127.0.0.1", ""), "127.0.0.1", "STARTTLS"),
    ],
    indirect=["encrypted"],
    ids=["certificate of another name", "starttls is not offered"],
)
async def test_where_nobody_can_be_trusted_nothing_is_sent_not_even_in_the_clear(
    pool: AsyncConnectionPool[Any],
    encrypted: MailServer,
    host: str,
    said: str,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    with pytest.raises(Failure, match=said) as failure:
        await write(pool, encrypted.port, host=host)

    assert not failure.value.sent
    assert encrypted.letters == []
