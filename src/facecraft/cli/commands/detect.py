"""``facecraft detect``: every face of a picture, for people or as JSON."""

from __future__ import annotations

import typer

from facecraft.cli.console import counted, result, table
from facecraft.cli.flags import Flags, with_flags
from facecraft.cli.inputs import Source, select
from facecraft.cli.outputs import check_report
from facecraft.cli.pictures import (
    ENGINE_SETTINGS,
    Inputs,
    Jobs,
    Json,
    Recursive,
    ReportFile,
    Telling,
    configure_log,
    each_picture,
)
from facecraft.faces.selection import FacePolicy
from facecraft.pipelines.report import Report
from facecraft.pipelines.stages.detect import DetectOptions
from facecraft.progress import CancelToken
from facecraft.settings import Settings
from facecraft.studio import Studio


def build(name: str) -> typer.Typer:
    """Build the command. Raises ConfigurationError when the settings have bad values."""
    application = typer.Typer(add_completion=False, rich_markup_mode="rich")
    options = Flags(DetectOptions(faces=FacePolicy.ALL))
    command = with_flags(_detect, options=options, settings=Flags(Settings.load(), ENGINE_SETTINGS))
    application.command(name, help="Find every face of a picture.")(command)
    return application


def _detect(
    ctx: typer.Context,
    *,
    inputs: Inputs,
    options: DetectOptions,
    settings: Settings,
    recursive: Recursive = False,
    jobs: Jobs = None,
    as_json: Json = False,
    report: ReportFile = None,
) -> None:
    configure_log(settings, debug=ctx.obj.debug)
    selection = select(inputs, settings.file_limits, recursive=recursive)
    check_report(report, selection)
    with Studio.open(settings) as studio:

        def work(source: Source, cancel: CancelToken) -> Report:
            cancel.check()
            return studio.detect(source.picture, options, name=source.name)

        telling = Telling(json=as_json, report=report, paths=False)
        each_picture(selection, work, label="detect", jobs=jobs, telling=telling, show=_show)


def _show(report: Report) -> None:
    size = f"{report.source.width}×{report.source.height}"
    count = counted(len(report.faces), "face")
    result(f"{report.source.name} ({size}): {count}, {report.total_milliseconds:.0f} ms")
    if not report.faces:
        return
    rows = [
        (
            str(face.index),
            f"{face.box.x:.0f}",
            f"{face.box.y:.0f}",
            f"{face.box.width:.0f}",
            f"{face.box.height:.0f}",
            f"{face.score:.2f}",
            f"{face.roll:+.1f}°",
        )
        for face in report.faces
    ]
    table(("#face", "#x", "#y", "#width", "#height", "#score", "#roll"), rows)
