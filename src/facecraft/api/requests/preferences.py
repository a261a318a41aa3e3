"""What a client would rather have than an answer at once: the Prefer header (RFC 7240)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from starlette.datastructures import Headers

ASYNCHRONOUS = "respond-async"
_MOST = 32
_SECONDS = re.compile(r"\d{1,6}")


@dataclass(frozen=True, slots=True)
class Preference:
    """How long a client wants to wait for its answer."""

    asynchronous: bool = False
    """Whether a job is fine instead of the result."""
    wait: int | None = None
    """For how many seconds it waits for the result before a job is fine."""

    @property
    def applied(self) -> str:
        """What Preference-Applied says when a job is the answer."""
        return ASYNCHRONOUS if self.wait is None else f"{ASYNCHRONOUS}, wait={self.wait}"


def preference_of(headers: Headers) -> Preference:
    """Return what the Prefer headers of a request ask for; what is not understood is passed over, as the RFC asks.

    Of a preference that is named twice the first counts. ``wait`` without ``respond-async`` asks for nothing that
    would be done otherwise.
    """
    found: dict[str, str] = {}
    for part in ",".join(headers.getlist("prefer")).lower().split(",")[:_MOST]:
        name, _, value = part.partition(";")[0].partition("=")
        found.setdefault(name.strip(), value.strip().strip('"'))
    if ASYNCHRONOUS not in found:
        return Preference()
    wait = found.get("wait", "")
    return Preference(asynchronous=True, wait=int(wait) if _SECONDS.fullmatch(wait) else None)
