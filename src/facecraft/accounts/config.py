"""What an operator decides about who may call; part of :class:`facecraft.settings.Settings`."""

from __future__ import annotations

import ipaddress
import re
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, SecretStr, field_validator

SECRET_LENGTH = 32
"""Fewest characters of the secret that signs tokens: as long as the digest of HS256 (RFC 7518, section 3.2)."""
_PLACEHOLDERS = (
    "changeme", "secretkey", "yoursecret", "mysecret", "supersecret", "topsecret", "placeholder", "example",
    "insecure", "default", "replaceme", "password", "notsosecret", "development", "dontuse", "donotuse",
)  # fmt: skip
_FEWEST_LETTERS = 10
_RATE = r"^(\s*\d+\s*(/|per)\s*(\d+\s*)?(second|minute|hour|day)s?\s*([;,]|$))*$"


def _is_rate(text: str) -> str:
    if re.fullmatch(_RATE, text) is None:
        raise ValueError("write it like 120/minute, or 120/minute;2000/hour; leave it empty for any number")
    return text


NOBODY = (
    "NOBODY MAY USE THIS SERVER: there is no user and no key. Make a user (facecraft users create) or a key "
    "(facecraft keys create), set FACECRAFT_API_KEY, or let everybody in with FACECRAFT_AUTH=off."
)
"""What the operator is told when the server is closed and there is nobody who could open it."""

Rate = Annotated[str, AfterValidator(_is_rate), Field(examples=["120/minute;2000/hour"])]


class AuthMode(StrEnum):
    """Whether callers must say who they are."""

    AUTO = "auto"
    REQUIRED = "required"
    OFF = "off"


class SmtpSecurity(StrEnum):
    """How mail is encrypted on its way to the mail server."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


class AccountConfig(BaseModel):
    """Who may call, how often, and how much is kept for them."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True, populate_by_name=True)

    # --- accounts
    auth: AuthMode = AuthMode.AUTO
    """Whether callers must say who they are: ``auto`` (as soon as ``FACECRAFT_API_KEY`` is set or there is a user or a key,
    and from then on, also when none is left), ``required`` or ``off``."""
    signup_enabled: bool = False
    """Let anybody make an account over HTTP. Unset, users are made with ``facecraft users create`` or by an admin."""
    jwt_secret_key: Annotated[
        SecretStr | None, Field(validation_alias=AliasChoices("FACECRAFT_JWT_SECRET_KEY", "JWT_SECRET_KEY"))
    ] = None
    """Secret that signs access tokens, at least 32 characters (also read from ``JWT_SECRET_KEY``). Unset: one is made and
    kept in the data folder, readable for this user only. Servers that share a database must share it: the secrets of
    webhooks are encrypted with a key derived from it, too."""
    access_token_minutes: Annotated[int, Field(ge=1, le=1440)] = 15
    """Minutes after which an access token must be refreshed."""
    refresh_token_days: Annotated[int, Field(ge=1, le=365)] = 30
    """Days after which a session that was not refreshed ends."""
    refresh_grace_seconds: Annotated[float, Field(ge=0, le=60)] = 10.0
    """Seconds for which a refresh token is answered again after its use, so that two tabs of one browser may refresh at the
    same moment. Afterwards, and with 0 at once, one that comes again ends the session."""
    password_reset_url: str | None = None
    """Address of the page on which a forgotten password is replaced; the mail links to it with ``?token=…`` added. Unset:
    the mail has the token alone."""

    # --- mail
    smtp_host: str | None = None
    """Mail server. Unset: mail is not sent, and the log says so; with ``FACECRAFT_DEBUG`` it says what was in it, too."""
    smtp_port: Annotated[int, Field(ge=1, le=65535)] = 587
    """Port of the mail server: 587 with STARTTLS, 465 with TLS."""
    smtp_security: SmtpSecurity = SmtpSecurity.STARTTLS
    """Encryption on the way to the mail server: ``starttls``, ``tls`` or ``none`` (a server of this machine only)."""
    smtp_user: str | None = None
    """Name to sign in to the mail server with. Unset: without signing in."""
    smtp_password: SecretStr | None = None
    """Password for the mail server."""
    mail_from: str = "facecraft@localhost"
    """Sender of the mail."""

    # --- limits for each caller
    rate_limit: Rate = ""
    """Requests that one user (all keys and sessions together), key of the operator or (for those without) address may
    send, such as ``120/minute;2000/hour``. Empty: any number."""
    auth_rate_limit: Rate = "10/minute"
    """Attempts to sign in, sign up, replace a password or delete the account, for each address and for each email; and
    refresh tokens of no session, for each address. Empty: any number."""
    refresh_rate_limit: Rate = "60/minute"
    """Times that one session may be refreshed, wherever from. Empty: any number."""
    rate_limit_storage_url: SecretStr | None = None
    """Redis that counts requests for several server processes together, such as redis://redis:6379/1. Unset: each process
    counts its own."""
    trusted_proxies: str = ""
    """Networks of proxies (comma list, such as ``10.0.0.0/8,::1``) whose ``X-Forwarded-For`` tells the caller's address.
    Empty: the header is ignored."""
    quota_mb: Annotated[int, Field(ge=0)] = 0
    """MiB that are kept for one owner at most; 0: any amount."""

    @field_validator("jwt_secret_key")
    @classmethod
    def _no_placeholder(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            check_secret(value.get_secret_value())
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        _networks(value)
        return value

    @field_validator("mail_from")
    @classmethod
    def _one_line(cls, value: str) -> str:
        if not value.isprintable() or "@" not in value:
            raise ValueError("give an email address")
        return value

    @property
    def proxies(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """The networks of trusted proxies."""
        return _networks(self.trusted_proxies)

    @property
    def quota_bytes(self) -> int | None:
        """Bytes that are kept for one owner at most; None: any amount."""
        return self.quota_mb * 1024 * 1024 or None


def check_secret(secret: str) -> None:
    """Raise ValueError when ``secret`` is too short, or something that stands in examples."""
    if len(secret) < SECRET_LENGTH:
        raise ValueError(f"give at least {SECRET_LENGTH} characters; make one with `openssl rand -hex 32`")
    letters = "".join(letter for letter in secret.lower() if letter.isalnum())
    if len(set(secret)) < _FEWEST_LETTERS or any(word in letters for word in _PLACEHOLDERS):
        raise ValueError("this is a placeholder; make a secret with `openssl rand -hex 32`")


def _networks(text: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
