"""What every blob store promises, shown on each of them."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from facecraft.errors import StorageAccessError
from facecraft.storage import BlobNotFoundError, BlobStore, ObjectBlobStore


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return ObjectBlobStore.folder(tmp_path / "blobs") if request.param == "folder" else ObjectBlobStore.memory()


def test_what_was_put_comes_back(store: BlobStore) -> None:
    store.put("job/portrait.png", b"\x00\x01")
    assert store.get("job/portrait.png") == b"\x00\x01"


def test_putting_again_replaces(store: BlobStore) -> None:
    store.put("job/a.bin", b"long first version")
    store.put("job/a.bin", b"2")
    assert store.get("job/a.bin") == b"2"


def test_a_missing_blob_is_a_named_error(store: BlobStore) -> None:
    with pytest.raises(BlobNotFoundError):
        store.get("job/nothing.png")


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


@pytest.mark.parametrize("key", ["", "..", "../x", "a/../b", "/etc/passwd", "a//b", "A.png", "a\x00b", "a/", ".hidden"])
def test_a_key_that_we_would_not_make_is_refused(store: BlobStore, key: str) -> None:
    with pytest.raises(ValueError, match="not a storage key"):
        store.put(key, b"x")
    with pytest.raises(ValueError, match="not a storage key"):
        store.get(key)


def test_threads_do_not_disturb_each_other(store: BlobStore) -> None:
    def work(number: int) -> None:
        for turn in range(20):
            store.put(f"job/{number}.bin", bytes([number, turn]) * 1000)
            assert store.get(f"job/{number}.bin") == bytes([number, turn]) * 1000

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(list(store.find("job"))) == 8


def test_check_leaves_nothing_behind(store: BlobStore) -> None:
    store.check()
    assert list(store.find("")) == []


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageAccessError):
        ObjectBlobStore.folder(tmp_path / "file" / "blobs")


def test_emptied_folders_disappear(tmp_path: Path) -> None:
    store = ObjectBlobStore.folder(tmp_path)
    store.put("job/a.bin", b"1")
    store.delete("job/a.bin")
    assert list(tmp_path.iterdir()) == []
