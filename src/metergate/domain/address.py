"""Which addresses webhooks may go to: public ones, and the networks that the operator allows.

A URL is chosen by a tenant and called by the server, from inside the operator's network: what only the inside can reach
(metadata services, databases, other hosts) must not be reached through it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from metergate.domain.errors import MetergateError, Reason, invalid

URL_MOST = 2_048
Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

# Beside what `ipaddress` knows, whose opinion of some of these differs from one Python to the next.
_REFUSED = [
    ip_network(text)
    for text in (
        "0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
        # What stands for IPv4 addresses, and would reach them: compatible, mapped, translated, 6to4, Teredo.
        "::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/23", "2002::/16",
        "100::/64", "2001:db8::/32", "3fff::/20", "5f00::/16", "fc00::/7", "fec0::/10",
    )
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads."""

    secure: bool
    host: str
    port: int


def is_refused(address: Address, allowed: Sequence[Network], secure: bool = True) -> bool:
    """Whether no webhook goes there. Without TLS (`secure`), only networks that the operator allows are called."""
    if any(address in network for network in allowed):
        return False
    return (
        not secure or not address.is_global or address.is_multicast or address.is_reserved
        or address.is_loopback or address.is_link_local or address.is_unspecified
        or any(address in network for network in _REFUSED)
    )  # fmt: skip


def refused(field: str, address: Address) -> MetergateError:
    """The error for a URL that leads to such an address."""
    message = "leads to an address that is not public; the setting METERGATE_WEBHOOK_ALLOW_PRIVATE allows networks"
    return invalid(field, message, Reason.ADDRESS_REFUSED, address=str(address))


def target_of(url: str, field: str, allowed: Sequence[Network]) -> Target:
    """Where the URL leads, checked as far as can be told without asking for its host's addresses.

    Raises:
        MetergateError: FIELD_INVALID, or ADDRESS_REFUSED.
    """
    if len(url) > URL_MOST or not url.isascii() or not url.isprintable() or " " in url:
        raise invalid(field, f"must be a URL of at most {URL_MOST} characters, in ASCII and without spaces")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise invalid(field, f"is not a URL: {error}") from None
    if parts.scheme not in ("https", "http") or not host or "%" in host or "\\" in url:
        raise invalid(field, "must be an https URL with a host")
    if parts.scheme == "http" and not allowed:
        raise invalid(field, "must be an https URL")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise invalid(field, "must not hold a user, a password or a fragment")
    if port == 0:
        raise invalid(field, "has no port 0")
    secure = parts.scheme == "https"
    address = literal(host)
    if address is not None and is_refused(address, allowed, secure):
        raise refused(field, address)
    return Target(secure, host, port or (443 if secure else 80))


def literal(host: str) -> Address | None:
    """The address that a host is written as; None where it is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None
