"""``facecraft embed`` and ``facecraft attributes``: what networks say of the faces of pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
from facecraft.pipelines.face_reports import AttributesRecord, EmbeddingsReport, FacesReport
from facecraft.pipelines.recognition import AttributesOptions, DescribeOptions, EmbedOptions
from facecraft.progress import CancelToken
from facecraft.settings import Settings
from facecraft.studio import Studio


def build(name: str) -> typer.Typer:
    """Build the command ``name``. Raises ConfigurationError when the settings have bad values."""
    settings = Flags(Settings.load(), ENGINE_SETTINGS)
    body: Callable[..., None]
    options: Flags[Any]
    if name == "embed":
        body, options, line = _embed, Flags(EmbedOptions()), "Turn the faces of pictures into vectors."
    else:
        body, options, line = _attributes, Flags(AttributesOptions()), "Guess apparent age and sex of faces."
    application = typer.Typer(add_completion=False, rich_markup_mode="rich")
    application.command(name, help=line)(with_flags(body, options=options, settings=settings))
    return application


def _embed(
    ctx: typer.Context,
    *,
    inputs: Inputs,
    options: EmbedOptions,
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

        def work(source: Source, cancel: CancelToken) -> EmbeddingsReport:
            return studio.embed(source.picture, options, name=source.name, cancel=cancel)

        telling = Telling(json=as_json, report=report, paths=False)
        each_picture(selection, work, label="embed", jobs=jobs, telling=telling, show=_show_embeddings)


def _attributes(
    ctx: typer.Context,
    *,
    inputs: Inputs,
    options: DescribeOptions,
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

        def work(source: Source, cancel: CancelToken) -> FacesReport:
            return studio.attributes(source.picture, options, name=source.name, cancel=cancel)

        telling = Telling(json=as_json, report=report, paths=False)
        each_picture(selection, work, label="attributes", jobs=jobs, telling=telling, show=_show_attributes)


def _show_embeddings(report: EmbeddingsReport) -> None:
    count = counted(len(report.faces), "face")
    result(f"{report.source.name}: {count}, {report.dimensions} numbers each by {report.model}")
    rows = [
        (str(face.index), f"{face.score:.2f}", " ".join(f"{value:+.3f}" for value in face.embedding[:6]) + " …")
        for face in report.faces
    ]
    table(("#face", "#score", "vector (--json for all of it)"), rows)


def _show_attributes(report: FacesReport) -> None:
    result(f"{report.source.name}: {counted(len(report.faces), 'face')}")
    if not report.faces:
        return
    rows = [
        (
            str(face.index),
            _age(face.attributes),
            (face.attributes and face.attributes.sex) or "-",
            "-" if face.quality is None else f"{face.quality:.2f}",
            f"{face.yaw:+.0f}° {face.pitch:+.0f}° {face.roll:+.0f}°",
        )
        for face in report.faces
    ]
    table(("#face", "apparent age", "apparent sex", "#quality", "yaw pitch roll"), rows)


def _age(guessed: AttributesRecord | None) -> str:
    if guessed is None:
        return "-"
    if guessed.age is not None:
        return str(guessed.age)
    if guessed.age_range is None:
        return "-"
    low, high = guessed.age_range
    return f"{low}+" if high is None else f"{low}-{high}"
