"""Where we may send anything at all: public addresses only, unless our own are allowed (docs/notifications.md).

An endpoint's URL is typed by people, and names resolve to whatever their owner likes. So an address is judged by what
it *is*, at registration and again each time a socket is about to be connected to it; a name is never trusted.
"""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import SplitResult, urlsplit

from domain.errors import ErrorCode, TeikiError

_URL_CHARACTERS_MAX: Final = 500
_PORTS_REFUSED: Final = frozenset(
    {*range(1, 80), *range(81, 443), *range(444, 1024), 2049, 3306, 5432, 6379, 9200, 11211, 27017}
)
"""Ports below 1024 other than the web's, and those of databases: no merchant's service listens there."""
_TRANSLATED: Final = tuple(ipaddress.ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "::/96"))
_NEVER: Final = tuple(
    ipaddress.ip_network(text)
    for text in ("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15", "fec0::/10")
)
"""Not the internet, and not everywhere known as such to the standard library."""


_INSIDE: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
        *("::1/128", "fc00::/7"),
    )
)
_METADATA: Final = frozenset({ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("100.100.100.200")})
"""Where clouds keep their metadata, when it is not a link-local address."""


def may_reach(address: str, *, allow_private: bool) -> bool:
    """Whether something may be sent to an IP address.

    Allowed to be private, it may be loopback or of a private network, and still not link-local, a cloud's metadata,
    multicast, or IPv4 in the clothes of IPv6.
    """
    if is_public(address):
        return True
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    inside = any(found.version == network.version and found in network for network in _INSIDE)
    return allow_private and inside and found not in _METADATA


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet, and not loopback, private, link-local (where clouds keep
    their metadata), multicast, reserved, or an IPv6 address that stands for such an IPv4 one.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo or (None, None))[1]
        if inner is not None and not is_public(str(inner)):
            return False
        if any(found in network for network in _TRANSLATED):
            return False
    if any(found.version == network.version and found in network for network in _NEVER):
        return False
    return found.is_global and not (found.is_multicast or found.is_reserved or found.is_unspecified)


def require_url(url: str, *, allow_private: bool) -> SplitResult:
    """The parts of an endpoint's URL, when something may be sent there as far as the text tells.

    Args:
        url: as typed.
        allow_private: whether `http`, loopback and private networks are allowed.

    Raises:
        TeikiError: `endpoint_refused`, with `why`: `url`, `scheme`, `credentials`, `port` or `address`.
    """
    if len(url) > _URL_CHARACTERS_MAX or not url.isascii() or any(c <= " " or c in '\\"<>' for c in url):
        raise refused("url", f"An endpoint's URL has at most {_URL_CHARACTERS_MAX} ASCII characters.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise refused("url", "This is no URL.") from error
    if parts.scheme != "https" and not (allow_private and parts.scheme == "http"):
        raise refused("scheme", "An endpoint's URL begins with https://.")
    if not host or parts.fragment or host.endswith("."):
        raise refused("url", "An endpoint's URL names a host, and has no fragment.")
    if parts.username is not None or parts.password is not None:
        raise refused("credentials", "An endpoint's URL holds no user and no password.")
    if port is not None and (port == 0 or port in _PORTS_REFUSED):
        raise refused("port", "Nothing is sent to this port.")
    if _is_address(host) and not may_reach(host, allow_private=allow_private):
        raise refused("address", "This address is not public.")
    return parts


def require_public(addresses: list[str], *, allow_private: bool) -> None:
    """Refuse a name that resolves to nothing, or to any address that nothing may be sent to.

    Raises:
        TeikiError: `endpoint_refused`, with `why`: `unresolved` or `address`.
    """
    if not addresses:
        raise refused("unresolved", "This host has no address.")
    if not all(may_reach(address, allow_private=allow_private) for address in addresses):
        raise refused("address", "This host has an address that is not public.")


def refused(why: str, message: str) -> TeikiError:
    """Nothing is sent there."""
    return TeikiError(ErrorCode.ENDPOINT_REFUSED, message, why=why)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
