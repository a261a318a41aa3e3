"""Which keys may see what all callers together do, for processes that serve no API."""

from __future__ import annotations

import hashlib
import hmac

from facecraft.accounts.config import AuthMode
from facecraft.accounts.opening import LazyAccounts
from facecraft.accounts.records import KEY_PREFIX, Scope
from facecraft.errors import TokenInvalidError

_LONGEST = 200
"""Characters of a key at most; what is longer is looked up nowhere."""


class Overseers:
    """Tells keys that see everything: the operator's, and API keys of operators and admins with the scope to read.

    Access tokens are not taken: they are for people, and need the secret that signs them. Safe to use from several
    threads.
    """

    def __init__(self, operator: str | None, accounts: LazyAccounts) -> None:
        """``operator`` is the key of the settings, if there is one."""
        self._operator = None if operator is None else hashlib.sha256(operator.encode()).digest()
        self._accounts = accounts

    def __call__(self, text: str) -> bool:
        """Whether ``text`` is such a key. Raises StorageError when that cannot be found out."""
        sent = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
        if self._operator is not None and hmac.compare_digest(sent, self._operator):
            return True
        if not text.startswith(KEY_PREFIX) or len(text) > _LONGEST or not self._accounts.exist():
            return False
        try:
            caller = self._accounts.open().callers.find(text)
        except TokenInvalidError:
            return False
        return caller.sees_everything and Scope.READ in caller.scopes

    def needed(self, mode: AuthMode) -> bool:
        """Whether callers have to say who they are: where there is a key, a user, or an operator who wants it.

        Raises StorageError.
        """
        if self._operator is not None or mode is AuthMode.REQUIRED:
            return True
        return mode is AuthMode.AUTO and self._accounts.exist() and self._accounts.open().callers.anybody()
