"""Hashes of passwords."""

from __future__ import annotations

from facecraft.accounts.passwords import Passwords


def quick(**changes: int) -> Passwords:
    return Passwords(**{"time_cost": 1, "memory_kib": 8, "parallelism": 1, **changes})


def test_a_password_matches_its_hash_only() -> None:
    passwords = quick()
    kept = passwords.hash("correct horse")
    assert kept.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert passwords.matches(kept, "correct horse")
    assert not passwords.matches(kept, "correct horsf")
    assert kept != passwords.hash("correct horse")  # salted


def test_the_parameters_are_those_of_the_standard() -> None:
    # RFC 9106, section 4: t=3, p=4, m=2^16 KiB.
    assert Passwords().hash("x").startswith("$argon2id$v=19$m=65536,t=3,p=4$")


def test_nobody_has_a_password_but_is_asked_all_the_same() -> None:
    passwords = quick()
    assert not passwords.matches(None, "nobody has this password")
    assert vars(passwords)["_nobody"].startswith("$argon2id$v=19$m=8,t=1,p=1$")


def test_damaged_hashes_match_nothing() -> None:
    for kept in ("", "plain", "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$", "$2b$12$abcdefghijklmnopqrstuv"):
        assert not quick().matches(kept, "plain")


def test_hashes_of_other_parameters_are_outdated() -> None:
    kept = quick().hash("x")
    assert not quick().is_outdated(kept)
    assert quick(time_cost=2).is_outdated(kept)
    assert quick(time_cost=2).matches(kept, "x")
