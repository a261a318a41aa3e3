"""Lifting one file out of a zip, a tar.gz or a bzip2 file: streamed, bounded, under a name of our own choice."""

from __future__ import annotations

import bz2
import hashlib
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from facecraft.catalog.files import CHUNK
from facecraft.errors import ModelIntegrityError
from facecraft.progress import CancelToken


def extract_member(archive: Path, member: str | None, part: Path, *, limit: int, cancel: CancelToken) -> str:
    """Copy ``member`` of ``archive`` into ``part`` and return its SHA-256. Nothing in the archive is run or imported.

    ``member`` is the path inside the archive, or its last part when that is unique; the folder that wraps a source
    package (``NAME-VERSION/``) may be left out. None: ``archive`` is one bzip2 file. The names in the archive never
    become paths on this disk. More than ``limit`` bytes are refused, however small they were packed.

    Raises:
        ModelIntegrityError: the archive is damaged, has no such file, or the file is too large.
    """
    digest = hashlib.sha256()
    count = 0
    try:
        with _opened(archive, member) as source, part.open("wb") as target:
            while chunk := source.read(CHUNK):
                cancel.check()
                count += len(chunk)
                if count > limit:
                    raise ModelIntegrityError(f"{member or archive.name} holds more than {limit} bytes")
                digest.update(chunk)
                target.write(chunk)
    except (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, RuntimeError) as error:
        raise ModelIntegrityError(f"{archive.name} is damaged", detail=str(error)) from error
    except OSError as error:
        # gzip and bzip2 say "bad data" with an OSError that has no number; one with a number comes from the disk.
        if error.errno is not None:
            raise
        raise ModelIntegrityError(f"{archive.name} is damaged", detail=str(error)) from error
    return digest.hexdigest()


@contextmanager
def _opened(archive: Path, member: str | None) -> Iterator[IO[bytes]]:
    if member is None:
        with bz2.open(archive, "rb") as stream:
            yield stream
    elif zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as bundle:
            names = [info.filename for info in bundle.infolist() if not info.is_dir()]
            with bundle.open(_chosen(names, member, archive)) as stream:
                yield stream
    else:
        with tarfile.open(archive, "r:*") as bundle_tar:
            # Links are left out: they would stand for files that the archive does not hold.
            infos = {info.name: info for info in bundle_tar.getmembers() if info.isreg()}
            opened = bundle_tar.extractfile(infos[_chosen(list(infos), member, archive)])
            if opened is None:
                raise ModelIntegrityError(f"{archive.name} has no file {member}")
            with opened:
                yield opened


def _chosen(names: list[str], member: str, archive: Path) -> str:
    if member in names:
        return member
    wrapped = [name for name in names if name.partition("/")[2] == member]
    loose = [name for name in names if PurePosixPath(name).name == PurePosixPath(member).name]
    for found in (wrapped, loose):
        if len(found) == 1:
            return found[0]
    raise ModelIntegrityError(f"{archive.name} has no file {member}")
