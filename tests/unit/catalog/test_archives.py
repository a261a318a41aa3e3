"""Members come out whole, bounded and under our own name, or not at all."""

from __future__ import annotations

import bz2
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from facecraft.catalog.archives import extract_member
from facecraft.errors import CancelledError, ModelIntegrityError
from facecraft.progress import CancelToken

BODY = bytes(range(256)) * 5000


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, body in members.items():
            bundle.writestr(name, body)
    return path


def tarred(path: Path, members: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    with tarfile.open(path, "w:gz") as bundle:
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            bundle.addfile(info, io.BytesIO(body))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            bundle.addfile(info)
    return path


def extract(archive: Path, member: str | None, part: Path, limit: int = len(BODY)) -> str:
    return extract_member(archive, member, part, limit=limit, cancel=CancelToken())


@pytest.mark.parametrize("make", [zipped, tarred])
@pytest.mark.parametrize("name", ["pkg/models/net.dat", "pkg-1.0/pkg/models/net.dat", "deep/er/pkg/models/net.dat"])
def test_member_is_found_with_and_without_its_wrapping(tmp_path: Path, make: object, name: str) -> None:
    assert callable(make)
    archive = make(tmp_path / "a", {name: BODY, "pkg-1.0/README": b"hello"})
    digest = extract(archive, "pkg/models/net.dat", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == BODY
    assert digest == hashlib.sha256(BODY).hexdigest()


def test_bzip2_holds_the_file_itself(tmp_path: Path) -> None:
    archive = tmp_path / "a.bz2"
    archive.write_bytes(bz2.compress(BODY))
    extract(archive, None, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == BODY


@pytest.mark.parametrize("make", [zipped, tarred])
def test_hostile_names_never_become_paths(tmp_path: Path, make: object) -> None:
    assert callable(make)
    inside = tmp_path / "inside"
    inside.mkdir()
    archive = make(inside / "a", {"../../evil": b"x", "/etc/evil": b"x", "net.dat": BODY})
    extract(archive, "net.dat", inside / "out")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "inside", "out"]


def test_links_in_a_tar_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    archive = tarred(tmp_path / "a", {"other": b"x"}, links={"net.dat": str(secret)})
    with pytest.raises(ModelIntegrityError, match=r"has no file net\.dat"):
        extract(archive, "net.dat", tmp_path / "out")


def test_ambiguous_and_missing_members_are_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a", {"one/net.dat": BODY, "two/net.dat": b"other"})
    for member in ("net.dat", "absent.dat"):
        with pytest.raises(ModelIntegrityError, match="has no file"):
            extract(archive, member, tmp_path / "out")


@pytest.mark.parametrize("kind", ["zip", "tar", "bz2"])
def test_bomb_stops_at_the_expected_size(tmp_path: Path, kind: str) -> None:
    bomb = bytes(64 << 20)
    archive = tmp_path / "a"
    if kind == "bz2":
        archive.write_bytes(bz2.compress(bomb))
    else:
        (zipped if kind == "zip" else tarred)(archive, {"net.dat": bomb})
    assert archive.stat().st_size < 100_000
    with pytest.raises(ModelIntegrityError, match="holds more than"):
        extract(archive, None if kind == "bz2" else "net.dat", tmp_path / "out", limit=1000)
    assert (tmp_path / "out").stat().st_size <= 1000


@pytest.mark.parametrize("kind", ["zip", "tar", "bz2"])
@pytest.mark.parametrize("damage", ["cut", "garbled"])
def test_damage_is_an_integrity_error_or_another_checksum(tmp_path: Path, kind: str, damage: str) -> None:
    archive = tmp_path / "a"
    body = hashlib.shake_128(b"noise").digest(50_000)
    if kind == "bz2":
        archive.write_bytes(bz2.compress(body))
    else:
        (zipped if kind == "zip" else tarred)(archive, {"net.dat": body})
    data = bytearray(archive.read_bytes())
    if damage == "cut":
        del data[len(data) // 2 :]
    else:
        data[20_000:20_040] = bytes(40)
    archive.write_bytes(data)
    try:
        digest = extract(archive, None if kind == "bz2" else "net.dat", tmp_path / "out", limit=len(body))
    except ModelIntegrityError:
        return
    assert digest != hashlib.sha256(body).hexdigest()


def test_not_an_archive_at_all(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(b"<html>Please log in to the hotel network</html>")
    for member in ("net.dat", None):
        with pytest.raises(ModelIntegrityError, match="damaged"):
            extract(archive, member, tmp_path / "out")


def test_cancel_stops_unpacking(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a", {"net.dat": BODY})
    token = CancelToken()
    token.cancel()
    with pytest.raises(CancelledError):
        extract_member(archive, "net.dat", tmp_path / "out", limit=len(BODY), cancel=token)
