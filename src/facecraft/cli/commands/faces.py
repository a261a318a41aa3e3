"""``facecraft embed`` and ``facecraft attributes``: what networks say of the faces of pictures."""

from __future__ import annotations

import typer

from facecraft.cli.console import result, table
from facecraft.cli.inputs import Source
from facecraft.cli.looking import looking
from facecraft.pipelines.face_reports import AttributesRecord, EmbeddingsReport, FacesReport
from facecraft.pipelines.recognition import AttributesOptions, EmbedOptions
from facecraft.progress import CancelToken
from facecraft.studio import Studio
from facecraft.wording import counted


def build(name: str) -> typer.Typer:
    """Build the command ``name``. Raises ConfigurationError when the settings have bad values."""
    if name == "embed":
        return looking(name, "Turn the faces of pictures into vectors.", EmbedOptions(), _embed, _show_embeddings)
    return looking(name, "Guess apparent age and sex of faces.", AttributesOptions(), _attributes, _show_attributes)


def _embed(studio: Studio, source: Source, options: EmbedOptions, cancel: CancelToken) -> EmbeddingsReport:
    return studio.embed(source.picture, options, name=source.name, cancel=cancel)


def _attributes(studio: Studio, source: Source, options: AttributesOptions, cancel: CancelToken) -> FacesReport:
    return studio.attributes(source.picture, options, name=source.name, cancel=cancel)


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
