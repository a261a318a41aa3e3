"""Commands that look at every picture and tell what they see, without writing one."""

from __future__ import annotations

from typing import Protocol, TypeVar

import typer
from pydantic import BaseModel

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
from facecraft.options import Options
from facecraft.progress import CancelToken
from facecraft.settings import Settings
from facecraft.studio import Studio

OptionsT = TypeVar("OptionsT", bound=Options)
OptionsT_contra = TypeVar("OptionsT_contra", bound=Options, contravariant=True)
ReportT = TypeVar("ReportT", bound=BaseModel)
ReportT_co = TypeVar("ReportT_co", bound=BaseModel, covariant=True)
ReportT_contra = TypeVar("ReportT_contra", bound=BaseModel, contravariant=True)


class Look(Protocol[OptionsT_contra, ReportT_co]):
    """Looks at one picture."""

    def __call__(
        self, studio: Studio, source: Source, options: OptionsT_contra, cancel: CancelToken, /
    ) -> ReportT_co: ...


class Show(Protocol[ReportT_contra]):
    """Tells a person what was seen in one picture."""

    def __call__(self, report: ReportT_contra, /) -> None: ...


def looking(name: str, line: str, options: OptionsT, look: Look[OptionsT, ReportT], show: Show[ReportT]) -> typer.Typer:
    """Return the command ``name``, described by ``line``, with a flag for every field of ``options``.

    Raises ConfigurationError when the settings have bad values.
    """

    def body(
        ctx: typer.Context,
        *,
        inputs: Inputs,
        options: OptionsT,
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

            def work(source: Source, cancel: CancelToken) -> ReportT:
                cancel.check()
                return look(studio, source, options, cancel)

            telling = Telling(json=as_json, report=report, paths=False)
            each_picture(selection, work, label=name, jobs=jobs, telling=telling, show=show)

    application = typer.Typer(add_completion=False, rich_markup_mode="rich")
    settings = Flags(Settings.load(), ENGINE_SETTINGS)
    application.command(name, help=line)(with_flags(body, options=Flags(options), settings=settings))
    return application
