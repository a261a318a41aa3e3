"""Where results go: standard output, one named file, or a folder in which no two results share a name."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from facecraft.cli.console import result_bytes
from facecraft.cli.inputs import STDIN, Selection, Source
from facecraft.errors import StorageAccessError
from facecraft.imaging.codecs import OutputFormat
from facecraft.pipelines.report import Report
from facecraft.storage import write_file
from facecraft.studio import Result

_ENDINGS = {item.suffix: item for item in OutputFormat} | {".jpeg": OutputFormat.JPEG, ".jpe": OutputFormat.JPEG}


_FORMAT_LIKE = re.compile(r"\.[a-z][a-z0-9]{1,4}", re.IGNORECASE)
"""An ending that a person means as a format, unlike that of the folder ``v1.2``."""


def ending(out: str) -> OutputFormat | None:
    """Return the format that the ending of ``out`` names; None for a folder or standard output.

    Raises BadParameter for an ending that looks like a format and is not written, and for a file without one.
    """
    if out == STDIN or os.path.isdir(out) or out.endswith(("/", "\\")):  # noqa: PTH112 - never raises, whatever the name
        return None
    suffix = Path(out).suffix.lower()
    if suffix in _ENDINGS:
        return _ENDINGS[suffix]
    written = ", ".join(item.suffix for item in OutputFormat)
    if os.path.exists(out):  # noqa: PTH110 - never raises, whatever the name
        raise typer.BadParameter(
            f"{out} is no folder, and its name does not end in a format: use {written} or a folder", param_hint="--out"
        )
    if _FORMAT_LIKE.fullmatch(suffix):
        raise typer.BadParameter(
            f"{suffix} is not written; use {written}, or end the name of a folder with /", param_hint="--out"
        )
    return None


def formats_for(out: str, asked: tuple[OutputFormat, ...], *, explicit: bool) -> tuple[OutputFormat, ...]:
    """Return the formats to write: the ending of ``out`` decides where ``--formats`` was not given.

    Raises BadParameter when both contradict each other, or when several formats were asked for on standard output.
    """
    named = ending(out)
    if out == STDIN:
        if explicit and len(asked) > 1:
            raise typer.BadParameter("standard output takes one format", param_hint="--formats")
        return asked[:1]
    if named is None:
        return asked
    if not explicit:
        return (named,)
    if named not in asked:
        raise typer.BadParameter(f"--formats {','.join(asked)} does not fit {out}", param_hint="--formats")
    return asked


@dataclass(frozen=True, slots=True)
class Target:
    """Where the files of one result go."""

    files: tuple[tuple[OutputFormat, Path | None], ...]
    """The path for each format; None is standard output."""

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(path for _, path in self.files if path is not None)

    def write(self, result: Result) -> Report:
        """Write the files and return the report with their paths. Raises StorageError."""
        where = dict(self.files)
        records = []
        for output, record in zip(result.outputs, result.report.outputs, strict=True):
            path = where[output.format]
            if path is None:
                result_bytes(output.data)
                records.append(record)
                continue
            _make_folder(path.parent)
            write_file(path, output.data)
            records.append(record.model_copy(update={"path": str(path)}))
        return result.report.model_copy(update={"outputs": tuple(records)})


def plan(
    selection: Selection,
    out: str,
    formats: tuple[OutputFormat, ...],
    *,
    besides: Sequence[Path] = (),
    report: Path | None = None,
) -> dict[Source, Target]:
    """Decide every output path before any work is done.

    Raises BadParameter when several pictures were meant and ``out`` is not a folder, when a result would take the
    place of an input or of the pictures ``besides`` them, and when the ``report`` would take that of any of them.
    """
    named = ending(out)
    if selection.many and (out == STDIN or named is not None):
        kind = "standard output takes one result" if out == STDIN else f"{out} is one file"
        raise typer.BadParameter(f"{kind} and several pictures were given: name a folder", param_hint="--out")
    if out == STDIN:
        targets = {source: Target(tuple((item, None) for item in formats)) for source in selection.sources}
    elif named is not None:
        path = Path(out)
        files = tuple((item, path if item is named else path.with_suffix(item.suffix)) for item in formats)
        targets = {source: Target(files) for source in selection.sources}
    else:
        folder = Path(out)
        names = _names(selection.sources)
        targets = {
            source: Target(tuple((item, folder / f"{names[source]}{item.suffix}") for item in formats))
            for source in selection.sources
        }
    inputs = _inputs(selection, besides)
    results = [path for target in targets.values() for path in target.paths]
    for path in results:
        _keep(inputs, path, "the input", "--out")
    check_report(report, selection, besides=besides, results=results)
    return targets


def check_report(
    report: Path | None, selection: Selection, *, besides: Sequence[Path] = (), results: Sequence[Path] = ()
) -> None:
    """Raise BadParameter when ``report`` is a folder, or would take the place of an input or of one of ``results``."""
    if report is None:
        return
    if os.path.isdir(report):  # noqa: PTH112 - never raises, whatever the name
        raise typer.BadParameter(f"{report} is a folder: name a file", param_hint="--report")
    _keep(_inputs(selection, besides), report, "the input", "--report")
    _keep({_place(path): path for path in results}, report, "the result", "--report")


def _names(sources: Sequence[Source]) -> dict[Source, str]:
    """Name results after their inputs: ``x``, and ``x-jpg`` and ``x-png`` where two inputs are called x."""
    plain = {source: (source.folder / source.stem).as_posix() for source in sources}
    # Folders on macOS and Windows do not tell capitals apart.
    count = Counter(name.casefold() for name in plain.values())
    taken: set[str] = set()
    names: dict[Source, str] = {}
    for source, name in plain.items():
        first = f"{name}-{source.suffix.removeprefix('.')}" if count[name.casefold()] > 1 and source.suffix else name
        chosen, number = first, 1
        while chosen.casefold() in taken or (chosen != name and chosen.casefold() in count):
            number += 1
            chosen = f"{first}-{number}"
        taken.add(chosen.casefold())
        names[source] = chosen
    return names


def _place(path: Path) -> tuple[int, int] | str:
    """Return what is equal for two paths of one file, whether it is there or not."""
    try:
        status = path.stat()
    except OSError:
        # Folders on macOS and Windows do not tell capitals apart.
        return str(path.resolve()).casefold()
    return status.st_dev, status.st_ino


def _inputs(selection: Selection, besides: Sequence[Path]) -> dict[tuple[int, int] | str, Path]:
    given = (*(source.path for source in selection.sources), *besides)
    return {_place(path): path for path in given if path is not None}


def _keep(kept: Mapping[tuple[int, int] | str, Path], path: Path, what: str, flag: str) -> None:
    taken = kept.get(_place(path))
    if taken is not None:
        raise typer.BadParameter(f"{path} would overwrite {what} {taken}", param_hint=flag)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageAccessError(f"The folder {folder} cannot be made.", detail=str(error)) from error
