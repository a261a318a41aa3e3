"""``facecraft detect``: every face of a picture, for people or as JSON."""

from __future__ import annotations

import typer

from facecraft.cli.console import result, table
from facecraft.cli.inputs import Source
from facecraft.cli.looking import looking
from facecraft.faces.selection import FacePolicy
from facecraft.pipelines.report import Report
from facecraft.pipelines.stages.detect import DetectOptions
from facecraft.progress import CancelToken
from facecraft.studio import Studio
from facecraft.wording import counted


def build(name: str) -> typer.Typer:
    """Build the command. Raises ConfigurationError when the settings have bad values."""
    options = DetectOptions(faces=FacePolicy.ALL)
    return looking(name, "Find every face of a picture.", options, _detect, _show)


def _detect(studio: Studio, source: Source, options: DetectOptions, _: CancelToken) -> Report:
    return studio.detect(source.picture, options, name=source.name)


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
