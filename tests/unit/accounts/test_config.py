"""What an operator may decide about callers, and what is refused before anything starts."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from facecraft.accounts.config import AccountConfig
from facecraft.errors import ConfigurationError
from facecraft.settings import Settings

GOOD = "5f2c8e1b9a7d4063b1e8c2f7a9d05e34"


@pytest.mark.parametrize(
    "secret",
    [
        "", "changeme", "secret", "a" * 64, "ab" * 32, GOOD[:31], "your-secret-key-change-in-production-now!",
        "CHANGE_ME_CHANGE_ME_CHANGE_ME_0123", "super-secret-jwt-key-0123456789abcdef",
    ],
)  # fmt: skip
def test_a_placeholder_is_no_secret(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACECRAFT_JWT_SECRET_KEY", secret)
    with pytest.raises(ConfigurationError, match=r"FACECRAFT_JWT_SECRET_KEY: .*openssl rand -hex 32") as refused:
        Settings.load()
    assert not secret or secret not in str(refused.value)


def test_a_real_secret_is_taken_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET_KEY", GOOD)
    settings = Settings.load()
    assert settings.jwt_secret_key is not None
    assert settings.jwt_secret_key.get_secret_value() == GOOD
    assert GOOD not in repr(settings)


@pytest.mark.parametrize("rate", ["", "10/minute", "120/minute;2000/hour", "5 per 10 seconds", "1/day, 2/hours"])
def test_rates_are_read(rate: str) -> None:
    assert AccountConfig(rate_limit=rate).rate_limit == rate


@pytest.mark.parametrize("rate", ["10", "ten/minute", "10/fortnight", "10/minute and more", "-1/minute"])
def test_what_is_no_rate_is_refused(rate: str) -> None:
    with pytest.raises(ValidationError, match="write it like 120/minute"):
        AccountConfig(auth_rate_limit=rate)


def test_networks_of_proxies_are_read() -> None:
    config = AccountConfig(trusted_proxies=" 10.0.0.0/8, ::1 ")
    assert [str(network) for network in config.proxies] == ["10.0.0.0/8", "::1/128"]
    with pytest.raises(ValidationError):
        AccountConfig(trusted_proxies="everybody")


def test_a_quota_of_nothing_is_none() -> None:
    assert AccountConfig().quota_bytes is None
    assert AccountConfig(quota_mb=2).quota_bytes == 2 * 1024 * 1024
