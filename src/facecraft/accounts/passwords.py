"""Passwords are kept as argon2id hashes (RFC 9106)."""

from __future__ import annotations

import threading
from functools import cached_property

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError


class Passwords:
    """Hashes passwords and compares them. The defaults are the second recommendation of RFC 9106, section 4.

    Each hash takes ``memory_kib`` while it is worked on, so only ``at_once`` are: a flood of sign-ins waits, and does
    not fill the memory.
    """

    def __init__(self, *, time_cost: int = 3, memory_kib: int = 65_536, parallelism: int = 4, at_once: int = 2) -> None:
        self._hasher = PasswordHasher(
            time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism, type=Type.ID
        )
        self._places = threading.BoundedSemaphore(at_once)

    def hash(self, password: str) -> str:
        """Return the hash of ``password`` with its salt and parameters."""
        with self._places:
            return self._hasher.hash(password)

    def matches(self, kept: str | None, password: str) -> bool:
        """Return whether ``password`` is the one whose hash is ``kept``.

        None stands for an unknown user: that takes as long, so that nobody learns from the time who has an account.
        """
        with self._places:
            try:
                self._hasher.verify(self._nobody if kept is None else kept, password)
            except (VerificationError, InvalidHashError):
                return False
        return kept is not None

    def is_outdated(self, kept: str) -> bool:
        """Whether ``kept`` was made with other parameters than are used now."""
        return self._hasher.check_needs_rehash(kept)

    @cached_property
    def _nobody(self) -> str:
        return self._hasher.hash("nobody has this password")
