"""Where results go: standard output, one named file, or a folder in which no two results share a name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from facecraft.cli.console import result_bytes
from facecraft.cli.inputs import STDIN, SUFFIXES, Selection, Source
from facecraft.errors import StorageAccessError
from facecraft.imaging.codecs import OutputFormat
from facecraft.pipelines.report import Report
from facecraft.storage import write_file
from facecraft.studio import Result

_ENDINGS = {item.suffix: item for item in OutputFormat} | {".jpeg": OutputFormat.JPEG, ".jpe": OutputFormat.JPEG}


def ending(out: str) -> OutputFormat | None:
    """Return the format that the ending of ``out`` names; None for a folder or standard output.

    Raises BadParameter for the ending of a picture format that is not written.
    """
    suffix = Path(out).suffix.lower()
    if out == STDIN or Path(out).is_dir() or out.endswith(("/", "\\")):
        return None
    if suffix in SUFFIXES and suffix not in _ENDINGS:
        written = ", ".join(item.suffix for item in OutputFormat)
        raise typer.BadParameter(f"{suffix} is not written; use {written} or a folder", param_hint="--out")
    return _ENDINGS.get(suffix)


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
    selection: Selection, out: str, formats: tuple[OutputFormat, ...], *, background: Path | None = None
) -> dict[Source, Target]:
    """Decide every output path before any work is done.

    Raises BadParameter when several pictures were meant and ``out`` is not a folder, and when a result would take
    the place of an input or of the ``background``.
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
    _keep_inputs(targets, background)
    return targets


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


def _keep_inputs(targets: dict[Source, Target], background: Path | None) -> None:
    inputs = {}
    for given in (*(source.path for source in targets), background):
        if given is not None and given.exists():
            status = given.stat()
            inputs[status.st_dev, status.st_ino] = given
    for target in targets.values():
        for path in target.paths:
            if not path.exists():
                continue
            status = path.stat()
            taken = inputs.get((status.st_dev, status.st_ino))
            if taken is not None:
                raise typer.BadParameter(f"{path} would overwrite the input {taken}", param_hint="--out")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageAccessError(f"The folder {folder} cannot be made.", detail=str(error)) from error
