"""ZIP files made while they are sent."""

from __future__ import annotations

import io
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from facecraft.api.files.zipping import Entry, entries_of, safe_stem, zipped
from facecraft.jobs.blob_rows import Blob
from facecraft.jobs.job import Item

PIECE = 64 * 1024


def blob(name: str, position: int = 0, size: int = 3) -> Blob:
    moment = datetime(1970, 1, 1, tzinfo=UTC)
    return Blob(f"{position}-{name}", None, "k", "j", position, name, "image/png", size, moment, None)


def pieces(of: Blob) -> Iterator[bytes]:
    for start in range(0, of.bytes, PIECE):
        yield b"x" * min(PIECE, of.bytes - start)


def test_any_program_can_read_it(tmp_path: Path) -> None:
    made = b"".join(zipped([Entry("0001-a.png", blob("a.png")), Entry("0002-ж.png", blob("b.png"))], pieces))
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["0001-a.png", "0002-ж.png"]
        assert archive.read("0001-a.png") == b"xxx"
    unzip = shutil.which("unzip")
    if unzip is None:
        pytest.skip("unzip is not installed: apt install unzip")
    (tmp_path / "a.zip").write_bytes(made)
    assert subprocess.run([unzip, "-t", str(tmp_path / "a.zip")], check=False, capture_output=True).returncode == 0


def test_no_more_than_a_piece_is_held() -> None:
    entries = [Entry(f"{n}.png", blob("a.png", size=40 * PIECE)) for n in range(5)]
    sizes = [len(piece) for piece in zipped(entries, pieces)]
    assert sum(sizes) > 5 * 40 * PIECE
    assert max(sizes) < 2 * PIECE


def test_what_breaks_off_is_not_a_whole_zip() -> None:
    def broken(_: Blob) -> Iterator[bytes]:
        yield b"x"
        raise OSError("gone")

    made = bytearray()
    with pytest.raises(OSError, match="gone"):
        made.extend(byte for piece in zipped([Entry("a.png", blob("a.png"))], broken) for byte in piece)
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(bytes(made)))


def test_no_name_leads_anywhere_and_none_comes_twice() -> None:
    names = [
        "../../etc/passwd",
        "C:\\a\\b.png",
        "a/../b.png",
        "..",
        "",
        None,
        "con",
        "ж\u202ea\0.png",
        "x" * 500 + ".jpg",
    ]
    items = [Item(index, name, {}) for index, name in enumerate(names)]
    files = [blob(name, index) for index in range(len(names)) for name in ("result.png", "mask.png", "result.json")]
    made = [entry.name for entry in entries_of(items, files)]
    assert len(set(made)) == len(made) == 3 * len(names)
    for name in made:
        assert not set(name) & set('/\\\0:"\u202e')
        assert not name.startswith(".")
        assert len(name) < 150
    assert made[:3] == ["0001-passwd.png", "0001-passwd-mask.png", "0001-passwd.json"]


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("me.jpg", "me"),
        ("..", "picture"),
        (None, "picture"),
        ("été à la plage.png", "été_à_la_plage"),
        ("a.b.c", "a.b"),
    ],
)
def test_stems(name: str | None, stem: str) -> None:
    assert safe_stem(name) == stem
