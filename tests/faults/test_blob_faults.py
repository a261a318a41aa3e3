"""Stores that fill up, may not be written, lose what they were given, go away or fall silent."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from facecraft.errors import StorageAccessError, StorageError, StorageFullError
from facecraft.storage import ObjectBlobStore
from services.s3_quick import QuickS3, run_quick_s3

PATIENCE = timedelta(seconds=2)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 12 MB; skips where none can be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small disk needs the right to mount one")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_on_a_full_disk_nothing_is_half_written(small_disk: Path) -> None:
    store = ObjectBlobStore.folder(small_disk)
    store.put("job/a.bin", b"as it was")
    with pytest.raises(StorageFullError):
        store.put("job/a.bin", bytes(13_000_000))
    with pytest.raises(StorageFullError):
        store.put_file("job/a.bin", io.BytesIO(bytes(20_000_000)))
    assert store.get("job/a.bin") == b"as it was"
    store.put("job/b.bin", bytes(9_000_000))  # the space of what failed is free again
    assert {info.key for info in store.find("")} == {"job/a.bin", "job/b.bin"}


def test_a_disk_that_may_not_be_written_is_said_so(small_disk: Path) -> None:
    store = ObjectBlobStore.folder(small_disk)
    store.put("job/a.bin", b"1")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for use in (
        lambda: store.put("job/b.bin", b"1"),
        lambda: store.put_file("job/b.bin", io.BytesIO(bytes(9_000_000))),
        lambda: store.delete("job/a.bin"),
        store.check,
    ):
        with pytest.raises(StorageAccessError):
            use()
    assert store.get("job/a.bin") == b"1"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_of_somebody_else_is_said_so(tmp_path: Path) -> None:
    store = ObjectBlobStore.folder(tmp_path / "blobs")
    (tmp_path / "blobs").chmod(0o500)
    try:
        with pytest.raises(StorageAccessError):
            store.put("job/a.bin", b"1")
    finally:
        (tmp_path / "blobs").chmod(0o700)


WRITES = """
import io, sys, time
from pathlib import Path
from facecraft.storage import ObjectBlobStore

class Slow(io.RawIOBase):
    pieces = 0
    def read(self, size=-1):
        self.pieces += 1
        if self.pieces == 3:
            print("writing", flush=True)
            time.sleep(60)
        return bytes(size)

ObjectBlobStore.folder(Path(sys.argv[1])).put_file("job/a.bin", Slow())
"""


def test_what_a_killed_process_was_writing_is_never_seen_and_tidied_away(tmp_path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITES, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait(10)
        if writer.stdout is not None:
            writer.stdout.close()
    store = ObjectBlobStore.folder(tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a.bin#1"]
    assert list(store.find("")) == []
    now = datetime.now(UTC)
    assert store.tidy(now - timedelta(hours=1)) == 0  # it might still be written
    assert store.tidy(now + timedelta(hours=1)) == 1
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


class Forgetful(ObjectBlobStore):
    """A store that says that it has kept what it then has not."""

    def put(self, key: str, data: bytes, *, media_type: str | None = None) -> None:
        super().put(key, data, media_type=media_type)
        self.delete(key)


class Garbling(ObjectBlobStore):
    """A store that keeps something else."""

    def put(self, key: str, data: bytes, *, media_type: str | None = None) -> None:
        super().put(key, data[:-1], media_type=media_type)


@pytest.mark.parametrize("kind", [Forgetful, Garbling])
def test_a_store_that_does_not_keep_what_it_was_given_fails_its_check(kind: type[ObjectBlobStore]) -> None:
    store = kind(ObjectBlobStore.memory()._store)
    with pytest.raises(StorageError, match="what was written"):
        store.check()
    assert list(store.find("")) == []


# --- a bucket


@pytest.fixture
def server() -> Iterator[QuickS3]:
    with run_quick_s3() as running:
        yield running


def every_use(store: ObjectBlobStore) -> tuple[object, ...]:
    return (
        lambda: store.put("job/a.bin", b"1"),
        lambda: store.put_file("job/a.bin", io.BytesIO(bytes(9_000_000))),
        lambda: store.get("job/a.bin"),
        lambda: store.stream("job/a.bin"),
        lambda: store.delete("job/a.bin"),
        lambda: list(store.find("")),
        store.check,
    )


@pytest.mark.timeout(90)
def test_a_store_that_went_away_is_given_up(server: QuickS3) -> None:
    store = ObjectBlobStore.s3(server.account.config(server.account.bucket()), patience=PATIENCE)
    store.put("job/a.bin", b"1")
    server.stop()
    for use in every_use(store):
        with pytest.raises(StorageError) as caught:
            use()
        assert type(caught.value) is StorageError  # not a missing blob, not a wrong key
        assert "FACECRAFT_S3_ENDPOINT" in (caught.value.hint or "")


@pytest.mark.timeout(110)
def test_a_store_that_says_nothing_is_given_up(server: QuickS3) -> None:
    store = ObjectBlobStore.s3(server.account.config(server.account.bucket()), patience=PATIENCE)
    store.put("job/a.bin", b"1")
    server.freeze()
    for use in (lambda: store.get("job/a.bin"), lambda: store.put("job/a.bin", b"1")):
        with pytest.raises(StorageError) as caught:
            use()
        assert type(caught.value) is StorageError


@pytest.mark.timeout(90)
def test_a_download_that_breaks_off_is_an_error_not_an_end(server: QuickS3) -> None:
    store = ObjectBlobStore.s3(server.account.config(server.account.bucket()), patience=PATIENCE)
    store.put_file("job/a.bin", io.BytesIO(bytes(60_000_000)))
    pieces = store.stream("job/a.bin")
    assert len(next(pieces)) < 60_000_000
    server.stop()
    with pytest.raises(StorageError):
        list(pieces)


def test_a_store_that_comes_back_is_used_again(server: QuickS3) -> None:
    store = ObjectBlobStore.s3(server.account.config(server.account.bucket()), patience=PATIENCE)
    server.stop()
    with pytest.raises(StorageError):
        store.put("job/a.bin", b"1")
    server.start()
    again = ObjectBlobStore.s3(server.account.config(server.account.bucket()))
    again.put("job/a.bin", b"1")
    with pytest.raises(StorageAccessError, match="bucket does not exist"):  # moto forgot it: the store was reached
        store.put("job/a.bin", b"1")
