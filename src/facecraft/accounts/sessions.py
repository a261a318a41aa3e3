"""`Sessions`: where users are signed in.

A session is a family of refresh tokens (RFC 6819, section 5.2.2.3; RFC 9700, section 4.14.2): each is good for one use
and is replaced by the next. One that comes a second time was copied by somebody, so the whole session ends.

Except for some seconds: two tabs of one browser refresh with the token they share, and whoever got no answer asks again.
Only digests are kept, so the successor cannot be sent a second time. The token gets another one of the same generation
instead, and the first of a generation that is used makes all others of it old.

What a thief gains by that: a copy that comes within these seconds ends nothing, and gets a token of its own. It stays
unnoticed until the session is refreshed next: whoever comes second then sends an old token, and the session ends for
both, as it would have at once without the grace. To stay for longer a thief has to come within the seconds after every
refresh of the owner, and never before it. What is older than one generation ends the session at any time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from facecraft.accounts.records import Grant, Session, User, now
from facecraft.accounts.tokens import AccessTokens, digest, new_secret
from facecraft.accounts.users import Users, to_user
from facecraft.db.database import Database
from facecraft.db.ids import new_id, parse_id
from facecraft.db.tables import PASSWORD_RESETS, REFRESH_TOKENS, SESSIONS, USERS
from facecraft.errors import SessionNotFoundError, TokenInvalidError

_AGENT_LENGTH = 200
_PIECE = 500
log = logging.getLogger("facecraft.accounts")


class Sessions:
    """Every session of one database. Every method raises StorageError when the database fails."""

    def __init__(
        self,
        database: Database,
        users: Users,
        tokens: Callable[[], AccessTokens],
        *,
        days: int,
        grace_seconds: float,
        changed: Callable[[], None],
    ) -> None:
        """``tokens`` is called when the first access token is issued; ``days`` is how long a session lasts unused.

        A refresh token is answered again for ``grace_seconds`` after its use; 0: never.
        """
        self._database = database
        self._users = users
        self._tokens = tokens
        self._lifetime = timedelta(days=days)
        self._grace = timedelta(seconds=grace_seconds)
        self._changed = changed

    def sign_in(self, email: str, password: str, *, agent: str | None = None) -> Grant:
        """Open a session for whoever knows the password. Raises InvalidCredentialsError, AccountDisabledError.

        A change of the password ends this session or refuses it, whichever of the two comes first.
        """
        session_id, refresh = new_id(), new_secret()
        user = self._users.authenticate(
            email, password, also=partial(self._insert, session_id=session_id, refresh=refresh, agent=agent)
        )
        return self._grant(user, session_id, refresh)

    def open(self, user: User, *, agent: str | None = None) -> Grant:
        """Open a session for ``user``; ``agent`` is what the browser calls itself."""
        session_id, refresh = new_id(), new_secret()
        with self._database.write() as connection:
            self._insert(connection, user.id, session_id=session_id, refresh=refresh, agent=agent)
        return self._grant(user, session_id, refresh)

    def of(self, token: str) -> str | None:
        """Return the id of the session that a refresh token was issued for, also if it was used; None: of none."""
        query = sa.select(REFRESH_TOKENS.c.session_id).where(REFRESH_TOKENS.c.digest == digest(token))
        with self._database.read() as connection:
            found: str | None = connection.execute(query).scalar_one_or_none()
        return found

    def refresh(self, token: str) -> Grant:
        """Return new tokens for a refresh token, which is used up by that. Raises TokenInvalidError."""
        sent, fresh, moment = digest(token), new_secret(), now()
        query = (
            sa.select(
                USERS, SESSIONS.c.id.label("session_id"), SESSIONS.c.generation, SESSIONS.c.refreshed_at,
                REFRESH_TOKENS.c.generation.label("sent_generation"), REFRESH_TOKENS.c.expires_at.label("good_until"),
            )
            .select_from(REFRESH_TOKENS.join(SESSIONS).join(USERS))
            .where(REFRESH_TOKENS.c.digest == sent)
            .with_for_update(of=SESSIONS)  # of two at once the second one waits, and sees what the first one did
        )  # fmt: skip
        with self._database.write() as connection:
            row = connection.execute(query).one_or_none()
            first = row is not None and row.sent_generation == row.generation
            again = row is not None and row.sent_generation == row.generation - 1 and self._is_recent(row.refreshed_at)
            good = row is not None and (first or again) and row.good_until > moment and row.disabled_at is None
            if row is not None and good:
                if first:
                    step = {
                        "generation": row.generation + 1,
                        "refreshed_at": moment,
                        "expires_at": moment + self._lifetime,
                    }
                    connection.execute(sa.update(SESSIONS).where(SESSIONS.c.id == row.session_id).values(**step))
                self._keep(connection, fresh, row.session_id, row.sent_generation + 1)
            elif row is not None:
                connection.execute(sa.delete(SESSIONS).where(SESSIONS.c.id == row.session_id))
        if row is None or not good:
            if row is not None:
                self._changed()
                log.warning("a refresh token was used twice or too late: session %s ended", row.session_id)
            raise TokenInvalidError
        return self._grant(to_user(row), row.session_id, fresh)

    def browse(self, user_id: str) -> tuple[Session, ...]:
        """List the sessions of a user, the oldest first."""
        query = sa.select(SESSIONS).where(SESSIONS.c.user_id == user_id, SESSIONS.c.expires_at > now())
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(SESSIONS.c.id)).all()
        return tuple(Session(row.id, row.agent, row.created_at, row.refreshed_at, row.expires_at) for row in rows)

    def end(self, session_id: str, *, user_id: str) -> None:
        """End one session of a user: its tokens are worth nothing from now on. Raises SessionNotFoundError."""
        mine = sa.and_(SESSIONS.c.id == (parse_id(session_id) or new_id()), SESSIONS.c.user_id == user_id)
        with self._database.write() as connection:
            ended = connection.execute(sa.delete(SESSIONS).where(mine)).rowcount
        self._changed()
        if not ended:
            raise SessionNotFoundError

    def end_all(self, user_id: str, *, keep: str | None = None) -> None:
        """End all sessions of a user, except for ``keep``."""
        others = sa.delete(SESSIONS).where(SESSIONS.c.user_id == user_id)
        with self._database.write() as connection:
            connection.execute(others if keep is None else others.where(SESSIONS.c.id != keep))
        self._changed()

    def sweep(self) -> None:
        """Delete what has expired: refresh tokens, sessions, tokens for a forgotten password.

        Little at a time, and nobody who writes is held up where there is nothing to delete.
        """
        moment = now()
        # Tokens go before their sessions, which would take all of theirs along in one piece.
        for table in (REFRESH_TOKENS, SESSIONS, PASSWORD_RESETS):
            (key,) = table.primary_key.columns
            old = sa.select(key).where(table.c.expires_at < moment).limit(_PIECE)
            while self._any(old):
                with self._database.write() as connection:
                    connection.execute(sa.delete(table).where(key.in_(old)))

    def _any(self, query: sa.Select[tuple[str]]) -> bool:
        with self._database.read() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def _is_recent(self, refreshed_at: datetime) -> bool:
        # The clocks of two servers may differ: a refresh of the future is not endlessly recent.
        return abs(now() - refreshed_at) < self._grace

    def _insert(
        self, connection: Connection, user_id: str, *, session_id: str, refresh: str, agent: str | None
    ) -> None:
        moment = now()
        shown = "".join(letter for letter in agent or "" if letter.isprintable())[:_AGENT_LENGTH]
        connection.execute(
            sa.insert(SESSIONS).values(
                id=session_id, user_id=user_id, agent=shown or None, generation=0, created_at=moment,
                refreshed_at=moment, expires_at=moment + self._lifetime,
            )
        )  # fmt: skip
        self._keep(connection, refresh, session_id, 0)

    def _keep(self, connection: Connection, refresh: str, session_id: str, generation: int) -> None:
        connection.execute(
            sa.insert(REFRESH_TOKENS).values(
                digest=digest(refresh), session_id=session_id, generation=generation, expires_at=now() + self._lifetime
            )
        )

    def _grant(self, user: User, session_id: str, refresh: str) -> Grant:
        tokens = self._tokens()
        return Grant(user, tokens.issue(user.id, session_id), refresh, tokens.seconds)
