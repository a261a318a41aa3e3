"""The JSON bodies and replies of accounts: names in camel case, as the web apps that came before spell them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic.alias_generators import to_camel

from facecraft.accounts.records import (
    LONGEST_NAME,
    LONGEST_PASSWORD,
    SHORTEST_PASSWORD,
    ApiKey,
    Email,
    Grant,
    Profile,
    Role,
    Scope,
    Session,
    User,
)

Password = Annotated[SecretStr, Field(min_length=SHORTEST_PASSWORD, max_length=LONGEST_PASSWORD)]
Token = Annotated[SecretStr, Field(min_length=1, max_length=200)]


class Body(BaseModel):
    """A JSON body; unknown names are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True
    )


class Login(Body):
    """Who signs in."""

    email: Email
    """Upper and lower case are the same."""
    password: Annotated[SecretStr, Field(max_length=LONGEST_PASSWORD)]
    """The password."""


class Signup(Body):
    """Who wants an account."""

    email: Email
    """Upper and lower case are the same."""
    password: Password
    """8 to 1024 characters of any script."""
    first_name: Annotated[str, Field(max_length=LONGEST_NAME)] = ""
    """First name."""
    last_name: Annotated[str, Field(max_length=LONGEST_NAME)] = ""
    """Last name."""

    @property
    def profile(self) -> Profile:
        """What the user says so far. Raises ValidationError for control characters."""
        return Profile(first_name=self.first_name, last_name=self.last_name)


class NewUser(Signup):
    """A user made by an admin."""

    role: Role = Role.USER
    """What the user may do to others."""


class UserChange(Body):
    """What changes of a user; what is absent stays."""

    role: Role | None = None
    """The new role."""
    disabled: bool | None = None
    """Lock the user out, or let the user in again."""


class Refresh(Body):
    """A refresh token."""

    refresh_token: Token
    """From signing in or from the refresh before; good for one use."""


class Forgotten(Body):
    """Who forgot the password."""

    email: Email
    """Upper and lower case are the same."""


class NewPassword(Body):
    """A new password for whom a token was mailed to."""

    token: Token
    """From the mail."""
    password: Password
    """8 to 1024 characters of any script."""
    revoke_keys: bool = False
    """Revoke all API keys of the user, too."""


class PasswordChange(Body):
    """A new password for whoever knows the old one."""

    old_password: Annotated[SecretStr, Field(max_length=LONGEST_PASSWORD)]
    """The password until now."""
    new_password: Password
    """8 to 1024 characters of any script."""
    revoke_keys: bool = False
    """Revoke all API keys of the user, too."""


class Farewell(Body):
    """Who deletes the own account."""

    password: Annotated[SecretStr, Field(max_length=LONGEST_PASSWORD)]
    """The password: a stolen token must not be enough."""


class UserRecord(Profile):
    """One user."""

    id: str
    """Also the owner of all that the user keeps."""
    email: str
    """In lower case."""
    role: Role
    """What the user may do to others."""
    disabled: bool
    """Whether the user is locked out."""
    created_at: datetime
    """When the account was made."""
    signed_in_at: datetime | None
    """When the user last signed in."""

    @classmethod
    def of(cls, user: User) -> UserRecord:
        """Make the record of ``user``."""
        return cls(
            id=user.id, email=user.email, role=user.role, disabled=user.disabled_at is not None,
            created_at=user.created_at, signed_in_at=user.signed_in_at, **user.profile.model_dump(),
        )  # fmt: skip


class UsersPage(Body):
    """One page of users."""

    items: tuple[UserRecord, ...]
    cursor: str | None
    """What to send for the next page; null on the last."""


class Tokens(Body):
    """What a client sends from now on."""

    token: str
    """The access token: send it as ``Authorization: Bearer``."""
    refresh_token: str
    """Good for one ``refresh``, which replaces it."""
    expires_in: int
    """Seconds for which the access token is good."""
    user: UserRecord
    """Who signed in."""

    @classmethod
    def of(cls, grant: Grant) -> Tokens:
        """Make the reply for ``grant``."""
        return cls(
            token=grant.access_token,
            refresh_token=grant.refresh_token,
            expires_in=grant.expires_in,
            user=UserRecord.of(grant.user),
        )


class SessionRecord(Body):
    """One place where the user is signed in."""

    id: str
    current: bool
    """Whether this request came from there."""
    agent: str | None
    """What the browser calls itself."""
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime
    """When it ends unless it is refreshed."""

    @classmethod
    def of(cls, session: Session, current: str | None) -> SessionRecord:
        """Make the record of ``session``, seen from the session ``current``."""
        return cls(
            id=session.id, current=session.id == current, agent=session.agent, created_at=session.created_at,
            refreshed_at=session.refreshed_at, expires_at=session.expires_at,
        )  # fmt: skip


class SessionsPage(Body):
    """All sessions of a user."""

    items: tuple[SessionRecord, ...]


class NewKey(Body):
    """A key to make."""

    name: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
    """What it is for."""
    scopes: Annotated[frozenset[Scope], Field(min_length=1)] = frozenset({Scope.READ, Scope.WRITE})
    """What may be done with it."""
    expires_at: datetime | None = None
    """When it stops working; null: never."""


class KeyRecord(Body):
    """One API key, without its secret."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    """What may be done with it."""
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    """When it was last used, to the minute."""

    @classmethod
    def of(cls, key: ApiKey) -> KeyRecord:
        """Make the record of ``key``."""
        return cls(
            id=key.id, name=key.name, scopes=tuple(sorted(key.scopes)), created_at=key.created_at,
            expires_at=key.expires_at, used_at=key.used_at,
        )  # fmt: skip


class MadeKey(KeyRecord):
    """A key that was just made."""

    key: str
    """What to send as ``X-API-Key``. It is shown this once."""

    @classmethod
    def made(cls, key: ApiKey, secret: str) -> MadeKey:
        """Make the reply for ``key``."""
        return cls(**KeyRecord.of(key).model_dump(), key=secret)


class KeysPage(Body):
    """All keys of a user."""

    items: tuple[KeyRecord, ...]
