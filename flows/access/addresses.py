"""Which network addresses may be reached: the world's, and of our own network only what an owner allowed by name."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from flows.engine.failures import Failure

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class EgressRefused(Failure):
    """The address is not one that may be reached from here."""

    slug = "bad_request"


# What Python's `is_global` calls global, or did in some release, and is a way to a private address all the same.
REFUSED_NETWORKS: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "100.64.0.0/10",  # carriers' address translation (RFC 6598)
        "169.254.0.0/16",  # link-local, where clouds keep their metadata
        "192.0.0.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "198.18.0.0/15",
        "240.0.0.0/4",
        "::/96",  # IPv4-compatible
        "64:ff9b::/96",  # NAT64 (RFC 6052): an IPv4 address inside
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",  # Teredo and other protocol assignments
        "2002::/16",  # 6to4: an IPv4 address inside
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
    )
)
METADATA_NAMES: Final = frozenset(
    {
        "metadata",
        "metadata.google.internal",
        "metadata.goog",
        "metadata.azure.com",
        "metadata.azure.internal",
        "metadata.packet.net",
        "instance-data",
        "instance-data.ec2.internal",
    }
)
_ENDS_IN_NUMBER: Final = re.compile(r"(^|\.)(0x[0-9a-f]*|[0-9]+)$")


def is_reachable(address: Address) -> bool:
    """Whether this is an address of the public internet."""
    if isinstance(address, ipaddress.IPv6Address) and (address.scope_id is not None or address.ipv4_mapped is not None):
        return False
    if address.is_multicast or address.is_unspecified or not address.is_global:
        return False
    return not any(address.version == network.version and address in network for network in REFUSED_NETWORKS)


def normal_host(host: str) -> str:
    """The host as the allow-list writes it: lower case, no trailing dot, no brackets."""
    return host.strip().lower().strip("[]").rstrip(".")


def allowed_name(host: str, port: int) -> str:
    """The entry of the allow-list that would allow this host and port."""
    host = normal_host(host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def literal_address(host: str) -> Address | None:
    """The address that this host spells out; None for a name.

    Raises `EgressRefused` for the spellings that only old resolvers understand (decimal, octal, hexadecimal, shortened): in
    practice they exist to get past checks.
    """
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    if _ENDS_IN_NUMBER.search(host):
        raise EgressRefused(f"{host!r} is no ordinary spelling of an address; write it with four decimal numbers.")
    return None


def refuse_host(host: str, port: int, found: str = "") -> EgressRefused:
    """The error for a host that would need an owner's permission."""
    where = f" is at {found}, which" if found and found != host else ""
    return EgressRefused(
        f"{allowed_name(host, port)}{where} is not on the public internet. "
        f"An owner must add {allowed_name(host, port)!r} to the allowed hosts before it can be reached."
    )
