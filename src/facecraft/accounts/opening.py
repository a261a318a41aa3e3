"""Opens accounts when they are first needed. Importing this loads no database package; opening does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from facecraft.accounts.config import AccountConfig
from facecraft.accounts.mail import mailer_of
from facecraft.accounts.signing import kept_secret
from facecraft.errors import RuntimeMissingError

if TYPE_CHECKING:
    from facecraft.accounts.accounts import Accounts
    from facecraft.db.database import Database

_PACKAGES = ("argon2", "jwt", "sqlalchemy")


class LazyAccounts:
    """Accounts over a database that may not exist yet. Safe to use from several threads."""

    def __init__(
        self,
        config: AccountConfig,
        secret_file: Path,
        *,
        database: Callable[[], Database],
        erase: Callable[[str], None],
        exists: Callable[[], bool],
        debug: bool = False,
    ) -> None:
        """``exists`` tells whether there is a database without making one; ``erase`` deletes what an owner has.

        With ``debug``, mail that cannot be sent is shown in the log. Without a secret in ``config`` it is kept in ``secret_file``.
        """
        self._config = config
        self._secret_file = secret_file
        self._database = database
        self._erase = erase
        self._exists = exists
        self._debug = debug
        self._accounts: Accounts | None = None
        self._lock = Lock()

    @property
    def opened(self) -> Accounts | None:
        """The accounts, when they were opened already."""
        return self._accounts

    def exist(self) -> bool:
        """Whether there can be a user or a key: nothing is made to find that out."""
        return self._accounts is not None or self._exists()

    def open(self) -> Accounts:
        """Return the accounts. Raises ConfigurationError, StorageError, RuntimeMissingError."""
        with self._lock:
            if self._accounts is None:
                try:
                    from facecraft.accounts.accounts import Accounts  # noqa: PLC0415 - loads argon2, PyJWT, SQLAlchemy
                except ModuleNotFoundError as error:
                    if (error.name or "").partition(".")[0] not in _PACKAGES:
                        raise
                    raise RuntimeMissingError(
                        "The packages for accounts are not installed.",
                        hint="pip install 'facecraft[server]'",
                        detail=str(error),
                    ) from error
                mailer = mailer_of(self._config, debug=self._debug)
                accounts = Accounts(self._database(), self._config, self.secret, mailer=mailer)
                accounts.users.on_deleted.append(self._erase)
                self._accounts = accounts
            return self._accounts

    def close(self) -> None:
        """Finish what is done in the background; the database stays open."""
        with self._lock:
            if self._accounts is not None:
                self._accounts.close()

    def secret(self) -> str:
        """Return the server's own secret, which is made when it is first needed. Raises StorageAccessError, ConfigurationError."""
        given = self._config.jwt_secret_key
        return kept_secret(self._secret_file) if given is None else given.get_secret_value()
