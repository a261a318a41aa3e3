"""From the words on the command line to the pictures they mean: files, folders, patterns and stdin."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import typer

from facecraft.errors import InputNotFoundError, StorageAccessError, UploadTooLargeError
from facecraft.imaging.image import Limits

STDIN = "-"
_PIECE = 1 << 16
SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .webp .bmp .dib .tif .tiff .gif .heic .heif .hif .avif".split()  # noqa: SIM905
)
"""Endings by which pictures are told from other files of a folder. A file named one by one may have any."""


def existing(path: Path) -> Path:
    """Return ``path``. Raises InputNotFoundError where nothing is."""
    # Never raises, whatever the name; a dangling link is there and cannot be read, which is told when it is read.
    if not os.path.lexists(path):
        raise InputNotFoundError(f"{path} does not exist.")
    return path


@dataclass(frozen=True, slots=True)
class Source:
    """One picture to work on."""

    name: str
    """What it is called in messages and reports: the path as given, or ``stdin``."""
    path: Path | None
    """None for standard input."""
    folder: PurePath = field(default_factory=PurePath)
    """Where it stands below the folder that was named, mirrored in the output folder."""
    data: bytes = field(default=b"", repr=False)
    """The picture itself, where it has no path."""

    @property
    def stem(self) -> str:
        """The file name without its ending."""
        return Path(self.name).stem

    @property
    def suffix(self) -> str:
        """The ending in lower case, with its dot."""
        return Path(self.name).suffix.lower()

    @property
    def picture(self) -> Path | bytes:
        """What :meth:`Studio.read` takes. Raises InputNotFoundError for a path where nothing is."""
        return self.data if self.path is None else existing(self.path)


@dataclass(frozen=True, slots=True)
class Selection:
    """The pictures that were meant."""

    sources: tuple[Source, ...]
    many: bool
    """Whether the words can mean several: more than one word, a folder or a pattern."""
    ignored: int
    """Files of the folders that are not pictures by their ending."""


def select(words: Sequence[str], limits: Limits, *, recursive: bool, without: Path | None = None) -> Selection:
    """Return the pictures that ``words`` mean, each once, those of a folder sorted by name.

    ``without`` is the output folder: pictures in it are results of an earlier run. Standard input is read here, in
    the main thread, where Ctrl-C can end the wait. Raises BadParameter for a folder or pattern without pictures, and
    UploadTooLargeError for too much standard input.
    """
    found: dict[Path | str, Source] = {}
    ignored = 0
    many = len(words) > 1
    for word in words:
        path = Path(word)
        if word == STDIN:
            many_here, sources = False, [] if STDIN in found else [Source("stdin", None, data=_stdin(limits))]
        elif os.path.isdir(word):  # noqa: PTH112 - never raises, whatever the name
            many_here = True
            files = [file for file in _files(path, recursive=recursive) if not _below(file, path, without)]
            pictures = [file for file in files if file.suffix.lower() in SUFFIXES]
            ignored += len(files) - len(pictures)
            sources = [Source(str(file), file, file.relative_to(path).parent) for file in pictures]
            if not sources:
                extra = "" if recursive else " (add --recursive to look into its folders)"
                raise typer.BadParameter(f"the folder {word} holds no pictures{extra}", param_hint="IN")
        elif glob.has_magic(word) and not os.path.exists(word):  # noqa: PTH110 - never raises, whatever the name
            many_here = True
            matches = [Path(match) for match in sorted(glob.glob(word, recursive=True))]  # noqa: PTH207 - absolute too
            sources = [Source(str(match), match) for match in matches if match.is_file()]
            if not sources:
                raise typer.BadParameter(f"nothing matches {word}", param_hint="IN")
        else:
            many_here, sources = False, [Source(word, path)]
        many = many or many_here
        for source in sources:
            found.setdefault(source.path.absolute() if source.path else STDIN, source)
    return Selection(tuple(found.values()), many, ignored)


def _stdin(limits: Limits) -> bytes:
    if sys.stdin.isatty():
        raise typer.BadParameter("nothing is piped into standard input", param_hint="IN")
    data = bytearray()
    # In pieces: Ctrl-C is seen between them.
    while piece := os.read(sys.stdin.fileno(), _PIECE):
        data += piece
        if len(data) > limits.max_bytes:
            raise UploadTooLargeError(f"Standard input has more than {limits.max_bytes / 2**20:.0f} MiB.")
    return bytes(data)


def _files(folder: Path, *, recursive: bool) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise StorageAccessError(f"The folder {folder} cannot be read.", detail=str(error)) from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_file():
            yield entry
        elif recursive and entry.is_dir() and not entry.is_symlink():
            yield from _files(entry, recursive=True)


def _below(file: Path, folder: Path, results: Path | None) -> bool:
    """Whether ``file`` lies in the folder of results, where that is a part of ``folder``."""
    if results is None:
        return False
    inner = results.resolve()
    return inner != folder.resolve() and inner.is_relative_to(folder.resolve()) and file.resolve().is_relative_to(inner)
