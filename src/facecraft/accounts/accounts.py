"""`Accounts`: users, sessions, keys and lost passwords over one database."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from threading import Lock

from facecraft.accounts.adoption import adopt
from facecraft.accounts.callers import MEMORY_SECONDS, Callers
from facecraft.accounts.config import AccountConfig
from facecraft.accounts.errands import Errands
from facecraft.accounts.keys import ApiKeys
from facecraft.accounts.mail import Mailer, mailer_of
from facecraft.accounts.passwords import Passwords
from facecraft.accounts.records import Grant, Profile
from facecraft.accounts.resets import PasswordResets
from facecraft.accounts.sessions import Sessions
from facecraft.accounts.tokens import AccessTokens
from facecraft.accounts.users import Users
from facecraft.db.database import Database
from facecraft.errors import SignupDisabledError


class Accounts:
    """Who may call: opened once over a migrated database, closed by whoever opened it."""

    def __init__(
        self,
        database: Database,
        config: AccountConfig,
        secret: Callable[[], str],
        *,
        passwords: Passwords | None = None,
        mailer: Mailer | None = None,
    ) -> None:
        """``secret`` returns the secret that signs tokens; it is called when the first one is issued or read."""
        passwords = passwords or Passwords()
        self._database = database
        self._config = config
        self._secret = secret
        self._signing = Lock()
        self.errands = Errands()
        self.callers = Callers(database, self._issuer, self.errands)
        changed = self.callers.forget
        self.users = Users(database, passwords, changed=changed, known_seconds=MEMORY_SECONDS)
        self.sessions = Sessions(
            database, self.users, self._issuer,
            days=config.refresh_token_days, grace_seconds=config.refresh_grace_seconds, changed=changed,
        )  # fmt: skip
        self.keys = ApiKeys(database, changed=changed)
        self.resets = PasswordResets(
            database, self.users, passwords, mailer or mailer_of(config), self.errands,
            page=config.password_reset_url, changed=changed,
        )  # fmt: skip

    def sign_up(self, email: str, password: str, profile: Profile, *, agent: str | None = None) -> Grant:
        """Make an account for a stranger and sign in. Raises SignupDisabledError, EmailTakenError, InvalidOptionError."""
        if not self._config.signup_enabled:
            raise SignupDisabledError
        return self.sessions.open(self.users.create(email, password, profile=profile), agent=agent)

    def adopt(self, user_id: str) -> dict[str, int]:
        """Give all that belongs to nobody to ``user_id``; return how many rows of each table. Raises StorageError."""
        return adopt(self._database, user_id)

    def close(self) -> None:
        """Finish what is done in the background. The database stays open."""
        self.errands.close()

    def _issuer(self) -> AccessTokens:
        with self._signing:
            return self._tokens

    @cached_property
    def _tokens(self) -> AccessTokens:
        return AccessTokens(self._secret(), minutes=self._config.access_token_minutes)
