"""Which addresses belong to the internet, and which URLs may be called."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from facecraft.errors import AddressRefusedError
from facecraft.jobs.webhooks.addresses import check_url, refuse_private

PUBLIC = ["8.8.8.8", "1.1.1.1", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1", "192.0.1.1",
          "223.255.255.255", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e"]  # fmt: skip


def leads_to(*addresses: str) -> Callable[[str], Sequence[str]]:
    return lambda _: addresses


@pytest.mark.parametrize("address", PUBLIC)
def test_the_internet_is_allowed(address: str) -> None:
    assert [str(found) for found in refuse_private(address)] == [address]
    assert [str(found) for found in refuse_private("example.com", ask=leads_to(address))] == [address]


def test_every_address_is_returned_once_in_its_order() -> None:
    found = refuse_private("example.com.", ask=leads_to("8.8.8.8", "2606:4700::1", "8.8.8.8"))
    assert [str(address) for address in found] == ["8.8.8.8", "2606:4700::1"]


def test_a_name_is_asked_for_once() -> None:
    asked: list[str] = []

    def ask(name: str) -> Sequence[str]:
        asked.append(name)
        return ["8.8.8.8"]

    refuse_private("Example.COM", ask=ask)
    refuse_private("8.8.8.8", ask=ask)
    assert asked == ["example.com"]


def test_private_networks_are_allowed_where_the_operator_says_so() -> None:
    assert [str(found) for found in refuse_private("127.0.0.1", private=True)] == ["127.0.0.1"]
    assert refuse_private("localhost", private=True, ask=leads_to("::1"))
    with pytest.raises(AddressRefusedError):
        refuse_private("0x7f.1", private=True)


@pytest.mark.parametrize("fault", [OSError("no such name"), UnicodeError("label too long")])
def test_an_unknown_name_is_refused_in_the_same_words_as_a_private_one(fault: Exception) -> None:
    def ask(_: str) -> Sequence[str]:
        raise fault

    with pytest.raises(AddressRefusedError) as unknown:
        refuse_private("nobody.example", ask=ask)
    with pytest.raises(AddressRefusedError) as private:
        refuse_private("intranet.example", ask=leads_to("10.0.0.1"))
    with pytest.raises(AddressRefusedError) as empty:
        refuse_private("empty.example", ask=leads_to())
    assert unknown.value.message == private.value.message == empty.value.message


def test_what_needs_no_name_server_to_know_is_said() -> None:
    for host in ("localhost", "127.0.0.1", "10.1.2.3", "::1"):
        with pytest.raises(AddressRefusedError, match="this machine or into a private network") as caught:
            refuse_private(host)
        assert "FACECRAFT_WEBHOOK_PRIVATE_ADDRESSES" in str(caught.value.public_hint)


def test_the_operator_is_told_whether_a_name_is_unknown_or_private() -> None:
    with pytest.raises(AddressRefusedError, match="private network"):
        refuse_private("intranet.example", openly=True, ask=leads_to("10.0.0.1"))
    with pytest.raises(AddressRefusedError, match="Nobody answers"):
        refuse_private("empty.example", openly=True, ask=leads_to())


@pytest.mark.parametrize(
    ("url", "host", "authority"),
    [
        ("https://example.com/hook", "example.com", "example.com"),
        ("https://EXAMPLE.com:8443/hook?a=b", "example.com", "example.com:8443"),
        ("https://example.com./hook", "example.com", "example.com."),
        ("https://münchen.example/ü", "xn--mnchen-3ya.example", "xn--mnchen-3ya.example"),
        ("https://[2606:4700::1]:1/", "2606:4700::1", "[2606:4700::1]:1"),
        ("https://8.8.8.8:65535", "8.8.8.8", "8.8.8.8:65535"),
        ("https://a_b.example/", "a_b.example", "a_b.example"),
    ],
)
def test_good_urls_are_read(url: str, host: str, authority: str) -> None:
    target = check_url(url)
    assert (target.host, target.authority) == (host, authority)


def test_the_address_takes_the_place_of_the_name() -> None:
    target = check_url("https://example.com:8443/hook?a=b")
    (four,) = refuse_private("8.8.8.8")
    (six,) = refuse_private("2606:4700::1")
    assert str(target.at(four)) == "https://8.8.8.8:8443/hook?a=b"
    assert str(target.at(six)) == "https://[2606:4700::1]:8443/hook?a=b"
