"""`PasswordResets`: the way back in for whoever forgot the password, by a mail."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlencode

import sqlalchemy as sa

from facecraft.accounts.errands import Errands
from facecraft.accounts.mail import Mail, Mailer
from facecraft.accounts.passwords import Passwords
from facecraft.accounts.records import check_password, now
from facecraft.accounts.tokens import digest, new_secret
from facecraft.accounts.users import Users, checked, replace_password
from facecraft.db.database import Database
from facecraft.db.tables import PASSWORD_RESETS, USERS
from facecraft.errors import ResetTokenError

LIFETIME = timedelta(hours=1)
_TEXT = """Somebody, probably you, asked for a new password for {email}.

{way}

This works once, within an hour. If it was not you, do nothing: your password stays as it is.
"""


class PasswordResets:
    """Mails tokens for a new password, and takes them back. Methods raise StorageError when the database fails."""

    def __init__(
        self,
        database: Database,
        users: Users,
        passwords: Passwords,
        mailer: Mailer,
        errands: Errands,
        *,
        page: str | None,
        changed: Callable[[], None],
    ) -> None:
        """``page`` is the address of the page on which a new password is entered."""
        self._database = database
        self._users = users
        self._passwords = passwords
        self._mailer = mailer
        self._errands = errands
        self._page = page
        self._changed = changed

    def ask(self, email: str) -> None:
        """Mail a token when there is such a user. All of it is done later, so that the answer tells nothing."""
        self._errands.do("mail for a new password", lambda: self._send(email))

    def _send(self, email: str) -> None:
        user = self._users.find(email)
        if user is None or user.disabled_at is not None:
            return
        token = new_secret()
        with self._database.write() as connection:
            connection.execute(sa.delete(PASSWORD_RESETS).where(PASSWORD_RESETS.c.user_id == user.id))
            row = {"digest": digest(token), "user_id": user.id, "expires_at": now() + LIFETIME}
            connection.execute(sa.insert(PASSWORD_RESETS).values(**row))
        way = f"Your token: {token}"
        if self._page is not None:
            joint = "&" if "?" in self._page else "?"
            way = f"Choose it here:\n{self._page}{joint}{urlencode({'token': token})}"
        self._mailer.send(Mail(user.email, "A new password for Facecraft", _TEXT.format(email=user.email, way=way)))

    def redeem(self, token: str, password: str, *, revoke_keys: bool = False) -> None:
        """Replace the password of whom ``token`` was mailed to; all sessions of that user end.

        Keys stay unless ``revoke_keys``. Raises ResetTokenError, InvalidOptionError.
        """
        password = checked(check_password, password)
        kept = sa.and_(PASSWORD_RESETS.c.digest == digest(token), PASSWORD_RESETS.c.expires_at > now())
        query = (
            sa.select(USERS.c.id).select_from(PASSWORD_RESETS.join(USERS)).where(kept, USERS.c.disabled_at.is_(None))
        )
        with self._database.read() as connection:
            user_id = connection.execute(query).scalar_one_or_none()
        if user_id is None:
            raise ResetTokenError
        hashed = self._passwords.hash(password)
        with self._database.write() as connection:
            # First the user, as everybody does who changes a password: the other way round two would wait for each other.
            connection.execute(sa.select(USERS.c.id).where(USERS.c.id == user_id).with_for_update())
            if connection.execute(sa.delete(PASSWORD_RESETS).where(kept)).rowcount == 0:
                raise ResetTokenError
            replace_password(connection, user_id, hashed, revoke_keys=revoke_keys)
        self._changed()
