"""Secrets of webhooks are encrypted before they are kept.

They must be read again to sign with, so that a digest is not enough. The key is not in the database: a copy of it (a
dump, a backup, a replica) tells nobody how to forge a message.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable
from functools import cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from facecraft.errors import SecretUnreadableError

_FORM = "1."
"""What is kept begins with it: AES-256-GCM, nonce and ciphertext with its tag in base64."""
_PURPOSE = b"facecraft: secrets of webhooks, form 1"
"""Keys that are derived for something else are other keys (RFC 5869, section 3.2)."""
_KEY_BYTES = 32
_NONCE_BYTES = 12
"""Random nonces of 96 bits are good for 2³² secrets (NIST SP 800-38D, section 8.3)."""


class Seal:
    """Encrypts and decrypts with a key derived (HKDF-SHA256, RFC 5869) from the server's own secret.

    A sealed text is bound to its webhook: copied into another row it cannot be read.
    """

    def __init__(self, secret: Callable[[], str]) -> None:
        """``secret`` returns the server's secret, of full strength; it is called when the first text is sealed or read."""
        self._secret = secret

    def close(self, webhook_id: str, text: str) -> str:
        """Return what is kept of ``text``. Raises what getting the server's secret raises."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, text.encode(), webhook_id.encode())
        return _FORM + base64.b64encode(nonce + sealed).decode()

    def open(self, webhook_id: str, kept: str) -> str:
        """Return the text that :meth:`close` was given.

        Raises SecretUnreadableError: it was sealed under another secret of the server, or was changed.
        """
        try:
            raw = base64.b64decode(kept.removeprefix(_FORM), validate=True)
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], webhook_id.encode()).decode()
        except (InvalidTag, ValueError, binascii.Error) as error:
            raise SecretUnreadableError(detail=type(error).__name__) from error

    @cached_property
    def _cipher(self) -> AESGCM:
        key = HKDF(SHA256(), _KEY_BYTES, salt=None, info=_PURPOSE).derive(self._secret().encode())
        return AESGCM(key)
