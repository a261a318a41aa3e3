"""``facecraft compare``: whether two pictures show one person."""

from __future__ import annotations

from typing import Annotated

import typer

from facecraft.cli.console import result, say, table
from facecraft.cli.flags import Flags, with_flags
from facecraft.cli.inputs import STDIN, Source, select
from facecraft.cli.pictures import ENGINE_SETTINGS, configure_log
from facecraft.pipelines.face_reports import CompareReport
from facecraft.pipelines.recognition import CompareOptions
from facecraft.settings import Settings
from facecraft.studio import Studio

First = Annotated[str, typer.Argument(metavar="A", help="A picture, or - for stdin.")]
Second = Annotated[str, typer.Argument(metavar="B", help="The picture to compare it with, or - for stdin.")]
Json = Annotated[bool, typer.Option("--json", help="Print the report.")]


def build(name: str) -> typer.Typer:
    """Build the command. Raises ConfigurationError when the settings have bad values."""
    application = typer.Typer(add_completion=False, rich_markup_mode="rich")
    flags = Flags(Settings.load(), ENGINE_SETTINGS)
    application.command(name)(with_flags(_compare, options=Flags(CompareOptions()), settings=flags))
    return application


def _compare(
    ctx: typer.Context,
    *,
    first: First,
    second: Second,
    options: CompareOptions,
    settings: Settings,
    as_json: Json = False,
) -> None:
    """Tell whether two pictures show one person: exit with 0 when they do and with 1 when not."""
    configure_log(settings, debug=ctx.obj.debug)
    if first == second == STDIN:
        raise typer.BadParameter("standard input holds one picture", param_hint="B")
    pictures = [_picture(word, settings) for word in (first, second)]
    with Studio.open(settings) as studio:
        report = studio.compare(
            pictures[0].picture, pictures[1].picture, options, names=(pictures[0].name, pictures[1].name)
        )
    if as_json:
        result(report.model_dump_json(indent=2))
    else:
        _show(report)
    if report.match is None:
        say(f"{report.model} states no threshold: give one with --threshold.", style="yellow")
    if not report.match:
        raise typer.Exit(1)


def _picture(word: str, settings: Settings) -> Source:
    selection = select([word], settings.file_limits, recursive=False)
    if selection.many:
        raise typer.BadParameter(f"{word} is not one picture", param_hint="A B")
    return selection.sources[0]


def _show(report: CompareReport) -> None:
    verdict = {True: "the same person", False: "different people", None: "no verdict"}[report.match]
    limit = "" if report.threshold is None else f", threshold {report.threshold:.3f}"
    rate = "" if report.false_match_rate is None else f", false-match rate {report.false_match_rate:g}"
    result(f"{verdict}: similarity {report.best:.3f}{limit}{rate} ({report.model})")
    if len(report.first.faces) * len(report.second.faces) == 1:
        return
    columns = ["A \\ B", *(f"#{face.index}" for face in report.second.faces)]
    rows = [
        (str(face.index), *(f"{value:.3f}" for value in row))
        for face, row in zip(report.first.faces, report.similarity, strict=True)
    ]
    table(columns, rows)
