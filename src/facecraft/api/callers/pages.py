"""Which web pages may use a server that asks nobody who they are.

A browser lets any page of the internet send requests to a server that only its own machine or network can reach. Two
ways matter, and both are closed here for anonymous callers. Whoever sends a credential is not looked at: a page of
somebody else has none, and browsers add none by themselves (nothing here is a cookie).

**A name that leads here without being ours** (DNS rebinding): the page's own name is made to resolve to this server, and
the browser takes both for the same site, which may read everything. So the Host header must be something that nobody on
the internet can make lead here: an address, a name without a dot, a name that only local networks know, or one that the
operator lists. Ollama and Vite decide by the same rule.

**A form of another site**, whose answer it cannot read, but which does what it asks for. Which page a request comes from
is told by ``Sec-Fetch-Site`` and ``Origin``, neither of which a page can set; the order in which they are asked is that of
``http.CrossOriginProtection`` in Go 1.25 (Filippo Valsorda, "Cross-Site Request Forgery", 2025). Programs send neither.
"""

from __future__ import annotations

import ipaddress
import re

from starlette.datastructures import Headers
from starlette.types import Scope

from facecraft.errors import HostNotAllowedError, OriginNotAllowedError
from facecraft.settings import Settings

_LOCAL = ("localhost", "local", "internal", "home.arpa", "lan", "home", "corp")
"""Endings of names that the root of the DNS does not have: RFC 6761, 6762 and 8375, ICANN's reservation of ``internal``
(2024), and what routers and companies use, which ICANN delegates to nobody (2018)."""
_OPEN_PATHS = ("/metrics",)
"""Numbers without names, which monitoring reads by names of its own. Probes are not asked who they are at all."""
_READING = ("GET", "HEAD", "OPTIONS")
_HOST = re.compile(r"(?:\[(?P<address>[0-9a-z.:%]+)\]|(?P<name>[a-z0-9_.-]{0,253}))(?::[0-9]*)?")


class Pages:
    """Tells whether an anonymous request may come from where it comes from."""

    def __init__(self, settings: Settings) -> None:
        listed = (*settings.allowed_hosts, settings.host.lower())
        self._any = "*" in listed
        self._names = frozenset(name for name in listed if not name.startswith("*"))
        self._endings = tuple(name[1:] for name in listed if name.startswith("*."))
        self._origins = frozenset(settings.cors_origins)

    def check(self, connection: Scope) -> None:
        """Raise HostNotAllowedError or OriginNotAllowedError for a request that a foreign page may have made."""
        if connection["path"] in _OPEN_PATHS:
            return
        headers = Headers(scope=connection)
        hosts = [host.strip().lower() for host in headers.getlist("host")]
        for host in hosts:
            self._check_host(host)
        if connection["method"] not in _READING:
            self._check_origin(headers.get("origin"), headers.get("sec-fetch-site"), hosts)

    def _check_host(self, host: str) -> None:
        name = _name_of(host)
        if self._any or (name is not None and (self._is_listed(name) or _is_local(name))):
            return
        raise HostNotAllowedError(
            f"This server asks nobody who they are, and does not know that it is called {name or 'so'}.",
            hint=f"Set FACECRAFT_ALLOWED_HOSTS={name or 'NAME'}, or use a key: facecraft keys create.",
        )

    def _is_listed(self, name: str) -> bool:
        return name in self._names or name.endswith(self._endings)

    def _check_origin(self, origin: str | None, site: str | None, hosts: list[str]) -> None:
        if self._origins & {origin, "*"} or site in ("same-origin", "none"):
            return
        asking = None if origin is None else _authority(origin)
        if site is None and (origin is None or asking in hosts):
            return
        shown = origin if asking is not None and _name_of(asking) else None
        raise OriginNotAllowedError(
            f"This server asks nobody who they are, and the web page {shown or 'that asks'} is not one of its own.",
            hint=f"Set FACECRAFT_CORS_ORIGINS={shown or 'ORIGIN'}, or use a key: facecraft keys create.",
        )


def _name_of(host: str) -> str | None:
    """Return the name or address in a Host header, without port, brackets and final dot; None when it is malformed."""
    found = _HOST.fullmatch(host)
    return None if found is None else found["address"] or (found["name"] or "").removesuffix(".")


def _is_local(name: str) -> bool:
    """Whether ``name`` is an address or a name that nobody on the internet can make lead here; an empty one, too."""
    if "." not in name or name.endswith(tuple(f".{ending}" for ending in _LOCAL)):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _authority(origin: str) -> str | None:
    """Return the host and port of an Origin header in lower case; None for ``null`` and nonsense."""
    scheme, _, authority = origin.lower().partition("://")
    return authority if scheme in ("http", "https") and authority else None
