"""What every blob store promises, shown on a folder, on memory and on two S3 servers, one of which checks signatures."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from facecraft.errors import StorageAccessError
from facecraft.storage import BlobNotFoundError, BlobStore, ObjectBlobStore, open_store
from facecraft.storage.config import StorageConfig

LARGE = 20_000_000


@pytest.fixture(params=["folder", "memory", "quick", "ceph"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    match request.param:
        case "folder":
            return open_store(StorageConfig(), tmp_path / "blobs")
        case "memory":
            return ObjectBlobStore.memory()
        case _:
            server = request.getfixturevalue("quick_s3" if request.param == "quick" else "ceph")
            return open_store(server.account.config(server.account.bucket()), tmp_path)


class Source(io.RawIOBase):
    """A long file that lies nowhere: it is made while it is read, and may break off."""

    def __init__(self, size: int, breaks_at: int | None = None) -> None:
        self._left = size
        self._breaks_at = breaks_at
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self._breaks_at is not None and self._left < self._breaks_at:
            raise ValueError("the sender went away")
        piece = os.urandom(min(size, self._left, 1_000_000))
        piece = (piece * (size // max(1, len(piece)) + 1))[: min(size, self._left)]
        self._left -= len(piece)
        self.digest.update(piece)
        return piece


def test_what_was_put_comes_back(store: BlobStore) -> None:
    store.put("job/portrait.png", b"\x00\x01", media_type="image/png")
    assert store.get("job/portrait.png") == b"\x00\x01"
    assert b"".join(store.stream("job/portrait.png")) == b"\x00\x01"


def test_nothing_at_all_comes_back_too(store: BlobStore) -> None:
    store.put("job/empty", b"")
    assert store.put_file("job/empty-file", io.BytesIO()) == 0
    assert store.get("job/empty") == b""
    assert b"".join(store.stream("job/empty-file")) == b""


def test_putting_again_replaces(store: BlobStore) -> None:
    store.put("job/a.bin", b"long first version")
    store.put("job/a.bin", b"2")
    assert store.get("job/a.bin") == b"2"


@pytest.mark.parametrize("size", [8 * 1024 * 1024, LARGE], ids=["exactly one part", "20 MB"])
def test_a_large_file_is_written_and_read_in_pieces(store: BlobStore, size: int) -> None:
    source = Source(size)
    assert store.put_file("job/large.bin", source, media_type="application/zip") == size
    read, largest, found = 0, 0, hashlib.sha256()
    for piece in store.stream("job/large.bin"):
        read, largest = read + len(piece), max(largest, len(piece))
        found.update(piece)
    assert (read, found.hexdigest()) == (size, source.digest.hexdigest())
    assert [(info.key, info.size) for info in store.find("job")] == [("job/large.bin", size)]


def test_a_file_is_kept_from_where_it_stands(store: BlobStore) -> None:
    file = io.BytesIO(b"headbody")
    file.seek(4)
    assert store.put_file("job/a.bin", file) == 4
    assert store.get("job/a.bin") == b"body"


def test_of_a_file_that_breaks_off_nothing_is_kept(store: BlobStore) -> None:
    store.put("job/a.bin", b"as it was")
    with pytest.raises(ValueError, match="went away"):
        store.put_file("job/a.bin", Source(LARGE, breaks_at=5_000_000))
    assert store.get("job/a.bin") == b"as it was"
    assert [info.size for info in store.find("")] == [9]


def test_a_missing_blob_is_a_named_error(store: BlobStore) -> None:
    with pytest.raises(BlobNotFoundError):
        store.get("job/nothing.png")
    with pytest.raises(BlobNotFoundError):
        store.stream("job/nothing.png")  # at once, not with the first piece


def test_deleting_twice_is_no_error(store: BlobStore) -> None:
    store.put("job/a.bin", b"1")
    store.delete("job/a.bin")
    store.delete("job/a.bin")
    assert list(store.find("job")) == []


def test_find_lists_one_folder_only(store: BlobStore) -> None:
    for key in ("job-1/a.png", "job-1/b.png", "job-10/c.png"):
        store.put(key, b"123")
    found = {info.key: info.size for info in store.find("job-1")}
    assert found == {"job-1/a.png": 3, "job-1/b.png": 3}
    assert len(list(store.find(""))) == 3
    now = datetime.now(UTC)
    assert all(abs(info.modified - now) < timedelta(minutes=5) for info in store.find(""))


def test_more_than_a_thousand_keys_are_listed(store: BlobStore) -> None:
    keys = [f"many/{number:04}" for number in range(1_010)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put(key, b""), keys))
    assert sorted(info.key for info in store.find("many")) == keys


def test_many_are_deleted_and_the_others_stay(store: BlobStore) -> None:
    keys = [f"many/{number:04}" for number in range(60)]
    for key in [*keys, "other/kept"]:
        store.put(key, b"1")
    store.delete_all([*keys, "many/never-there"])
    assert [info.key for info in store.find("")] == ["other/kept"]
    store.delete_all([])


@pytest.mark.parametrize("key", ["", "..", "../x", "a/../b", "/etc/passwd", "a//b", "A.png", "a\x00b", "a/", ".hidden"])
def test_a_key_that_we_would_not_make_is_refused(key: str, tmp_path: Path) -> None:
    account = {"s3_endpoint": "http://127.0.0.1:1", "s3_access_key": "k", "s3_secret_key": "s"}
    for store in (
        ObjectBlobStore.folder(tmp_path),
        ObjectBlobStore.memory(),
        ObjectBlobStore.s3(StorageConfig(s3_bucket="abc", **account)),  # refused before anything is sent
    ):
        for use in (
            lambda store: store.put(key, b"x"),
            lambda store: store.put_file(key, io.BytesIO(b"x")),
            lambda store: store.get(key),
            lambda store: store.stream(key),
            lambda store: store.delete(key),
            lambda store: store.delete_all([key]),
        ):
            with pytest.raises(ValueError, match="not a storage key"):
                use(store)


@pytest.mark.parametrize("media_type", ["", "png", "image/png\r\nX-Evil: 1", "a/b/c", "text/html; charset=x", "é/x"])
def test_a_media_type_that_could_end_a_header_is_refused(store: BlobStore, media_type: str) -> None:
    if store.presign("a", 60, filename="a", media_type="image/png") is None:
        return
    with pytest.raises(ValueError, match="not a media type"):
        store.put("a", b"x", media_type=media_type)
    with pytest.raises(ValueError, match="not a media type"):
        store.presign("a", 60, filename="a", media_type=media_type)


def test_threads_do_not_disturb_each_other(store: BlobStore) -> None:
    def work(number: int) -> None:
        for turn in range(10):
            store.put(f"job/{number}.bin", bytes([number, turn]) * 1000)
            assert store.get(f"job/{number}.bin") == bytes([number, turn]) * 1000

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(list(store.find("job"))) == 8


def test_check_leaves_nothing_behind(store: BlobStore) -> None:
    store.check()
    assert list(store.find("")) == []


def test_checks_of_several_processes_do_not_disturb_each_other(store: BlobStore) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: store.check(), range(20)))


MEASURED = """
import io, json, resource, sys
from pathlib import Path
from facecraft.storage import open_store
from facecraft.storage.config import StorageConfig

class Source(io.RawIOBase):
    left = 200_000_000
    def read(self, size=-1):
        size = min(size, self.left)
        self.left -= size
        return b"x" * size

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

store = open_store(StorageConfig(**json.loads(sys.argv[1])), Path(sys.argv[2]))
store.put_file("job/warm.bin", io.BytesIO(bytes(1000)))
before = peak()
assert store.put_file("job/large.bin", Source()) == 200_000_000
assert sum(len(piece) for piece in store.stream("job/large.bin")) == 200_000_000
print(peak() - before)
"""


@pytest.mark.parametrize("kind", ["folder", "ceph"])
def test_two_hundred_megabytes_pass_through_little_memory(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    config = {}
    if kind == "ceph":
        account = request.getfixturevalue("ceph").account
        config = {
            "s3_bucket": account.bucket(),
            "s3_endpoint": account.endpoint,
            "s3_access_key": account.access_key,
            "s3_secret_key": account.secret_key,
        }
    command = [sys.executable, "-c", MEASURED, json.dumps(config), str(tmp_path / "blobs")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 80, "MiB more than before"


def test_tidying_leaves_what_is_whole(store: BlobStore) -> None:
    store.put("job/a.bin", b"1")
    assert store.tidy(datetime.now(UTC) + timedelta(hours=1)) == 0
    assert store.get("job/a.bin") == b"1"


# --- the folder


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageAccessError):
        ObjectBlobStore.folder(tmp_path / "file" / "blobs")


def test_a_folder_is_made_for_this_user_only(tmp_path: Path) -> None:
    open_store(StorageConfig(), tmp_path / "blobs")
    assert (tmp_path / "blobs").stat().st_mode & 0o777 == 0o700


def test_emptied_folders_disappear(tmp_path: Path) -> None:
    store = ObjectBlobStore.folder(tmp_path)
    store.put("job/a.bin", b"1")
    store.delete("job/a.bin")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_and_memory_make_no_links(tmp_path: Path) -> None:
    for store in (ObjectBlobStore.folder(tmp_path), ObjectBlobStore.memory()):
        assert store.presign("job/a.bin", 60, filename="a", media_type="image/png") is None
