"""What is kept of a secret, and who can read it."""

from __future__ import annotations

import base64

import pytest

from facecraft.errors import SecretUnreadableError
from facecraft.jobs.webhooks.sealing import Seal

SECRET = "5f2c8e1b9a7d4063b1e8c2f7a9d05e34"
WEBHOOK, OTHER = "01900000-0000-7000-8000-000000000001", "01900000-0000-7000-8000-000000000002"
KEPT = "1.AAECAwQFBgcICQoLvr9Y9g0JkdQS0mrMW287QEBHS4+Io9IJfwA="


def seal(secret: str = SECRET) -> Seal:
    return Seal(lambda: secret)


def test_what_was_sealed_is_read_by_every_server_with_the_same_secret() -> None:
    assert seal().open(WEBHOOK, seal().close(WEBHOOK, "whsec_öffne")) == "whsec_öffne"


def test_a_secret_that_was_kept_once_stays_readable() -> None:
    assert seal().open(WEBHOOK, KEPT) == "whsec_kept"


def test_the_same_text_is_never_kept_the_same_way() -> None:
    own = seal()
    assert len({own.close(WEBHOOK, "whsec_a") for _ in range(20)}) == 20


@pytest.mark.parametrize("other", ["another secret of the server", SECRET.upper()])
def test_another_secret_of_the_server_reads_nothing(other: str) -> None:
    with pytest.raises(SecretUnreadableError) as caught:
        seal(other).open(WEBHOOK, seal().close(WEBHOOK, "whsec_a"))
    assert "Rotate" in (caught.value.hint or "")


def test_it_cannot_be_moved_to_another_webhook() -> None:
    with pytest.raises(SecretUnreadableError):
        seal().open(OTHER, seal().close(WEBHOOK, "whsec_a"))


def test_a_changed_bit_is_noticed() -> None:
    kept = bytearray(base64.b64decode(seal().close(WEBHOOK, "whsec_a").removeprefix("1.")))
    for position in (0, 12, len(kept) - 1):
        changed = bytearray(kept)
        changed[position] ^= 1
        with pytest.raises(SecretUnreadableError):
            seal().open(WEBHOOK, "1." + base64.b64encode(changed).decode())


@pytest.mark.parametrize("kept", ["", "1.", "whsec_AAAA", "1.AAAA", "1.!!!!", "2." + "A" * 80, "1." + "A" * 80, "ä"])
def test_what_is_no_sealed_secret_is_refused(kept: str) -> None:
    with pytest.raises(SecretUnreadableError):
        seal().open(WEBHOOK, kept)
