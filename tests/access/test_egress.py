"""The one way out: what may be reached, redirects, credentials, bounds."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Iterator

import httpx
import pytest

from flows.access.addresses import is_reachable
from flows.access.egress import Egress, EgressRefused, TooLarge, observed
from flows.access.waits import retry_after
from tests.servers.effect_server import EffectServer
from tests.servers.loopback import running


@pytest.fixture(scope="module")
def service() -> Iterator[EffectServer]:
    with running(EffectServer()) as server:
        yield server


@pytest.fixture(scope="module")
def other() -> Iterator[EffectServer]:
    with running(EffectServer()) as server:
        yield server


@pytest.fixture(autouse=True)
def fresh(service: EffectServer, other: EffectServer) -> None:
    for server in (service, other):
        server.program.clear()
        server.asked.clear()


def egress_to(*servers: EffectServer) -> Egress:
    return Egress(lambda: frozenset(server.host for server in servers))


PRIVATE = [
    "127.0.0.1",
    "127.8.9.1",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "169.254.170.2",
    "100.64.0.1",
    "100.127.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:a9fe:a9fe",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001:db8::1",
    "2001::1",
    "2002:7f00:1::1",
    "fc00::1",
    "fd00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001::1"]


@pytest.mark.parametrize("address", PRIVATE)
def test_no_private_address_is_reachable(address: str) -> None:
    assert not is_reachable(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are(address: str) -> None:
    assert is_reachable(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        *(f"http://{f'[{a}]' if ':' in a else a}/" for a in PRIVATE if "%" not in a),
        "http://localhost/",
        "http://LOCALHOST./",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://127.0.0.1./",
        "http://①②⑦.0.0.1/",
        "http://169.254.169.254.:80/latest/meta-data",
        "http://metadata.google.internal/computeMetadata/v1/",
        "http://METADATA.google.internal./",
        "http://metadata/",
        "http://instance-data/latest",
        "http://user:pass@127.0.0.1/",
        "http://8.8.8.8@127.0.0.1/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http:///nothing",
    ],
)
async def test_it_refuses_before_connecting(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*args: object, **options: object) -> None:
        raise AssertionError("it connected")

    monkeypatch.setattr("flows.access.egress.connect", never)
    with pytest.raises((EgressRefused, httpx.InvalidURL, httpx.UnsupportedProtocol)):
        await Egress(frozenset).request("GET", url)


async def resolves_to(*addresses: str) -> list[str]:
    return list(addresses)


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:10.0.0.1"], ["fd00::5"], ["fe80::1%lo"]])
async def test_a_name_with_any_private_address_is_refused(addresses: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*args: object, **options: object) -> None:
        raise AssertionError("it connected")

    monkeypatch.setattr("flows.access.egress.connect", never)
    egress = Egress(frozenset, resolve=lambda _host, _port: resolves_to(*addresses))  # type: ignore[arg-type,return-value]

    with pytest.raises(EgressRefused, match=r"evil\.example:80.*An owner must add"):
        await egress.request("GET", "http://evil.example/")


async def test_it_connects_to_the_address_that_it_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rebinding: the second look-up would give a private address; there is none."""
    answers = iter([["93.184.216.34"], ["127.0.0.1"]])
    connected: list[list[str]] = []

    async def resolve(host: str, port: int) -> list[str]:
        return next(answers)

    async def connect(addresses: list[str], port: int, **options: object) -> None:
        connected.append(addresses)
        raise httpx.ConnectError("enough")

    monkeypatch.setattr("flows.access.egress.connect", connect)
    with pytest.raises(httpx.ConnectError):
        await Egress(frozenset, resolve=resolve).request("GET", "http://rebind.example/")  # type: ignore[arg-type]
    assert connected == [["93.184.216.34"]]


async def test_an_allowed_host_is_its_port_alone(service: EffectServer, other: EffectServer) -> None:
    egress = egress_to(service)

    assert (await egress.request("POST", f"{service.base}/x", json={"a": 1})).status == 201
    with pytest.raises(EgressRefused):
        await egress.request("POST", f"{other.base}/x", json={"a": 1})
    with pytest.raises(EgressRefused):  # a name for the same place is another entry
        await egress.request("POST", f"http://localhost:{service.port}/x", json={})


async def test_what_is_allowed_is_asked_each_time(service: EffectServer) -> None:
    allowed: set[str] = set()
    egress = Egress(lambda: frozenset(allowed))
    with pytest.raises(EgressRefused):
        await egress.request("GET", f"{service.base}/echo")
    allowed.add(service.host)
    assert (await egress.request("GET", f"{service.base}/echo")).status == 200
    allowed.clear()
    with pytest.raises(EgressRefused):  # also over a connection that is still open
        await egress.request("GET", f"{service.base}/echo")


async def test_a_redirect_is_checked_like_a_first_request(service: EffectServer, other: EffectServer) -> None:
    service.behaves({"behave": "redirect", "to": f"{other.base}/echo"})
    with pytest.raises(EgressRefused):
        await egress_to(service).request("GET", f"{service.base}/echo")
    assert not other.asked


async def test_credentials_do_not_follow_to_another_host(service: EffectServer, other: EffectServer) -> None:
    service.behaves({"behave": "redirect", "to": f"{other.base}/echo"}, {"behave": "redirect", "to": f"{service.base}/echo"})
    headers = {"Authorization": "Bearer s", "X-Api-Key": "s", "Cookie": "s=1", "Accept": "application/json"}
    egress = egress_to(service, other)

    seen = httpx.Response(200, content=(await egress.request("GET", f"{service.base}/echo", headers=headers)).content).json()[
        "headers"
    ]
    assert seen["accept"] == "application/json"
    assert not {"authorization", "x-api-key", "cookie"} & set(seen)

    same = httpx.Response(200, content=(await egress.request("GET", f"{service.base}/echo", headers=headers)).content).json()[
        "headers"
    ]
    assert same["x-api-key"] == "s"


async def test_three_redirects_and_no_more(service: EffectServer) -> None:
    hop = {"behave": "redirect", "to": f"{service.base}/echo"}
    service.behaves(hop, hop, hop)
    assert (await egress_to(service).request("GET", f"{service.base}/echo")).status == 200
    service.behaves(hop, hop, hop, hop)
    with pytest.raises(httpx.TooManyRedirects):
        await egress_to(service).request("GET", f"{service.base}/echo")


async def test_the_proxy_environment_is_ignored(service: EffectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await egress_to(service).request("GET", f"{service.base}/echo")).status == 200


async def test_bytes_and_time_are_bounded(service: EffectServer) -> None:
    egress = egress_to(service)
    service.behaves({"behave": "large", "bytes": 5000})
    with pytest.raises(TooLarge):
        await egress.request("GET", f"{service.base}/echo", max_bytes=4000)

    service.behaves("drip")
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        await egress.request("GET", f"{service.base}/echo", timeout=0.4)
    assert time.monotonic() - started < 1.5


async def test_a_connection_is_used_again_unless_a_fresh_one_is_asked_for(service: EffectServer) -> None:
    egress = egress_to(service)
    before = service.connections
    for _ in range(5):
        await egress.request("GET", f"{service.base}/echo")
    assert service.connections - before == 1
    await egress.request("GET", f"{service.base}/echo", fresh=True)
    assert service.connections - before == 2


async def test_no_cookie_is_kept_between_calls(service: EffectServer) -> None:
    egress = egress_to(service)
    client = egress.client()
    client.cookies.extract_cookies(httpx.Response(200, headers={"Set-Cookie": "a=1"}, request=httpx.Request("GET", service.base)))
    answer = await client.get(f"{service.base}/echo")
    assert "cookie" not in answer.json()["headers"]


async def test_what_went_over_the_wire_is_observed_and_limited(service: EffectServer) -> None:
    egress = egress_to(service)
    with observed(limit=1) as exchange:
        await egress.request("GET", f"{service.base}/echo")
        assert exchange.sent
        assert exchange.status == 200
        assert exchange.complete
        assert exchange.requests == 1
        with pytest.raises(EgressRefused, match="second request"):
            await egress.request("GET", f"{service.base}/echo")
    assert len(service.asked) == 1


async def test_calls_at_once_are_observed_apart(service: EffectServer) -> None:
    egress = egress_to(service)

    async def one(path: str) -> tuple[int, int | None]:
        with observed(limit=1) as exchange:
            await egress.request("GET", f"{service.base}{path}")
            return exchange.requests, exchange.status

    assert await asyncio.gather(one("/echo"), one("/find/nothing"), one("/echo")) == [(1, 200), (1, 404), (1, 200)]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "999999"}, 3600.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_a_number_or_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(httpx.Headers(headers), now=1445412480.0) == seconds
