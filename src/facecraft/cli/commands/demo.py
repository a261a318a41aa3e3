"""``facecraft demo``: a sample photo, or yours, turned into a portrait, with every step shown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facecraft.cli.console import describe, result, say, table
from facecraft.cli.flags import Flags, with_flags
from facecraft.cli.inputs import Source, select
from facecraft.cli.outputs import Target
from facecraft.cli.pictures import ENGINE_SETTINGS, configure_log
from facecraft.cli.sample import NAME, sample
from facecraft.errors import FacecraftError
from facecraft.imaging import codecs
from facecraft.imaging.codecs import OutputFormat
from facecraft.imaging.contact_sheet import Panel, contact_sheet
from facecraft.imaging.image import Image, Pixels
from facecraft.pipelines.report import Report
from facecraft.settings import Settings
from facecraft.storage import write_file
from facecraft.studio import Result, Studio
from facecraft.wording import counted

_FORMATS = (OutputFormat.PNG, OutputFormat.JPEG)
_COLOR = "#3f6f8f"
"""The colour of the last panel: dark enough to show a light fringe, light enough to show a dark one."""


def build(name: str) -> typer.Typer:
    """Build the command. Raises ConfigurationError when the settings have bad values."""
    application = typer.Typer(add_completion=False, rich_markup_mode="rich")
    application.command(name)(with_flags(_demo, settings=Flags(Settings.load(), ENGINE_SETTINGS)))
    return application


def _demo(
    ctx: typer.Context,
    *,
    photos: Annotated[
        list[str] | None, typer.Argument(metavar="[PHOTO]...", help="Photos, folders or patterns; a sample if absent.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results.")] = Path("out/demo"),
    settings: Settings,
) -> None:
    """Make a portrait of a sample photo, or of yours, and show every step.

    Writes portrait.png (transparent), portrait.jpg (under the byte budget), contact-sheet.png (before and after) and
    report.json; of several photos into one folder each.
    """
    configure_log(settings, debug=ctx.obj.debug)
    if photos:
        sources = select(photos, settings.file_limits, recursive=False, without=out).sources
    else:
        sources = (Source(NAME, None, data=sample()),)
    failed = False
    with Studio.open(settings) as studio:
        for number, source in enumerate(sources, start=1):
            folder = out if len(sources) == 1 else out / f"{number:02d}-{source.stem}"
            try:
                _show(_make(studio, source.picture, source.name, folder))
            except FacecraftError as error:
                if len(sources) == 1:
                    raise
                failed = True
                say(f"{source.name}: {describe(error)}", style="red")
    if failed:
        raise typer.Exit(1)


def _make(studio: Studio, picture: Path | bytes, name: str, folder: Path) -> Report:
    options = studio.settings.portrait.with_changes(formats=_FORMATS)
    made = studio.make(picture, options, name=name)
    files = tuple((item, folder / f"portrait{item.suffix}") for item in _FORMATS)
    report = Target(files).write(made)
    sheet, record = folder / "contact-sheet.png", folder / "report.json"
    write_file(sheet, codecs.encode_png(_sheet(studio.read(picture), made)))
    write_file(record, (report.model_dump_json(indent=2) + "\n").encode())
    for path in (*(path for _, path in files), sheet, record):
        result(str(path))
    return report


def _sheet(image: Image, made: Result) -> Pixels:
    return contact_sheet(
        [
            Panel("before", image.pixels),
            Panel("after", made.composition.rgba()),
            Panel(f"on {_COLOR}", made.composition.flat(_COLOR)),
        ]
    )


def _show(report: Report) -> None:
    source = report.source
    say(
        f"\n{source.name}: {source.format} {source.width}×{source.height}, {counted(len(report.faces), 'face')}, {report.device}"
    )
    stages = [(record.stage, f"{record.milliseconds:.1f}", record.skipped or "") for record in report.stages]
    table(
        ("stage", "#ms", "skipped because"), [*stages, ("total", f"{report.total_milliseconds:.1f}", "")], stderr=True
    )
    table(("task", "model"), list(report.models.items()), stderr=True)
    for output in report.outputs:
        size = f"{output.width}×{output.height}, {output.bytes / 1024:.1f} KiB"
        quality = "" if output.quality is None else f", quality {output.quality}"
        say(f"{output.format}: {size}{quality}{'' if output.within_limit else ' (over the byte budget)'}")
    for warning in report.warnings:
        say(warning, style="yellow")
