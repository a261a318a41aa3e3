"""Downloads over HTTP that survive an interruption and never keep what they should not."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import httpx

from facecraft.catalog.files import CHUNK, in_megabytes, require_space
from facecraft.catalog.sources import Conditions
from facecraft.errors import ModelDownloadError, ModelIntegrityError
from facecraft.progress import CancelToken

UNKNOWN_SIZE_LIMIT = 4 << 30
"""Bytes after which a download of unknown size is given up."""

_MAX_REDIRECTS = 5
_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
_LONGEST_PAUSE = 20.0


class _InterruptedError(Exception):
    """The transfer broke off in a way that another try may mend."""


class _UnreachableError(_InterruptedError):
    """Nobody answers at this address: not worth many tries while there are other sources."""


class _RestartError(Exception):
    """What lies on disk cannot be continued: begin again with nothing."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What is known of a file before it is fetched."""

    size: int | None = None
    sha256: str | None = None

    @property
    def limit(self) -> int:
        """The bytes after which it cannot be the wanted file."""
        return self.size if self.size is not None else UNKNOWN_SIZE_LIMIT


def download(url: str, part: Path, expected: Expected, conditions: Conditions, received: Callable[[int], None]) -> str:
    """Fetch ``url`` into ``part``, continuing what is already there; return the SHA-256.

    Proxies and certificates come from the environment (``HTTPS_PROXY``, ``SSL_CERT_FILE`` …), TLS is verified.
    ``received`` hears the bytes that are there, from 0 to the size. An interrupted ``part`` stays for next time,
    one with wrong content is deleted.

    Raises:
        ModelDownloadError: the address did not answer with the file, in all tries.
        ModelIntegrityError: the file has another size or checksum than expected.
        StorageFullError: it does not fit on the disk; said before the first byte where the size is known.
        CancelledError: somebody asked to stop.
    """
    patience = conditions.patience
    with httpx.Client(
        timeout=httpx.Timeout(patience.read, connect=patience.connect),
        headers={"User-Agent": f"facecraft/{_own_version()}", "Accept-Encoding": "identity"},
        follow_redirects=True,
        max_redirects=_MAX_REDIRECTS,
        trust_env=True,
    ) as client:
        transfer = _Transfer(client, url, part, expected, conditions.cancel, received)
        reason = ""
        for attempt in range(patience.attempts):
            if attempt:
                _pause(min(_LONGEST_PAUSE, patience.backoff * 2 ** (attempt - 1)), conditions.cancel)
            resumed = _size(part) > 0
            try:
                digest = transfer.run()
            except _RestartError as trouble:
                part.unlink(missing_ok=True)
                reason = str(trouble)
                continue
            except _UnreachableError as trouble:
                reason = str(trouble)
                if attempt:
                    break
                continue
            except _InterruptedError as trouble:
                reason = str(trouble)
                continue
            if expected.sha256 in {None, digest}:
                return digest
            part.unlink()
            reason = "the file has another checksum than the catalogue"
            if not resumed:
                # Asking the same address again would bring the same wrong bytes. A continued file may be wrong
                # only in its beginning, so that one is fetched once more from nothing.
                raise ModelIntegrityError(reason)
        raise ModelDownloadError(reason)


@dataclass(frozen=True, slots=True)
class _Transfer:
    """One try after the other to bring one address into one file."""

    client: httpx.Client
    url: str
    part: Path
    expected: Expected
    cancel: CancelToken
    received: Callable[[int], None]

    def run(self) -> str:
        """Continue the file to its end and return its checksum."""
        digest, have = _begin(self.part, self.cancel)
        if self.expected.size is not None and have == self.expected.size:
            return digest.hexdigest()
        headers = {"Range": f"bytes={have}-"} if have else {}
        try:
            with self.client.stream("GET", self.url, headers=headers) as response:
                _check_status(response, have)
                if response.status_code != httpx.codes.PARTIAL_CONTENT:
                    digest, have = hashlib.sha256(), 0
                total = self._total(response, have)
                have = self._write(response, digest, have)
        except httpx.TooManyRedirects as error:
            raise ModelDownloadError(f"it redirects more than {_MAX_REDIRECTS} times") from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise ModelDownloadError(f"the address cannot be used: {error}") from error
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            raise _UnreachableError(f"it cannot be reached: {str(error) or 'no answer in time'}") from error
        except httpx.TimeoutException as error:
            raise _InterruptedError("it did not answer in time") from error
        except httpx.RemoteProtocolError as error:
            raise _InterruptedError(f"it broke off after {_size(self.part)} bytes") from error
        except httpx.HTTPError as error:
            raise _InterruptedError(f"the connection failed: {error}") from error
        if total is not None and have < total:
            raise _InterruptedError(f"it stopped after {have} of {total} bytes")
        return digest.hexdigest()

    def _total(self, response: httpx.Response, have: int) -> int | None:
        """Return the size of the whole file; raise when it is wrong or does not fit, before any of it is read."""
        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdecimal() else None
        size = self.expected.size
        if total is not None and total != (size or total):
            raise ModelIntegrityError(f"the file has {total} bytes instead of {size}")
        if total is not None and total > self.expected.limit:
            raise ModelIntegrityError(f"the file is larger than {in_megabytes(self.expected.limit)}")
        total = total or size
        require_space(self.part.parent, max(0, (total or 0) - have))
        return total

    def _write(self, response: httpx.Response, digest: hashlib._Hash, have: int) -> int:
        with self.part.open("ab" if have else "wb") as stream:
            # As they arrive: gathering larger chunks would lose the last of them when the connection breaks.
            for chunk in response.iter_raw():
                self.cancel.check()
                have += len(chunk)
                if have > self.expected.limit:
                    stream.truncate(0)
                    raise ModelIntegrityError(f"the file is larger than {in_megabytes(self.expected.limit)}")
                stream.write(chunk)
                digest.update(chunk)
                self.received(have)
        return have


def _begin(part: Path, cancel: CancelToken) -> tuple[hashlib._Hash, int]:
    digest = hashlib.sha256()
    have = 0
    if part.exists():
        with part.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                cancel.check()
                digest.update(chunk)
                have += len(chunk)
    return digest, have


def _check_status(response: httpx.Response, have: int) -> None:
    code = response.status_code
    if code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and have:
        raise _RestartError("it could not continue the interrupted download")
    if code in _TRANSIENT:
        raise _InterruptedError(f"it answered {code}")
    if code not in {httpx.codes.OK, httpx.codes.PARTIAL_CONTENT}:
        raise ModelDownloadError(f"it answered {code} {response.reason_phrase}".rstrip())
    if code == httpx.codes.PARTIAL_CONTENT:
        start = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
        if start != str(have):
            raise _RestartError("it continued at another place than asked")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _pause(seconds: float, cancel: CancelToken) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        cancel.check()
        time.sleep(min(left, 0.1))


def _own_version() -> str:
    try:
        return version("facecraft")
    except PackageNotFoundError:
        return "0"
