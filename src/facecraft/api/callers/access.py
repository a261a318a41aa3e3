"""Who may call: decided before anything of the body of a request is read."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar
from urllib.parse import parse_qs

import anyio
import anyio.to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from facecraft import telemetry
from facecraft.accounts.config import AuthMode
from facecraft.accounts.opening import LazyAccounts
from facecraft.accounts.rates import Counts, Rates, Window
from facecraft.accounts.records import ANONYMOUS, KEY_PREFIX, OPERATOR, Caller, Scope
from facecraft.api.callers import rates
from facecraft.api.callers.pages import Pages
from facecraft.api.problems import answer
from facecraft.errors import (
    BusyError,
    FacecraftError,
    RateLimitedError,
    ScopeMissingError,
    StorageError,
    TokenInvalidError,
    UnauthenticatedError,
)
from facecraft.settings import Settings

log = telemetry.logger("api")
T = TypeVar("T")

AUTH = "/api/v1/auth"
ACCOUNT = "/api/v1/account"
USERS = "/api/v1/users"
OPEN_PATHS = (
    "/health", "/ready", "/", "/docs", "/openapi.json",
    *(f"{AUTH}/{name}" for name in ("login", "signup", "refresh", "forgot-password", "reset-password")),
)  # fmt: skip
"""What is answered to anybody: what an orchestrator must reach, the ways to sign in, and the documentation, in which a
browser is then given the key. Of this server it says no more than which models of the catalogue are there."""
_OPEN_FOLDER = "/docs/"

SCOPES: tuple[tuple[str, frozenset[str] | None, Scope], ...] = (
    (USERS, None, Scope.ADMIN),
    ("/", frozenset({"GET", "HEAD", "OPTIONS"}), Scope.READ),
    ("/", None, Scope.WRITE),
)
"""Which scope a call needs: the first line whose beginning of the path and whose methods (None: all) fit."""

_LONGEST = 4096
_HASHING_PLACES = 4
_HASHING_QUEUE = 64


def scope_of(method: str, path: str) -> Scope:
    """Return the scope that a call needs."""
    return next(
        scope for start, methods, scope in SCOPES if path.startswith(start) and (methods is None or method in methods)
    )


def is_open(path: str) -> bool:
    """Whether ``path`` is answered to anybody."""
    return path in OPEN_PATHS or path.startswith(_OPEN_FOLDER)


class Gate:
    """Tells who calls, and whether that is allowed just now. One for each application."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigurationError for rate limits that cannot be counted."""
        self._mode = settings.auth
        key = settings.api_key
        self._operator = None if key is None else hashlib.sha256(key.get_secret_value().encode()).digest()
        self._proxies = settings.proxies
        self._pages = Pages(settings)
        url = settings.rate_limit_storage_url
        counts = Counts(None if url is None else url.get_secret_value())
        self._calls = Rates(settings.rate_limit, counts)
        self._attempts = Rates(settings.auth_rate_limit, counts)
        self._refreshes = Rates(settings.refresh_rate_limit, counts)
        self._accounts: LazyAccounts | None = None
        self._hashing: anyio.CapacityLimiter | None = None
        self._was_closed = False

    def open(self, accounts: LazyAccounts) -> None:
        """Take the accounts, when the application starts."""
        self._accounts = accounts
        self._hashing = anyio.CapacityLimiter(_HASHING_PLACES)

    @property
    def accounts(self) -> LazyAccounts:
        """The accounts of a started application."""
        if self._accounts is None:
            raise StorageError("The server has not started yet.")
        return self._accounts

    async def admit(self, connection: Connection) -> Caller:
        """Return who calls, counted and allowed.

        Raises UnauthenticatedError, TokenInvalidError, ScopeMissingError, HostNotAllowedError, OriginNotAllowedError,
        RateLimitedError, StorageError.
        """
        try:
            caller = await self._caller(connection)
        except (UnauthenticatedError, TokenInvalidError):
            await self._count(connection, self._calls, rates.counted_as(None, self._address(connection)))
            raise
        if self._calls.is_on:
            await self._count(connection, self._calls, rates.counted_as(caller, self._address(connection)))
        needed = scope_of(connection["method"], connection["path"])
        if needed not in caller.scopes:
            if caller.is_anonymous:
                raise UnauthenticatedError
            raise ScopeMissingError(f"This needs the scope {needed}.")
        if caller.is_anonymous:
            self._pages.check(connection)
        return caller

    async def still(self, connection: Connection, caller: Caller) -> bool:
        """Whether ``caller``, who opened ``connection`` to read, might open it now, too. Raises StorageError.

        Not when the key or the session was revoked since, or the access token has become too old.
        """
        try:
            present = await self._caller(connection)
        except (UnauthenticatedError, TokenInvalidError):
            return False
        return present.owner == caller.owner and Scope.READ in present.scopes

    async def attempt(self, connection: Connection, email: str | None = None) -> None:
        """Count an attempt to sign in, or the like, by address and by email. Raises RateLimitedError."""
        await self._count(connection, self._attempts, f"auth:address:{self._address(connection)}")
        if email is not None:
            await self._count(connection, self._attempts, f"auth:{rates.email_name(email)}")

    async def attempt_refresh(self, connection: Connection, session_id: str | None) -> None:
        """Count a refresh of a session, or (None) a token of no session, by address. Raises RateLimitedError.

        Nobody can guess a token, and colleagues share an address: they must not lock each other out, nor from signing in.
        """
        if session_id is None:
            await self._count(connection, self._attempts, f"refresh:address:{self._address(connection)}")
        else:
            await self._count(connection, self._refreshes, f"refresh:session:{session_id}")

    async def hash(self, work: Callable[[], T]) -> T:
        """Do ``work``, which hashes a password, in one of few threads. Raises BusyError when too many wait."""
        if self._hashing is None or self._hashing.statistics().tasks_waiting >= _HASHING_QUEUE:
            raise BusyError
        return await anyio.to_thread.run_sync(work, limiter=self._hashing)

    def describe(self, document: dict[str, Any]) -> None:
        """Write into an OpenAPI document how callers say who they are, and whether they must."""
        document["components"]["securitySchemes"] = {
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            "bearer": {"type": "http", "scheme": "bearer", "description": "An access token (JWT), or an API key."},
        }
        optional: list[dict[str, list[str]]] = [] if self._must_say else [{}]
        document["security"] = [*optional, {"key": []}, {"bearer": []}]
        for path, item in document["paths"].items():
            if is_open(path):
                for operation in item.values():
                    operation["security"] = []

    @property
    def _must_say(self) -> bool:
        return self._mode is AuthMode.REQUIRED or (
            self._mode is AuthMode.AUTO and (self._operator is not None or self._was_closed)
        )

    async def is_closed(self) -> bool:
        """Whether callers must say who they are just now. Raises StorageError when that cannot be known."""
        if self._mode is not AuthMode.AUTO or self._operator is not None:
            return self._mode is not AuthMode.OFF
        accounts = self.accounts
        if not accounts.exist():
            return False
        known = None if accounts.opened is None else accounts.opened.callers.anybody_remembered
        if known is None:
            try:
                known = await anyio.to_thread.run_sync(partial(_anybody, accounts))
            except StorageError:
                if not self._was_closed:
                    raise
                known = True
        self._was_closed = known
        return known

    async def _caller(self, connection: Connection) -> Caller:
        text, in_query = _credential(connection)
        if text and not in_query and self._is_operator(text):
            return OPERATOR
        is_key, is_token = text.startswith(KEY_PREFIX) and not in_query, text.count(".") == 2
        if is_key or is_token:
            return await self._known(text)
        if in_query:
            raise TokenInvalidError
        if await self.is_closed():
            raise UnauthenticatedError
        return ANONYMOUS

    def _is_operator(self, text: str) -> bool:
        """Compare digests, so that neither the content nor the length of the key shows in how long a refusal takes."""
        return self._operator is not None and hmac.compare_digest(
            hashlib.sha256(text.encode()).digest(), self._operator
        )

    async def _known(self, text: str) -> Caller:
        accounts = self.accounts
        if len(text) > _LONGEST or not accounts.exist():
            raise TokenInvalidError
        opened = accounts.opened
        caller = None if opened is None else opened.callers.remembered(text)
        return caller if caller is not None else await anyio.to_thread.run_sync(_find, accounts, text)

    def _address(self, connection: Connection) -> str:
        return rates.address_of(connection, self._proxies)

    async def _count(self, connection: Connection, limit: Rates, who: str) -> None:
        if not limit.is_on:
            return
        window = await anyio.to_thread.run_sync(limit.hit, who) if limit.waits else limit.hit(who)
        seen: Window | None = connection["state"].get("window")
        if seen is None or not window.allowed or window.remaining < seen.remaining:
            connection["state"]["window"] = window
        if not window.allowed:
            raise RateLimitedError


class Access:
    """The layer that lets callers in or answers them at once; what is behind it finds the caller in ``state``."""

    def __init__(self, app: ASGIApp, *, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        send = partial(_send, scope, send)
        try:
            state["caller"] = ANONYMOUS if is_open(scope["path"]) else await self._gate.admit(scope)
        except FacecraftError as error:
            await answer(scope, error)(scope, receive, send)
            return
        await self._app(scope, receive, send)


async def _send(scope: Connection, send: Send, message: Message) -> None:
    window: Window | None = scope["state"].get("window")
    if window is not None and message["type"] == "http.response.start":
        rates.add_headers(MutableHeaders(scope=message), message["status"], window)
    await send(message)


def _anybody(accounts: LazyAccounts) -> bool:
    return accounts.open().callers.anybody()


def _find(accounts: LazyAccounts, text: str) -> Caller:
    return accounts.open().callers.find(text)


def _credential(connection: Connection) -> tuple[str, bool]:
    """Return what a caller sends to be known by (empty: nothing), and whether it stands in the address.

    A browser cannot add headers to a download or to an event source: for GET an access token may stand in the query.
    """
    headers = Headers(scope=connection)
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    text = headers.get("x-api-key") or (bearer.strip() if scheme.lower() == "bearer" else "")
    if text or connection["method"] != "GET" or b"access_token=" not in connection["query_string"]:
        return text, False
    query = connection["query_string"].decode("ascii", "replace")
    try:
        return parse_qs(query, max_num_fields=100).get("access_token", [""])[0], True
    except ValueError as error:
        raise TokenInvalidError from error
