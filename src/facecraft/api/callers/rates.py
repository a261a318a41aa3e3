"""How often somebody may call: who is counted, and what the reply says of it."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from hashlib import sha256
from typing import TypeAlias

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Scope

from facecraft.accounts.rates import Window
from facecraft.accounts.records import Caller

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_MOST_HOPS = 16
_HOME_BITS = 64
"""A household has a network of IPv6 addresses of this prefix (RFC 6177): it is counted as one."""


def address_of(scope: Scope, proxies: Sequence[Network]) -> str:
    """Return from where a request comes.

    Behind ``proxies`` it is the last address in ``X-Forwarded-For`` that is none of theirs: what stands before it was
    written by the caller, who may write anything.
    """
    client = scope.get("client")
    address = _parse(client[0]) if client else None
    if address is None:
        return "unknown"
    if proxies:
        sent = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
        for hop in reversed(sent[-_MOST_HOPS:]):
            if not any(address in network for network in proxies):
                break
            before = _parse(hop.strip())
            if before is None:
                break
            address = before
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, _HOME_BITS), strict=False))
    return str(address)


def _parse(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0].strip("[]"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def counted_as(caller: Caller | None, address: str) -> str:
    """Return the name under which the calls of ``caller`` are counted: the user, else the key, else the address.

    Users make as many keys as they like: each of them would be another limit.
    """
    if caller is not None and caller.user_id is not None:
        return f"user:{caller.user_id}"
    if caller is not None and caller.key_id is not None:
        return f"key:{caller.key_id}"
    return f"address:{address}"


def email_name(email: str) -> str:
    """Return the name under which attempts with ``email`` are counted; the email itself is kept nowhere."""
    return f"email:{sha256(email.encode()).hexdigest()[:32]}"


def add_headers(headers: MutableHeaders, status: int, window: Window) -> None:
    """Say what is left, in the fields of draft-ietf-httpapi-ratelimit-headers-06 (seconds, not a date)."""
    headers["RateLimit-Limit"] = str(window.limit)
    headers["RateLimit-Remaining"] = str(window.remaining)
    headers["RateLimit-Reset"] = str(window.reset)
    if status == 429 and not window.allowed:
        headers["Retry-After"] = str(window.reset)
