"""Access tokens (JWT, RFC 7519), and the opaque tokens that are kept as digests."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import jwt

from facecraft.accounts.records import now
from facecraft.errors import TokenInvalidError

ALGORITHM = "HS256"
ISSUER = "facecraft"
AUDIENCE = "facecraft-api"
LEEWAY_SECONDS = 10
"""How far the clocks of two servers may differ."""
_REQUIRED = ["exp", "iat", "sub", "sid", "iss", "aud"]


@dataclass(frozen=True, slots=True)
class Claims:
    """What a good access token says."""

    user_id: str
    session_id: str
    expires: float
    """Seconds since 1970."""


class AccessTokens:
    """Issues and reads access tokens. They are short-lived and name a session, which is looked up at every use."""

    def __init__(self, secret: str, *, minutes: int) -> None:
        self._secret = secret
        self._lifetime = timedelta(minutes=minutes)

    @property
    def seconds(self) -> int:
        """How long a new token is good for."""
        return int(self._lifetime.total_seconds())

    def issue(self, user_id: str, session_id: str) -> str:
        """Return a token for ``user_id`` in ``session_id``."""
        moment = now()
        claims = {
            "iss": ISSUER, "aud": AUDIENCE, "sub": user_id, "sid": session_id, "jti": uuid4().hex,
            "iat": moment, "exp": moment + self._lifetime,
        }  # fmt: skip
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM)

    def read(self, token: str) -> Claims:
        """Return what ``token`` says. Raises TokenInvalidError unless we signed it, for us, and it is not too old."""
        try:
            claims = jwt.decode(
                token, self._secret, algorithms=[ALGORITHM], issuer=ISSUER, audience=AUDIENCE,
                leeway=LEEWAY_SECONDS, options={"require": _REQUIRED, "strict_aud": True},
            )  # fmt: skip
        except jwt.PyJWTError as error:
            raise TokenInvalidError(detail=type(error).__name__) from error
        session_id = claims["sid"]
        if not isinstance(session_id, str):
            raise TokenInvalidError(detail="sid is no text")
        return Claims(claims["sub"], session_id, float(claims["exp"]))


def new_secret() -> str:
    """Return 256 random bits as text."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """Return what is kept of a random secret: it has 256 bits, so that a fast hash is enough."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
