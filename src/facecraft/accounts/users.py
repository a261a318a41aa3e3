"""`Users`: who has an account here."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import IntegrityError

from facecraft.accounts.closing import close
from facecraft.accounts.passwords import Passwords
from facecraft.accounts.records import Profile, Role, User, check_password, normalize_email, now
from facecraft.db.database import Database
from facecraft.db.ids import new_id, parse_id
from facecraft.db.listing import Listing, check_limit, cut, decode_cursor
from facecraft.db.tables import API_KEYS, PASSWORD_RESETS, SESSIONS, USERS
from facecraft.errors import (
    AccountDisabledError,
    EmailTakenError,
    InvalidCredentialsError,
    InvalidOptionError,
    LastAdminError,
    UserNotFoundError,
)

_LOOKS = 2
"""How often a password is compared when it is written anew in between."""
_OLD_IS_WRONG = "The old password is wrong."
log = logging.getLogger("facecraft.accounts")


def _nothing(connection: Connection, user_id: str, /) -> None:
    """Write nothing more."""


class Users:
    """Every user of one database. Safe to use from several threads and several processes.

    Every method raises StorageError when the database fails; ``changed`` is called after anything that changes what
    somebody may do.
    """

    def __init__(
        self, database: Database, passwords: Passwords, *, changed: Callable[[], None], known_seconds: float
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._changed = changed
        self.on_deleted: list[Callable[[str], None]] = []
        """Called with the id of a user who is about to be deleted, to delete what the user owns. When one raises, the
        user stays, disabled, and can be deleted again."""
        self.known_seconds = known_seconds
        """For how long another process may let in a user who was disabled."""

    def create(self, email: str, password: str, *, role: Role = Role.USER, profile: Profile | None = None) -> User:
        """Make a user. Raises EmailTakenError, InvalidOptionError."""
        email, password = checked(normalize_email, email), checked(check_password, password)
        hashed, moment, said = self._passwords.hash(password), now(), profile or Profile()
        row = {
            "id": new_id(), "email": email, "password_hash": hashed, "role": role.value,
            "created_at": moment, "updated_at": moment,
        }  # fmt: skip
        with self._database.write() as connection:
            try:
                connection.execute(sa.insert(USERS).values(**row, **said.model_dump()))
            except IntegrityError as error:
                raise EmailTakenError from error
            made = _require(connection, str(row["id"]))
        self._changed()
        return to_user(made)

    def get(self, user_id: str) -> User:
        """Return one user. Raises UserNotFoundError."""
        with self._database.read() as connection:
            return to_user(_require(connection, user_id))

    def find(self, email: str) -> User | None:
        """Return the user with ``email``, None when there is none."""
        with self._database.read() as connection:
            row = _by_email(connection, email)
        return None if row is None else to_user(row)

    def browse(self, *, cursor: str | None = None, limit: int = 50) -> Listing[User]:
        """List the users, the oldest first; ``limit`` 1..200. Raises InvalidOptionError."""
        check_limit(limit)
        query = sa.select(USERS).order_by(USERS.c.id).limit(limit + 1)
        if cursor is not None:
            query = query.where(USERS.c.id > decode_cursor(cursor))
        with self._database.read() as connection:
            return cut(connection.execute(query).all(), limit, to_user, lambda row: str(row.id))

    def authenticate(self, email: str, password: str, *, also: Callable[[Connection, str], object] = _nothing) -> User:
        """Return the user with this email and password.

        ``also`` is called with the user's id in the transaction that holds this password to be the user's: what it
        writes is there before the password changes, or not at all. It takes as long for an unknown email. Raises
        InvalidCredentialsError, and AccountDisabledError to whoever knows the password.
        """
        try:
            email, password = normalize_email(email), check_password(password)
        except ValueError as error:
            raise InvalidCredentialsError from error
        for _ in range(_LOOKS):
            with self._database.read() as connection:
                row = _by_email(connection, email)
            if not self._passwords.matches(None if row is None else row.password_hash, password) or row is None:
                raise InvalidCredentialsError
            kept: str = row.password_hash
            if row.disabled_at is not None:
                raise AccountDisabledError
            values: dict[str, datetime | str] = {"signed_in_at": now()}
            if self._passwords.is_outdated(kept):
                values["password_hash"] = self._passwords.hash(password)
            same = sa.and_(USERS.c.id == row.id, USERS.c.password_hash == kept, USERS.c.disabled_at.is_(None))
            with self._database.write() as connection:
                if connection.execute(sa.update(USERS).where(same).values(**values)).rowcount == 1:
                    also(connection, row.id)
                    return to_user(_require(connection, row.id))
            # It changed meanwhile: to another password, or only to another hash of this one.
        raise InvalidCredentialsError

    def change_profile(self, user_id: str, profile: Profile) -> User:
        """Change what was set in ``profile`` and leave the rest; empty names are ignored. Raises UserNotFoundError."""
        said = profile.model_dump(include=profile.model_fields_set)
        values = {name: value for name, value in said.items() if value or name not in ("first_name", "last_name")}
        return self._update(user_id, **values)

    def set_role(self, user_id: str, role: Role, *, keep_admin: bool = False) -> User:
        """Give a user another role. Raises UserNotFoundError, and with ``keep_admin`` LastAdminError."""
        return self._update(user_id, keep_admin=keep_admin and role is not Role.ADMIN, role=role.value)

    def set_disabled(self, user_id: str, *, disabled: bool, keep_admin: bool = False) -> User:
        """Lock a user out, and end all sessions; or let the user in again.

        Raises UserNotFoundError, and with ``keep_admin`` LastAdminError.
        """
        moment = now() if disabled else None
        return self._update(user_id, end_sessions=disabled, keep_admin=keep_admin and disabled, disabled_at=moment)

    def change_password(
        self, user_id: str, old: str, new: str, *, session_id: str | None = None, revoke_keys: bool = False
    ) -> None:
        """Replace the password of a user who knows it; all sessions but ``session_id`` end.

        Keys stay unless ``revoke_keys``. Of two at once who know the same old one, the second is refused. Raises
        InvalidCredentialsError, InvalidOptionError, UserNotFoundError.
        """
        kept = self.confirm(user_id, old, wrong=_OLD_IS_WRONG)
        hashed = self._passwords.hash(checked(check_password, new))
        with self._database.write() as connection:
            if not replace_password(connection, user_id, hashed, old=kept, keep=session_id, revoke_keys=revoke_keys):
                raise InvalidCredentialsError(_OLD_IS_WRONG)
        self._changed()

    def confirm(self, user_id: str, password: str, *, wrong: str = "The password is wrong.") -> str:
        """Return the kept hash if this is the password of the user.

        Raises InvalidCredentialsError that says ``wrong``, UserNotFoundError.
        """
        with self._database.read() as connection:
            kept: str = _require(connection, user_id).password_hash
        try:
            password = check_password(password)
        except ValueError as error:
            raise InvalidCredentialsError(wrong) from error
        if not self._passwords.matches(kept, password):
            raise InvalidCredentialsError(wrong)
        return kept

    def set_password(self, user_id: str, password: str, *, revoke_keys: bool = False) -> None:
        """Replace the password of a user; all sessions end. Keys stay unless ``revoke_keys``.

        Raises InvalidOptionError, UserNotFoundError.
        """
        hashed = self._passwords.hash(checked(check_password, password))
        with self._database.write() as connection:
            replace_password(connection, user_id, hashed, revoke_keys=revoke_keys)
        self._changed()

    def delete(self, user_id: str, *, keep_admin: bool = False) -> None:
        """Delete a user with all sessions and keys, and what the hooks delete.

        Raises UserNotFoundError, and with ``keep_admin`` LastAdminError for the last admin while there are other users. Takes a few seconds: other processes must have forgotten the user before the hooks look for what to delete.
        """
        self.set_disabled(user_id, disabled=True, keep_admin=keep_admin)
        time.sleep(self.known_seconds)
        for hook in self.on_deleted:
            hook(user_id)
        with self._database.write() as connection:
            connection.execute(sa.delete(USERS).where(USERS.c.id == user_id))
            close(connection)
        self._changed()

    def take_back(self, user_id: str) -> None:
        """Delete a user who was just made and has nothing, as if that user had never been."""
        with self._database.write() as connection:
            connection.execute(sa.delete(USERS).where(USERS.c.id == user_id))
        self._changed()

    def _update(
        self, user_id: str, *, end_sessions: bool = False, keep_admin: bool = False, **values: str | datetime | None
    ) -> User:
        with self._database.write() as connection:
            _require(connection, user_id)
            if keep_admin:
                _refuse_last_admin(connection, user_id)
            connection.execute(sa.update(USERS).where(USERS.c.id == user_id).values(updated_at=now(), **values))
            if end_sessions:
                connection.execute(sa.delete(SESSIONS).where(SESSIONS.c.user_id == user_id))
            made = _require(connection, user_id)
        self._changed()
        return to_user(made)


def replace_password(
    connection: Connection,
    user_id: str,
    hashed: str,
    *,
    old: str | None = None,
    keep: str | None = None,
    revoke_keys: bool = False,
) -> bool:
    """Write the hash of a new password, and end all sessions but ``keep`` and all links for a forgotten one.

    With ``old``, the hash until now, nothing is done when there is another one by now, and False is returned. Raises
    UserNotFoundError.
    """
    _require(connection, user_id)
    same = USERS.c.id == user_id if old is None else sa.and_(USERS.c.id == user_id, USERS.c.password_hash == old)
    # First the user: who signs in at this moment holds the row, or finds the new hash in it.
    changed = sa.update(USERS).where(same).values(password_hash=hashed, updated_at=now())
    if connection.execute(changed).rowcount == 0:
        return False
    others = sa.delete(SESSIONS).where(SESSIONS.c.user_id == user_id)
    connection.execute(others if keep is None else others.where(SESSIONS.c.id != keep))
    connection.execute(sa.delete(PASSWORD_RESETS).where(PASSWORD_RESETS.c.user_id == user_id))
    if revoke_keys:
        connection.execute(sa.delete(API_KEYS).where(API_KEYS.c.user_id == user_id))
    return True


def to_user(row: Row[Any]) -> User:
    """Make the record of a user."""
    profile = Profile.model_construct(**{name: getattr(row, name) for name in Profile.model_fields})
    return User(row.id, row.email, Role(row.role), profile, row.created_at, row.signed_in_at, row.disabled_at)


def checked(check: Callable[[str], str], text: str) -> str:
    """Return what ``check`` makes of ``text``. Raises InvalidOptionError for its ValueError."""
    try:
        return check(text)
    except ValueError as error:
        raise InvalidOptionError(f"Please {error}.") from error


def _by_email(connection: Connection, email: str) -> Row[Any] | None:
    query = sa.select(USERS).where(USERS.c.email == email.strip().lower())
    return connection.execute(query).one_or_none()


def _refuse_last_admin(connection: Connection, user_id: str) -> None:
    """Raise LastAdminError when without this user nobody could manage the others."""
    # Locked, so that of two admins who let each other go one stays; in one order, so that they do not wait for each other.
    query = sa.select(USERS.c.id).where(USERS.c.role == Role.ADMIN.value, USERS.c.disabled_at.is_(None))
    admins = connection.execute(query.order_by(USERS.c.id).with_for_update()).scalars().all()
    others = connection.execute(sa.select(sa.exists().where(USERS.c.id != parse_id(user_id)))).scalar_one()
    if list(admins) == [parse_id(user_id)] and others:
        raise LastAdminError


def _require(connection: Connection, user_id: str) -> Row[Any]:
    known = parse_id(user_id)
    row = None if known is None else connection.execute(sa.select(USERS).where(USERS.c.id == known)).one_or_none()
    if row is None:
        raise UserNotFoundError
    return row
