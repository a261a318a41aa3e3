"""ZIP files that are sent while they are made: never more than a piece of one file is in memory."""

from __future__ import annotations

import io
import re
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from facecraft.jobs.blob_rows import Blob
from facecraft.jobs.job import Item

LONGEST_STEM = 80
_UNSAFE = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a ZIP."""

    name: str
    blob: Blob


class _Pipe(io.RawIOBase):
    """What was written to it is taken away again; it cannot be sought in, so no byte is ever changed afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]  # as zipfile calls it
        self._held += data
        return len(data)

    def taken(self) -> bytes:
        taken = bytes(self._held)
        self._held.clear()
        return taken


def zipped(entries: Iterable[Entry], read: Callable[[Blob], Iterator[bytes]]) -> Iterator[bytes]:
    """Yield the pieces of a ZIP of ``entries``, stored: pictures do not get smaller. Raises what ``read`` raises.

    The size and checksum of each file stand behind it (APPNOTE.TXT 6.3.10, 4.3.9), and in the directory at the end.
    """
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        for entry in entries:
            # Times of ZIP files have no zone and begin in 1980.
            made = max(entry.blob.created_at.timetuple()[:6], (1980, 1, 1, 0, 0, 0))
            about = zipfile.ZipInfo(entry.name, made)
            about.file_size = entry.blob.bytes  # decides whether 64-bit sizes are written
            about.external_attr = 0o644 << 16
            with archive.open(about, "w") as file:
                for piece in read(entry.blob):
                    file.write(piece)
                    yield pipe.taken()
            yield pipe.taken()
    yield pipe.taken()


def entries_of(items: Iterable[Item], artifacts: Iterable[Blob]) -> Iterator[Entry]:
    """Name the files of a job ``0001-<what the sender called the picture>.png``: no path, no name twice."""
    names = {item.position: item.name for item in items}
    used: set[str] = set()
    for blob in artifacts:
        position = blob.position or 0
        kind = PurePosixPath(blob.name or "result.bin")
        stem = f"{position + 1:04d}-{safe_stem(names.get(position))}"
        name = f"{stem}{kind.suffix}"
        if name in used:
            name = f"{stem}-{kind.name}"
        used.add(name)
        yield Entry(name, blob)


def safe_stem(name: str | None) -> str:
    """Return what may stand in a file name of any system of the name of a picture, without its ending."""
    last = unicodedata.normalize("NFC", re.split(r"[/\\]", name or "")[-1])
    stem = _UNSAFE.sub("_", PurePosixPath(last).stem).strip("._-")
    return stem[:LONGEST_STEM] or "picture"
