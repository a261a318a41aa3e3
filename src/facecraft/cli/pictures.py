"""What the commands over pictures share: their arguments, the run over every input, what is told about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Generic, TypeVar

import typer
from pydantic import BaseModel

from facecraft import telemetry
from facecraft.cli.batch import Outcome, work_through
from facecraft.cli.console import describe, result, say, table
from facecraft.cli.inputs import Selection, Source
from facecraft.errors import FacecraftError, StorageAccessError
from facecraft.imaging.threads import share_cores
from facecraft.inference.devices import cpu_count
from facecraft.pipelines.report import Report
from facecraft.progress import CancelToken
from facecraft.settings import Settings
from facecraft.wording import counted

ReportT = TypeVar("ReportT", bound=BaseModel)

ENGINE_SETTINGS = ("device", "models_dir")
"""Settings that every command which runs networks has as flags."""

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="IN...", help="Pictures: files, folders, quoted patterns such as 'in/*.jpg', or - for stdin."
    ),
]
Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="Look into the folders of a folder, too.")]
Jobs = Annotated[
    int | None, typer.Option("--jobs", "-j", min=1, max=256, help="Pictures at once; all cores if absent.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the report: one object, or one line for each of several.")]
ReportFile = Annotated[Path | None, typer.Option("--report", metavar="FILE", help="Write the report to a file.")]


@dataclass(frozen=True, slots=True)
class Telling:
    """What a person or program wants to hear of a run."""

    json: bool
    report: Path | None
    paths: bool
    """Whether the paths of written files are the result."""


def configure_log(settings: Settings, *, debug: bool) -> None:
    """Log warnings to stderr, more where the settings or ``--debug`` ask for it."""
    asked = settings.log_level.value if "log_level" in settings.model_fields_set else "WARNING"
    telemetry.configure(level="DEBUG" if debug or settings.debug else asked, json=settings.log_json)


def each_picture(
    selection: Selection,
    work: Callable[[Source, CancelToken], ReportT | None],
    *,
    label: str,
    jobs: int | None,
    telling: Telling,
    show: Callable[[ReportT], None],
) -> None:
    """Run ``work`` over every picture and tell what became of each.

    The error of a single picture is raised; of several, failures are listed at the end and the run exits with 1.
    """
    available = cpu_count()
    at_once = min(jobs or available, len(selection.sources))
    if at_once > 1:
        share_cores(available, at_once)
    cancel = CancelToken()
    run = work_through(selection.sources, lambda source: work(source, cancel), jobs=at_once, cancel=cancel, label=label)
    tally = _Tally(selection.many, telling, show)
    for outcome in run:
        tally.add(outcome)
    tally.end(selection.ignored)


class _Tally(Generic[ReportT]):
    """Tells of one picture after the other and counts them."""

    def __init__(self, many: bool, telling: Telling, show: Callable[[ReportT], None]) -> None:
        self._many = many
        self._telling = telling
        self._show = show
        self._lines: list[str] = []
        self._failed: list[Outcome[ReportT]] = []
        self._done = self._skipped = 0

    def add(self, outcome: Outcome[ReportT]) -> None:
        """Tell what became of one picture."""
        line = _line(outcome, pretty=not self._many)
        if line is not None:
            self._lines.append(line)
            if self._telling.json:
                result(line)
        if outcome.error is not None:
            self._failed.append(outcome)
            if self._many:
                say(f"{outcome.source.name}: {describe(outcome.error)}", style="red")
        elif outcome.report is None:
            self._skipped += 1
        else:
            self._done += 1
            _tell(outcome.report, self._telling, self._show)

    def end(self, ignored: int) -> None:
        """Write the report file and the summary. Raises the error of a single picture, Exit(1) for several."""
        if self._telling.report is not None:
            _write(self._telling.report, "".join(f"{line}\n" for line in self._lines))
        if self._many:
            _summary(self._done, self._skipped, self._failed, ignored)
            if self._failed:
                raise typer.Exit(1)
        for outcome in self._failed:
            raise outcome.error or FacecraftError


def _tell(report: ReportT, telling: Telling, show: Callable[[ReportT], None]) -> None:
    if telling.json:
        return
    show(report)
    if telling.paths and isinstance(report, Report):
        for output in report.outputs:
            if output.path is not None:
                result(output.path)


def _line(outcome: Outcome[ReportT], *, pretty: bool) -> str | None:
    """Return the JSON for one picture; None where there was nothing to do."""
    indent = 2 if pretty else None
    if outcome.report is not None:
        return outcome.report.model_dump_json(indent=indent)
    if outcome.error is None:
        return None
    error = outcome.error
    failure: dict[str, str | None] = {"code": "internal_error", "message": type(error).__name__, "hint": None}
    if isinstance(error, FacecraftError):
        failure = {"code": error.code, "message": error.message, "hint": error.hint}
    return json.dumps({"name": outcome.source.name, "error": failure}, indent=indent, ensure_ascii=False)


def _summary(done: int, skipped: int, failed: list[Outcome[ReportT]], ignored: int) -> None:
    if failed:
        rows = [
            (outcome.source.name, getattr(outcome.error, "code", "internal_error"), str(outcome.error))
            for outcome in failed
        ]
        table(("failed", "code", "why"), rows, stderr=True)
    parts = [f"{done} done", f"{len(failed)} failed"]
    parts += [f"{skipped} existed already"] if skipped else []
    parts += [f"{ignored} other files ignored"] if ignored else []
    say(" · ".join(parts), style="red" if failed else "green")


def summarize(report: Report) -> None:
    """Tell a person in a few lines what was done to one picture."""
    outputs = [
        f"{record.format} {record.width}×{record.height} {record.bytes / 1024:.0f} KiB"
        + (f" quality {record.quality}" if record.quality is not None else "")
        for record in report.outputs
    ]
    found = [counted(len(report.faces), "face"), *outputs, f"{report.total_milliseconds:.0f} ms"]
    say(f"{report.source.name}: " + " · ".join(found))
    for warning in report.warnings:
        say(f"  {warning}", style="yellow")


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    except OSError as error:
        raise StorageAccessError(f"The report {path} cannot be written.", detail=str(error)) from error
