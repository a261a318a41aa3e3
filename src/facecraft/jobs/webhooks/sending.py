"""One attempt to deliver: a request that goes to exactly the addresses that were judged."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

import anyio
import httpx

from facecraft.errors import AddressRefusedError
from facecraft.jobs.webhooks.addresses import Address, Resolver, Target, check_url, refuse_private, resolve
from facecraft.jobs.webhooks.resolving import Resolving

SECONDS = 15.0
"""For a whole attempt, from the name to the answer; Standard Webhooks asks for 15 to 30."""
MAX_ANSWER = 64 * 1024
"""Most bytes of an answer's body that are read. Nobody looks at them: only the status counts."""
_CONNECT_SECONDS = 5.0
_MAX_ADDRESSES = 4
"""How many addresses of one name are tried."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of an attempt."""

    status: int | None = None
    retry_after: str | None = None
    error: str | None = None

    @property
    def delivered(self) -> bool:
        """Whether the receiver took it."""
        return self.status is not None and 200 <= self.status < 300


class Sender:
    """Sends requests that others asked for. Make it in its event loop, and use it as an asynchronous context manager."""

    def __init__(
        self,
        *,
        private: bool = False,
        ask: Resolver = resolve,
        seconds: float = SECONDS,
        certificates: ssl.SSLContext | None = None,
    ) -> None:
        self._private = private
        self._ask = ask
        self._seconds = seconds
        self._resolving: Resolving[list[Address]] = Resolving()
        # A connection is checked against the name it was made for. It is never kept: another name may have the same
        # address. Nothing of the environment is used, in which a proxy would resolve names by its own rules.
        self._client = httpx.AsyncClient(
            trust_env=False,
            follow_redirects=False,
            verify=True if certificates is None else certificates,
            timeout=httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS)),
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Post ``body`` once. Never raises for anything that the receiver, its network or its name does."""
        heard: list[Answer] = []
        with anyio.move_on_after(self._seconds):
            try:
                target = check_url(url, private=self._private)
                judge = partial(refuse_private, target.host, private=self._private, ask=self._ask)
                addresses = await self._resolving.do(judge)
                await self._post(target, addresses[:_MAX_ADDRESSES], headers, body, heard)
            except AddressRefusedError as error:
                return Answer(error=error.message)
            except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
                return heard[0] if heard else Answer(error=f"{type(error).__name__}: {error}")
        return heard[0] if heard else Answer(error=f"No answer within {self._seconds:g} seconds.")

    async def _post(
        self,
        target: Target,
        addresses: Sequence[Address],
        headers: Mapping[str, str],
        body: bytes,
        heard: list[Answer],
    ) -> None:
        """Post to the first of ``addresses`` that can be reached; the answer is put into ``heard`` once it begins."""
        for place, address in enumerate(addresses, 1):
            try:
                async with self._client.stream(
                    "POST",
                    target.at(address),
                    content=body,
                    headers={**headers, "Host": target.authority, "Accept-Encoding": "identity"},
                    extensions={"sni_hostname": target.host},
                ) as response:
                    heard.append(Answer(response.status_code, response.headers.get("retry-after")))
                    with suppress(httpx.HTTPError):
                        await _drain(response)
                    return
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if place == len(addresses):
                    raise


async def _drain(response: httpx.Response) -> None:
    """Read a polite part of an answer, so that the receiver does not see a broken connection."""
    read = 0
    async for chunk in response.aiter_raw(8192):
        read += len(chunk)
        if read >= MAX_ANSWER:
            return
