"""Who is counted: the caller, else the address, which nobody can make up."""

from __future__ import annotations

import ipaddress

import pytest

from facecraft.accounts.records import ANONYMOUS, OPERATOR, Caller
from facecraft.api.callers.rates import address_of, counted_as, email_name

PROXIES = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1/128"))


def scope(client: str | None, *forwarded: str) -> dict[str, object]:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return {"type": "http", "client": None if client is None else (client, 1), "headers": headers}


@pytest.mark.parametrize(
    ("client", "forwarded", "address"),
    [
        ("203.0.113.9", (), "203.0.113.9"),
        ("203.0.113.9", ("1.1.1.1",), "203.0.113.9"),  # not a proxy of ours: what it says counts for nothing
        ("10.0.0.2", ("198.51.100.7",), "198.51.100.7"),
        ("10.0.0.2", ("1.1.1.1, 198.51.100.7",), "198.51.100.7"),  # the caller wrote 1.1.1.1
        ("10.0.0.2", ("1.1.1.1", "198.51.100.7"), "198.51.100.7"),
        ("10.0.0.2", ("198.51.100.7, 10.9.9.9",), "198.51.100.7"),  # two proxies in a row
        ("10.0.0.2", ("10.1.1.1, 198.51.100.7",), "198.51.100.7"),
        ("10.0.0.2", ("127.0.0.1, nonsense",), "10.0.0.2"),
        ("10.0.0.2", ("",), "10.0.0.2"),
        ("10.0.0.2", (), "10.0.0.2"),
        ("::1", ("198.51.100.7",), "198.51.100.7"),
        ("::ffff:10.0.0.2", ("198.51.100.7",), "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", (), "2001:db8:1:2::/64"),  # a household is one caller
        ("2001:db8:1:2::9", (), "2001:db8:1:2::/64"),
        (None, ("1.1.1.1",), "unknown"),
        ("testclient", ("1.1.1.1",), "unknown"),
    ],
)
def test_the_address_is_the_last_that_can_be_trusted(
    client: str | None, forwarded: tuple[str, ...], address: str
) -> None:
    assert address_of(scope(client, *forwarded), PROXIES) == address


def test_without_proxies_the_header_is_ignored() -> None:
    assert address_of(scope("10.0.0.2", "198.51.100.7"), ()) == "10.0.0.2"


def test_users_come_before_keys_and_keys_before_addresses() -> None:
    assert counted_as(Caller("u", user_id="u", key_id="k"), "1.1.1.1") == "user:u"
    assert counted_as(Caller(None, key_id="k"), "1.1.1.1") == "key:k"
    assert counted_as(Caller("u", user_id="u", session_id="s"), "1.1.1.1") == "user:u"
    assert counted_as(ANONYMOUS, "1.1.1.1") == counted_as(None, "1.1.1.1") == "address:1.1.1.1"
    assert counted_as(OPERATOR, "1.1.1.1") == "key:operator"


def test_emails_are_counted_without_being_kept() -> None:
    assert "ann" not in email_name("ann@example.org")
    assert email_name("ann@example.org") != email_name("bob@example.org")
