"""Installing from servers that break off, lie, stall and refuse."""

from __future__ import annotations

import bz2
import hashlib
import io
import shutil
import ssl
import subprocess
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from facecraft.catalog import Catalog, InstallStatus, ModelSpec, ModelState, ModelStore
from facecraft.catalog.sources import Patience
from facecraft.errors import (
    CancelledError,
    ModelDownloadError,
    ModelIntegrityError,
    StorageFullError,
)
from facecraft.progress import CancelToken, ProgressEvent

BODY = hashlib.shake_128(b"weights").digest(3_000_000)
IMPATIENT = Patience(attempts=3, backoff=0.01, connect=2, read=0.5)


@dataclass
class Reply:
    """How the server answers one path."""

    body: bytes = BODY
    status: int = 200
    ranges: bool = True
    cut: list[int] = field(default_factory=list)
    """Close the connection after so many bytes, one entry for each of the first requests."""
    stall: bool = False
    length: int | None = None
    chunked: bool = False
    location: str | None = None


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.replies: dict[str, Reply] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.release = threading.Event()

    def at(self, path: str, reply: Reply) -> str:
        self.replies[path] = reply
        return f"http://127.0.0.1:{self.server_port}{path}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is what several tests are about."""


class _Answer(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append((self.path, wanted))
        reply = self.server.replies.get(self.path, Reply(b"not here", 404))
        body, status = reply.body, reply.status
        self.close_connection = True
        if wanted and reply.ranges and status == 200:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                self.send_error(416)
                return
            status, body = 206, body[start:]
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(reply.body) - 1}/{len(reply.body)}")
        if reply.location:
            self.send_header("Location", reply.location)
        if not reply.chunked:
            self.send_header("Content-Length", str(reply.length or len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        count = reply.cut.pop(0) if reply.cut else len(body)
        self.wfile.write(body[:count])
        if reply.stall:
            self.wfile.flush()
            self.server.release.wait(10)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.release.set()
        running.shutdown()
        thread.join()


def spec(*sources: str, name: str = "net", body: bytes = BODY, **changes: Any) -> ModelSpec:
    entry: dict[str, Any] = {
        "id": name, "task": "matting", "architecture": "toy", "file": f"{name}.onnx", "bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(), "evidence": "local", "license": "MIT", "commercial": True,
        "risk": "low", "runtime": "onnxruntime", "sources": list(sources),
    }  # fmt: skip
    return ModelSpec.model_validate(entry | changes)


def store_of(root: Path, *specs: ModelSpec, patience: Patience = IMPATIENT) -> ModelStore:
    return ModelStore(Catalog(specs), root, patience=patience)


def leftovers(store: ModelStore) -> list[str]:
    return sorted(path.name for path in (store.root / ".partial").iterdir())


def test_a_file_comes_whole_and_progress_only_grows(server: Server, tmp_path: Path) -> None:
    store = store_of(tmp_path, spec(server.at("/a", Reply())))
    heard: list[ProgressEvent] = []
    result = store.install(["net"], progress=heard.append)[0]
    assert (result.status, result.source) == (InstallStatus.INSTALLED, "127.0.0.1")
    assert store.path("net").read_bytes() == BODY
    fractions = [event.fraction for event in heard]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert leftovers(store) == []


def test_a_cut_connection_continues_where_it_stopped(server: Server, tmp_path: Path) -> None:
    store = store_of(tmp_path, spec(server.at("/a", Reply(cut=[1_000_000, 700_000]))))
    store.install(["net"])
    assert store.path("net").read_bytes() == BODY
    assert [wanted for _, wanted in server.asked] == [None, "bytes=1000000-", "bytes=1700000-"]


def test_the_next_run_continues_what_the_last_one_left(server: Server, tmp_path: Path) -> None:
    reply = Reply(cut=[500_000, 500_000, 500_000])
    store = store_of(tmp_path, spec(server.at("/a", reply)))
    with pytest.raises(ModelDownloadError, match="broke off after 1500000 bytes"):
        store.install(["net"])
    assert store.state("net") is ModelState.ABSENT
    assert leftovers(store) == ["net.onnx.part"]
    server.asked.clear()
    ModelStore(store.catalog, tmp_path).install(["net"])
    assert server.asked == [("/a", "bytes=1500000-")]
    assert store.path("net").read_bytes() == BODY


def test_a_mirror_continues_what_another_began(server: Server, tmp_path: Path) -> None:
    first = server.at("/a", Reply(cut=[400_000, 400_000, 400_000]))
    store = store_of(tmp_path, spec(first, server.at("/b", Reply())))
    store.install(["net"])
    assert server.asked[-1] == ("/b", "bytes=1200000-")
    assert store.installed("net")


def test_a_server_without_ranges_begins_again(server: Server, tmp_path: Path) -> None:
    store = store_of(tmp_path, spec(server.at("/a", Reply(ranges=False, cut=[1_000_000]))))
    store.install(["net"])
    assert store.path("net").read_bytes() == BODY


def test_a_rotten_beginning_is_fetched_once_more(server: Server, tmp_path: Path) -> None:
    store = store_of(tmp_path, spec(server.at("/a", Reply())))
    (tmp_path / ".partial").mkdir()
    (tmp_path / ".partial" / "net.onnx.part").write_bytes(b"rotten" * 1000)
    store.install(["net"])
    assert [wanted for _, wanted in server.asked] == ["bytes=6000-", None]
    assert store.path("net").read_bytes() == BODY


def test_a_leftover_longer_than_the_file_is_dropped(server: Server, tmp_path: Path) -> None:
    store = store_of(tmp_path, spec(server.at("/a", Reply())))
    (tmp_path / ".partial").mkdir()
    (tmp_path / ".partial" / "net.onnx.part").write_bytes(BODY + b"more")
    store.install(["net"])
    assert store.path("net").read_bytes() == BODY


def test_mirrors_are_tried_in_order_and_each_reason_is_told(server: Server, tmp_path: Path) -> None:
    addresses = [
        server.at("/gone", Reply(b"gone", 404)),
        server.at("/busy", Reply(b"busy", 503)),
        server.at("/wrong", Reply(b"x" * len(BODY))),
        server.at("/short", Reply(BODY[:-1])),
        "http://127.0.0.1:9/closed",  # the discard port: nobody listens
    ]
    store = store_of(tmp_path, spec(*addresses))
    heard: list[ProgressEvent] = []
    with pytest.raises(ModelDownloadError) as caught:
        store.install(["net"], progress=heard.append)
    assert any("404 Not Found" in event.message for event in heard), "told at once, not only at the end"
    for reason in ("404 Not Found", "503", "another checksum", "2999999 bytes instead of 3000000", "cannot be reached"):
        assert reason in caught.value.message
    assert [path for path, _ in server.asked] == ["/gone", "/busy", "/busy", "/busy", "/wrong", "/short"]
    assert "models install net" in (caught.value.hint or "")
    assert store.state("net") is ModelState.ABSENT
    assert leftovers(store) == []


def test_when_every_source_is_wrong_it_is_not_the_network(server: Server, tmp_path: Path) -> None:
    store = store_of(tmp_path, spec(server.at("/a", Reply(b"x" * len(BODY)))))
    with pytest.raises(ModelIntegrityError) as caught:
        store.install(["net"])
    assert "Update Facecraft" in (caught.value.hint or "")
    assert list(tmp_path.glob("*.onnx")) == []
    assert len(server.asked) == 1, "the same address would bring the same wrong bytes"


@pytest.mark.parametrize("chunked", [True, False])
def test_a_file_without_end_is_cut_off(server: Server, tmp_path: Path, chunked: bool) -> None:
    store = store_of(tmp_path, spec(server.at("/a", Reply(BODY + BODY, chunked=chunked))))
    with pytest.raises(ModelIntegrityError):
        store.install(["net"])
    assert sum(path.stat().st_size for path in (tmp_path / ".partial").iterdir()) == 0


def test_a_page_of_a_hotel_network_is_refused(server: Server, tmp_path: Path) -> None:
    store = store_of(tmp_path, spec(server.at("/a", Reply(b"<html>Welcome! Log in</html>"))))
    with pytest.raises(ModelIntegrityError):
        store.install(["net"])


def test_a_silent_server_is_given_up(server: Server, tmp_path: Path) -> None:
    reply = Reply(stall=True, cut=[1000, 1000, 1000])
    patience = Patience(attempts=2, backoff=0.01, connect=1, read=0.1)
    store = store_of(tmp_path, spec(server.at("/a", reply)), patience=patience)
    with pytest.raises(ModelDownloadError, match="did not answer in time"):
        store.install(["net"])


def test_redirects_are_followed_and_rings_are_not(server: Server, tmp_path: Path) -> None:
    server.at("/real", Reply())
    store = store_of(tmp_path, spec(server.at("/moved", Reply(b"", 302, location="/real"))))
    store.install(["net"])
    assert store.installed("net")
    ring = store_of(tmp_path / "ring", spec(server.at("/ring", Reply(b"", 302, location="/ring"))))
    with pytest.raises(ModelDownloadError, match="redirects more than 5 times"):
        ring.install(["net"])


def test_a_proxy_is_used(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.server_port}")
    server.replies["http://models.invalid/net.onnx"] = Reply()
    store = store_of(tmp_path, spec("http://models.invalid/net.onnx"))
    store.install(["net"])
    assert server.asked == [("http://models.invalid/net.onnx", None)]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_an_unknown_certificate_is_refused(server: Server, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1",
         "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    address = server.at("/a", Reply()).replace("http:", "https:")
    store = store_of(tmp_path / "models", spec(address))
    with pytest.raises(ModelDownloadError, match="CERTIFICATE_VERIFY_FAILED"):
        store.install(["net"])
    assert server.asked == []


def test_no_space_is_said_before_the_first_request(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(tmp_path, spec(server.at("/a", Reply())))
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr("facecraft.catalog.files.shutil.disk_usage", lambda _: usage)
    with pytest.raises(StorageFullError) as caught:
        store.install(["net"])
    assert "3.0 MB" in caught.value.message
    assert "FACECRAFT_MODELS_DIR" in (caught.value.hint or "")
    assert server.asked == []


def test_a_disk_that_fills_meanwhile_is_told_as_such(server: Server, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=36m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small disk needs the right to mount one")
    try:
        body = bytes(30 << 20)
        store = store_of(disk, spec(server.at("/a", Reply(body, chunked=True)), body=body, bytes=None))
        (disk / "other").write_bytes(bytes(10 << 20))
        free = shutil.disk_usage(disk).free
        assert free < len(body)
        with pytest.raises(StorageFullError):
            store.install(["net"])
        assert store.state("net") is ModelState.ABSENT
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_damaged_model_is_replaced(server: Server, tmp_path: Path) -> None:
    store = store_of(tmp_path, spec(server.at("/a", Reply())))
    (tmp_path / "net.onnx").write_bytes(b"z" * len(BODY))
    assert store.state("net") is ModelState.CORRUPT
    store.install(["net"])
    assert store.path("net").read_bytes() == BODY


def test_cancel_keeps_what_is_there_for_the_next_run(server: Server, tmp_path: Path) -> None:
    token = CancelToken()
    store = store_of(tmp_path, spec(server.at("/a", Reply(stall=True, cut=[1_500_000]))))

    def stop(event: ProgressEvent) -> None:
        if event.fraction > 0:
            token.cancel()

    with pytest.raises((CancelledError, ModelDownloadError)):
        store.install(["net"], progress=stop, cancel=token)
    assert (tmp_path / ".partial" / "net.onnx.part").stat().st_size > 0
    assert not (tmp_path / "net.onnx").exists()


def test_cancel_ends_the_pause_between_tries(server: Server, tmp_path: Path) -> None:
    token = CancelToken()
    store = store_of(tmp_path, spec(server.at("/a", Reply(b"", 503))), patience=Patience(backoff=15))
    threading.Timer(0.2, token.cancel).start()
    started = time.monotonic()
    with pytest.raises(CancelledError):
        store.install(["net"], cancel=token)
    assert time.monotonic() - started < 10


def test_one_zip_serves_all_its_members(server: Server, tmp_path: Path) -> None:
    one, two = BODY, BODY[::-1]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as bundle:
        bundle.writestr("one.onnx", one)
        bundle.writestr("pack/two.onnx", two)
    address = server.at("/pack.zip", Reply(packed.getvalue(), cut=[2_000_000]))
    bundle_spec = spec(address, name="pack", body=packed.getvalue(), task="bundle", file="pack.zip")
    store = store_of(
        tmp_path,
        spec(f"{address}#one.onnx", name="one"),
        spec(f"{address}#two.onnx", name="two", body=two),
        bundle_spec,
    )
    store.install(["one", "two"])
    assert store.path("one").read_bytes() == one
    assert store.path("two").read_bytes() == two
    assert server.asked == [("/pack.zip", None), ("/pack.zip", "bytes=2000000-")]
    assert leftovers(store) == []


def test_a_small_member_of_a_large_zip_comes_from_its_own_address(server: Server, tmp_path: Path) -> None:
    zipped = server.at("/pack.zip", Reply(bytes(20_000_000)))
    bundle_spec = spec(zipped, name="pack", body=bytes(20_000_000), task="bundle", file="pack.zip")
    single = server.at("/a", Reply())
    store = store_of(tmp_path, spec(f"{zipped}#net.onnx", single), bundle_spec)
    store.install(["net"])
    assert [path for path, _ in server.asked] == ["/a"]


def test_a_zip_with_a_wrong_member_falls_back_to_the_mirror(server: Server, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as bundle:
        bundle.writestr("one.onnx", b"x" * len(BODY))
        bundle.writestr("two.onnx", BODY[::-1])
    address = server.at("/pack.zip", Reply(packed.getvalue()))
    mirror = server.at("/one", Reply())
    pin = spec(address, name="pack", body=packed.getvalue(), task="bundle", file="pack.zip")
    store = store_of(
        tmp_path,
        spec(f"{address}#one.onnx", mirror, name="one"),
        spec(f"{address}#two.onnx", name="two", body=BODY[::-1]),
        pin,
    )
    store.install(["one", "two"])
    assert store.installed("one")
    assert store.installed("two")
    assert [path for path, _ in server.asked] == ["/pack.zip", "/one"]


def test_a_bzip2_file_is_unpacked_and_checked(server: Server, tmp_path: Path) -> None:
    address = server.at("/net.onnx.bz2", Reply(bz2.compress(BODY)))
    store = store_of(tmp_path, spec(address))
    store.install(["net"])
    assert store.path("net").read_bytes() == BODY
    bomb = server.at("/bomb.onnx.bz2", Reply(bz2.compress(bytes(50 << 20))))
    other = store_of(tmp_path / "other", spec(bomb))
    with pytest.raises(ModelIntegrityError):
        other.install(["net"])
    assert leftovers(other) == []
