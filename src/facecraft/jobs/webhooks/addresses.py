"""Where a server may send requests that somebody else asked for: never into its own network.

A name is resolved once, every address of the answer is judged, and the caller connects to exactly these addresses:
a name that is asked twice may be answered differently (DNS rebinding).
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import httpx

from facecraft.errors import AddressRefusedError

Address = IPv4Address | IPv6Address
Resolver = Callable[[str], Sequence[str]]
"""Returns the addresses of a host name as text; raises OSError or UnicodeError when there are none."""

PRIVATE = "The address leads to this machine or into a private network."
UNKNOWN = "Nobody answers to the name in the address."
MAX_URL = 2048
"""Most characters of a URL."""

# https://www.iana.org/assignments/iana-ipv4-special-registry: everything that is not plainly the internet.
_REFUSED_4 = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by providers (CGNAT, RFC 6598); some clouds keep their metadata here
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a public number that leads to the host of an Azure machine
        "169.254.0.0/16",  # link-local: the metadata of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
# Of IPv6 only global unicast (RFC 4291, 2000::/3) is the internet. Outside of it lie loopback, link-local, unique
# local, multicast, IPv4-mapped (::ffff:0:0/96), IPv4-compatible (::/96) and NAT64 (64:ff9b::/96, 64:ff9b:1::/48).
_GLOBAL_6 = ip_network("2000::/3")
_REFUSED_6 = tuple(
    ip_network(text)
    for text in (
        "2001::/23",  # protocol assignments, among them Teredo (2001::/32), which carries an IPv4 address
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4 carries an IPv4 address
        "3fff::/20",  # documentation
    )
)
_ISATAP = 0x00005EFE
"""The upper half of an ISATAP interface identifier (RFC 5214); the lower half is an IPv4 address."""
_ISATAP_BITS = 0xFCFFFFFF

_LOCAL = re.compile(r"(?:^|\.)localhost(?:\.localdomain)?$")
# WHATWG URL: a host whose last label looks like a number is an IPv4 address, in whatever notation.
_NUMERIC = re.compile(r"(?:^|\.)(?:\d+|0x[0-9a-f]*)$")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\xa0\\]")
_USER = re.compile(r"^[^/?#]*//[^/?#]*@")
_NAME = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?")


def resolve(host: str) -> Sequence[str]:
    """Ask the operating system for the addresses of ``host``. Raises OSError or UnicodeError."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


def is_public(address: Address) -> bool:
    """Whether ``address`` belongs to the internet at large, and to nothing that is translated into something else."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_4)
    low = int(address) & (1 << 64) - 1
    isatap = low >> 32 & _ISATAP_BITS == _ISATAP
    return address in _GLOBAL_6 and not isatap and not any(address in network for network in _REFUSED_6)


def refuse_private(host: str, *, private: bool = False, openly: bool = False, ask: Resolver = resolve) -> list[Address]:
    """Return the addresses of ``host`` (a name, or an address without brackets), each of which may be connected to.

    The caller must connect to one of these and not resolve the name again. With ``private`` every network is allowed,
    this machine too; forms of an address that only some programs understand (``0x7f.1``) never are. Blocks while the
    name is resolved. Raises AddressRefusedError, with the same words whether a name is unknown or private, unless it
    may be told ``openly``: what exists in a private network is nobody's business.
    """
    name = host.removesuffix(".").lower()
    if not name:
        raise AddressRefusedError
    if _LOCAL.search(name) and not private:
        raise AddressRefusedError(PRIVATE)
    literal = _literal(name)
    if literal is not None:
        found = [literal]
    elif _NUMERIC.search(name):
        raise AddressRefusedError
    else:
        try:
            found = [_address(text) for text in dict.fromkeys(ask(name))]
        except (OSError, ValueError) as error:  # UnicodeError is a ValueError
            raise AddressRefusedError(UNKNOWN if openly else None, detail=f"{name}: {error}") from error
    if not found:
        raise AddressRefusedError(UNKNOWN if openly else None, detail=f"{name}: no address")
    if not (private or all(is_public(address) for address in found)):
        known = openly or literal is not None
        raise AddressRefusedError(PRIVATE if known else None, detail=f"{name}: {', '.join(map(str, found))}")
    return found


def _literal(name: str) -> Address | None:
    try:
        return _address(name)
    except ValueError:
        return None


def _address(text: str) -> Address:
    """Read an address. Raises ValueError, also for one with a zone, which means something on this machine only."""
    if "%" in text:
        raise ValueError(f"{text} has a zone")
    return ip_address(text)


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that may be called, as far as its form goes: its host has yet to be judged."""

    url: httpx.URL
    host: str
    """ASCII, without brackets."""
    authority: str
    """The host and, unless it is the usual one, the port: the Host header."""

    def at(self, address: Address) -> httpx.URL:
        """Return the URL with ``address`` in place of the name."""
        return self.url.copy_with(host=str(address))


def check_url(text: str, *, private: bool = False) -> Target:
    """Return what ``text`` leads to: an https URL with a host, and no name or password in it.

    With ``private`` http is allowed, too. Raises AddressRefusedError.
    """
    if not 0 < len(text) <= MAX_URL or _FORBIDDEN.search(text):
        raise AddressRefusedError(f"A URL has at most {MAX_URL} characters, and no blanks or backslashes.")
    try:
        url = httpx.URL(text)
        host = url.raw_host.decode("ascii")
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise AddressRefusedError("The URL cannot be read.", detail=str(error)) from error
    if url.scheme not in (("https", "http") if private else ("https",)):
        raise AddressRefusedError(f"The URL must begin with https://{' or http://' if private else ''}.")
    if _USER.match(text):
        raise AddressRefusedError("The URL holds a name or a password: webhooks are signed instead.")
    if "#" in text:
        raise AddressRefusedError("The URL has a fragment, which is never sent.")
    if (_literal(host) is None and not _NAME.fullmatch(host)) or not 1 <= (url.port or 443) <= 65535 or url.port == 0:
        raise AddressRefusedError
    return Target(url, host.removesuffix("."), url.netloc.decode("ascii"))
