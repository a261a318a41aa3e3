"""What is known of users, sessions and keys, and who a caller turns out to be."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

KEY_PREFIX = "fck_"
"""How every API key begins, so that it is recognized where it must not be: in a log, in a repository."""
LONGEST_EMAIL = 254
"""Characters of a mail path without its brackets (RFC 5321, section 4.5.3.1.3)."""
SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 1024
LONGEST_NAME = 100
# The dot-atom of RFC 5322 with a host name: no quotes, no comments, nothing that could break a header or a log line.
_EMAIL = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")


def now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)


class Role(StrEnum):
    """What a user may do to others."""

    USER = "user"
    ADMIN = "admin"


class Scope(StrEnum):
    """What a caller may do with a key."""

    READ = "read"
    """Look at what is there: GET."""
    WRITE = "write"
    """Have pictures worked on; make, change and delete what belongs to the caller."""
    ADMIN = "admin"
    """Manage users."""


ALL_SCOPES = frozenset(Scope)


def normalize_email(text: str) -> str:
    """Return ``text`` as it is kept and compared: without space around it, in lower case.

    Raises ValueError for what is no email address. International domains are written in their ASCII form.
    """
    email = text.strip().lower()
    if len(email) > LONGEST_EMAIL or not _EMAIL.fullmatch(email) or ".." in email:
        raise ValueError("give an email address such as name@example.org")
    return email


def check_password(password: str) -> str:
    """Return ``password`` in the one Unicode form that is hashed (RFC 8265). Raises ValueError when its length is bad."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise ValueError(f"give a password of {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    if any("\ud800" <= letter <= "\udfff" for letter in password):
        raise ValueError("give a password without halves of characters")
    return unicodedata.normalize("NFC", password)


def check_name(name: str) -> str:
    """Return the name of a key without space around it. Raises ValueError."""
    name = name.strip()
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise ValueError(f"give a name of 1 to {LONGEST_NAME} printable characters")
    return name


def _printable(text: str | None) -> str | None:
    if text is not None and any(not (letter.isprintable() or letter in "\n\t") for letter in text):
        raise ValueError("control characters are not allowed")
    return text or None


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("control characters are not allowed")
    return text


Email = Annotated[str, Field(max_length=LONGEST_EMAIL + 20), AfterValidator(normalize_email)]
_Name = Annotated[str, Field(max_length=LONGEST_NAME), AfterValidator(_one_line)]


class Profile(BaseModel):
    """What users say about themselves."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        str_strip_whitespace=True,
        use_attribute_docstrings=True,
    )

    first_name: _Name = ""
    """First name; an empty one is ignored."""
    last_name: _Name = ""
    """Last name; an empty one is ignored."""
    phone: Annotated[str | None, Field(max_length=40), AfterValidator(_printable)] = None
    """Telephone number."""
    delivery_recipient: Annotated[str | None, Field(max_length=200), AfterValidator(_printable)] = None
    """Who receives deliveries."""
    delivery_city: Annotated[str | None, Field(max_length=100), AfterValidator(_printable)] = None
    """City."""
    delivery_street: Annotated[str | None, Field(max_length=200), AfterValidator(_printable)] = None
    """Street."""
    delivery_house: Annotated[str | None, Field(max_length=40), AfterValidator(_printable)] = None
    """House."""
    delivery_apartment: Annotated[str | None, Field(max_length=40), AfterValidator(_printable)] = None
    """Apartment."""
    delivery_postal_code: Annotated[str | None, Field(max_length=20), AfterValidator(_printable)] = None
    """Postal code."""
    delivery_comment: Annotated[str | None, Field(max_length=1000), AfterValidator(_printable)] = None
    """What the courier should know."""


@dataclass(frozen=True, slots=True)
class User:
    """One user."""

    id: str
    """Also the owner of all that the user keeps."""
    email: str
    role: Role
    profile: Profile
    created_at: datetime
    signed_in_at: datetime | None
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Session:
    """One place where a user is signed in."""

    id: str
    agent: str | None
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Grant:
    """What a client gets for signing in."""

    user: User
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int
    """Seconds for which the access token is good."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key of a program, without its secret."""

    id: str
    name: str
    user_id: str | None
    """None: a key of the operator, for what belongs to nobody in particular."""
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and what they may do."""

    owner: str | None
    """To whom belongs what the caller keeps; None: to the operator and to anonymous callers."""
    user_id: str | None = None
    role: Role = Role.USER
    scopes: frozenset[Scope] = frozenset({Scope.READ, Scope.WRITE})
    key_id: str | None = None
    session_id: str | None = None

    @property
    def sees_everything(self) -> bool:
        """Whether it may see what all callers together do: operators, admins, and anonymous callers where they may in."""
        return self.owner is None or self.role is Role.ADMIN

    @property
    def is_anonymous(self) -> bool:
        """Whether the caller did not say who it is."""
        return self.user_id is None and self.key_id is None


ANONYMOUS = Caller(owner=None)
OPERATOR = Caller(owner=None, role=Role.ADMIN, scopes=ALL_SCOPES, key_id="operator")
"""Whoever has FACECRAFT_API_KEY."""
