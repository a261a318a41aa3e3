"""Webhooks as a way into the private network: every known way round the address check, and hostile receivers."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import anyio
import pytest

from facecraft.errors import AddressRefusedError
from facecraft.jobs.webhooks.addresses import check_url, refuse_private
from facecraft.jobs.webhooks.sending import MAX_ANSWER, Answer, Sender
from services.receivers import run_receiver

# The list of what imgproxy and others let through at some time.
INSIDE = {
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "unspecified": ["0.0.0.0", "0.1.2.3", "::"],  # noqa: S104 - refused, not listened to
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"],
    "unique local": ["fc00::1", "fd12:3456::1"],
    "link-local": ["169.254.169.254", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1"],
    "shared (CGNAT)": ["100.64.0.1", "100.100.100.200", "100.127.255.255"],
    "cloud": ["168.63.129.16", "fd00:ec2::254", "192.0.0.192"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1"],
    "reserved": ["240.0.0.1", "255.255.255.255", "192.0.0.1", "198.18.0.1"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "IPv4-mapped": ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::ffff:7f00:1"],
    "IPv4-compatible": ["::127.0.0.1", "::10.0.0.1"],
    "IPv4-translated": ["::ffff:0:127.0.0.1"],
    "NAT64": ["64:ff9b::127.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::10.0.0.1"],
    "6to4": ["2002:7f00:1::", "2002:a00:1::1", "192.88.99.1"],
    "Teredo": ["2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"],
    "ISATAP": ["2606:4700::5efe:10.0.0.1", "2606:4700::200:5efe:127.0.0.1", "fe80::5efe:a00:1"],
    "discard": ["100::1"],
    "outside of unicast": ["4000::1", "5f00::1", "fe00::1"],
}
EVERY = [(kind, address) for kind, addresses in INSIDE.items() for address in addresses]
NAMES = ["localhost", "LOCALHOST", "localhost.", "a.localhost", "localhost.localdomain"]
NUMBERS = ["2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "127.0.1", "0", "1.2.3.4.5", "256.1.1.1",
           "0x", "017700000001", "127.0.0.0x1", "example.0x7f", "127.0.0.1."]  # fmt: skip
URLS = [
    "http://example.com/", "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "//example.com/",
    "example.com", "https:example.com", "https://", "https:///hook", "https://user@example.com/",
    "https://user:password@example.com/", "https://@example.com/", "https://example.com@127.0.0.1/",
    "https://example.com#@127.0.0.1/", "https://127.0.0.1\\@example.com/", "https://example.com\\.evil/",
    "https://example.com:0/", "https://example.com:65536/", "https://example.com:-1/", "https://example.com:x/",
    "https://exa mple.com/", "https://example.com/\r\nX-Evil: 1", "https://example.com/\x00", "https://exam\tple.com/",
    "https://①②⑦.⓪.⓪.①/", "https://%31%32%37.0.0.1/", "https://[fe80::1%25eth0]/", "https://[::1", "https://[v1.x]/",
    "https://a..b/", "https://.example.com/", "https://example.com/" + "a" * 3000, "", "javascript:alert(1)",
]  # fmt: skip


@pytest.mark.parametrize(("kind", "address"), EVERY)
def test_nothing_inside_is_reached_by_its_number(kind: str, address: str) -> None:
    with pytest.raises(AddressRefusedError):
        refuse_private(address)


@pytest.mark.parametrize(("kind", "address"), EVERY)
def test_nothing_inside_is_reached_by_a_name_even_behind_a_good_address(kind: str, address: str) -> None:
    for answer in itertools.permutations(["8.8.8.8", address]):
        with pytest.raises(AddressRefusedError):
            refuse_private("rebind.example", ask=lambda _, answer=answer: answer)


@pytest.mark.parametrize("name", [*NAMES, *NUMBERS])
def test_names_of_this_machine_and_odd_numbers_are_not_even_asked_for(name: str) -> None:
    def ask(_: str) -> Sequence[str]:
        pytest.fail("it was asked for")

    with pytest.raises(AddressRefusedError):
        refuse_private(name, ask=ask)


@pytest.mark.parametrize("url", URLS)
def test_hostile_urls_are_refused(url: str) -> None:
    with pytest.raises(AddressRefusedError):
        check_url(url)


def send(url: str, *, seconds: float = 15.0, private: bool = True, ask: Callable[[str], Sequence[str]]) -> Answer:
    async def attempt() -> Answer:
        async with Sender(private=private, ask=ask, seconds=seconds) as sender:
            return await sender.send(url, {"webhook-id": "msg_1"}, b"{}")

    return anyio.run(attempt)


def test_a_name_that_changes_its_address_is_judged_and_called_once() -> None:
    answers = iter([["127.0.0.1"], ["127.0.0.2"]])
    with run_receiver() as receiver:
        answer = send(receiver.url("rebind.example"), ask=lambda _: next(answers))
        assert answer.status == 204
        assert receiver.received[0].headers["host"] == f"rebind.example:{receiver.port}"
    assert list(answers) == [["127.0.0.2"]]


def test_nothing_is_sent_to_a_name_that_leads_inside_by_the_time_of_the_delivery() -> None:
    with run_receiver() as receiver:
        url = receiver.url("rebind.example", "https")
        assert send(url, private=False, ask=lambda _: ["127.0.0.1"]).error is not None
        assert send(url, private=False, ask=lambda _: ["8.8.8.8", "127.0.0.1"]).error is not None
        assert receiver.received == []


def test_a_redirect_is_not_followed() -> None:
    with run_receiver() as inside, run_receiver() as receiver:
        for status in (301, 302, 303, 307, 308):
            receiver.statuses, receiver.headers = [status], {"Location": inside.url()}
            answer = send(receiver.url(), ask=lambda _: ["127.0.0.1"])
            assert (answer.status, answer.delivered) == (status, False)
        assert inside.received == []


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with run_receiver() as proxy, run_receiver() as receiver:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert send(receiver.url("hook.example"), ask=lambda _: ["127.0.0.1"]).delivered
        assert proxy.received == []


@contextmanager
def hostile(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """A receiver that does not keep to the rules."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                try:
                    line, _ = listening.accept()
                except OSError:
                    return
                with line:
                    try:
                        line.recv(65536)
                        talk(line)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            ended.set()
            listening.close()


def drip(line: socket.socket) -> None:
    for _ in range(2000):
        line.sendall(b"H")
        time.sleep(0.05)


def drip_headers(line: socket.socket) -> None:
    line.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(2000):
        line.sendall(f"X-{number}: 1\r\n".encode())
        time.sleep(0.05)


@pytest.mark.parametrize("talk", [drip, drip_headers])
def test_a_receiver_that_drips_is_given_up(talk: Callable[[socket.socket], None]) -> None:
    with hostile(talk) as url:
        answer = send(url, seconds=0.4, ask=lambda _: ["127.0.0.1"])
    assert answer.status is None
    assert answer.error == "No answer within 0.4 seconds."


def test_an_endless_answer_is_not_read() -> None:
    sent = 0

    def flood(line: socket.socket) -> None:
        nonlocal sent
        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
        for _ in range(2000):
            line.sendall(b"x" * 65536)
            sent += 65536

    with hostile(flood) as url:
        assert send(url, ask=lambda _: ["127.0.0.1"]).delivered
    assert sent < 512 * MAX_ANSWER, "of 2000 pieces only what fits into the buffers of both sockets is taken"


def test_a_body_that_stalls_does_not_undo_a_delivery() -> None:
    def stall(line: socket.socket) -> None:
        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
        line.recv(1)

    with hostile(stall) as url:
        assert send(url, seconds=0.4, ask=lambda _: ["127.0.0.1"]).delivered


@pytest.mark.parametrize(
    "reply",
    [b"", b"\x00" * 100, b"HTTP/1.1 999999999 x\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000, b"SSH-2.0-x\r\n",
     b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
)  # fmt: skip
def test_nonsense_is_an_answer_like_another(reply: bytes) -> None:
    with hostile(lambda line: line.sendall(reply)) as url:
        answer = send(url, seconds=2.0, ask=lambda _: ["127.0.0.1"])
    assert answer.status == 200 or answer.error
