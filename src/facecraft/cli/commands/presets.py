"""``facecraft portrait`` and its like: one command for each preset, its flags derived from its options."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from facecraft.cli.flags import Flags, flag, with_flags
from facecraft.cli.inputs import STDIN, Source, existing, select
from facecraft.cli.outputs import Target, formats_for, plan
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
    summarize,
)
from facecraft.errors import StorageAccessError
from facecraft.pipelines.presets import BACKGROUND_IMAGE, PRESETS, Companion, Preset
from facecraft.pipelines.report import Report
from facecraft.progress import CancelToken
from facecraft.settings import Settings
from facecraft.studio import Picture, Studio


def defaults(name: str, settings: Settings) -> Preset:
    """Return the options of the preset ``name`` as the operator wants them unless told otherwise."""
    return settings.portrait if name == settings.portrait.name else PRESETS[name]()


@dataclass(frozen=True, slots=True)
class CompanionFlags:
    """One flag for each further picture of a preset."""

    companions: tuple[Companion, ...]

    @property
    def names_of_flags(self) -> tuple[str, ...]:
        """The names of their parameters."""
        return tuple(companion.field for companion in self.companions)

    def parameters(self) -> list[inspect.Parameter]:
        """Return one parameter for each, as Typer reads it."""
        return [
            inspect.Parameter(
                each.field,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if each.required else None,
                annotation=Annotated[
                    Path if each.required else Path | None,
                    typer.Option(flag(each.field), metavar="FILE", help=each.description),
                ],
            )
            for each in self.companions
        ]

    def build(self, values: dict[str, Any]) -> dict[str, Path]:
        """Return the paths that were given, by field name."""
        return {name: path for name, path in values.items() if path is not None}


def build(name: str) -> typer.Typer:
    """Build the command of the preset ``name``. Raises ConfigurationError when the settings have bad values."""
    settings = Settings.load()
    application = typer.Typer(add_completion=False, rich_markup_mode="rich")
    options = Flags(defaults(name, settings))
    companions = CompanionFlags(PRESETS[name].companions)
    command = with_flags(_make, companions=companions, options=options, settings=Flags(settings, ENGINE_SETTINGS))
    application.command(name, help=PRESETS[name].summary + ".")(command)
    return application


def _make(
    ctx: typer.Context,
    *,
    inputs: Inputs,
    out: Annotated[
        str,
        typer.Option(
            "--out", "-o", metavar="OUT", help="A file (its ending is the format), a folder, or - for stdout."
        ),
    ],
    companions: dict[str, Path],
    options: Preset,
    settings: Settings,
    recursive: Recursive = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite/--no-overwrite", help="Replace results of an earlier run, or fail.")
    ] = True,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave out pictures whose results are there already.")
    ] = False,
    jobs: Jobs = None,
    as_json: Json = False,
    report: ReportFile = None,
) -> None:
    configure_log(settings, debug=ctx.obj.debug)
    if out == STDIN and as_json:
        raise typer.BadParameter("standard output takes the picture or the report: use --report", param_hint="--json")
    if BACKGROUND_IMAGE.field in companions:
        if _given(ctx, "background") and getattr(options, "background", None) != "image":
            raise typer.BadParameter("contradicts --background", param_hint="--background-image")
        options = options.with_changes(background="image")
    formats = formats_for(out, options.formats, explicit=_given(ctx, "formats"))
    options = options.with_changes(formats=formats)
    selection = select(inputs, settings.file_limits, recursive=recursive, without=None if out == STDIN else Path(out))
    targets = plan(selection, out, formats, besides=tuple(companions.values()), report=report)
    # Pictures side by side use the cores better than threads inside one network.
    with Studio.open(settings, threads=1 if len(selection.sources) > 1 and jobs != 1 else None) as studio:
        further: dict[str, Picture] = {name: studio.read(existing(path)) for name, path in companions.items()}

        def work(source: Source, cancel: CancelToken) -> Report | None:
            target = targets[source]
            if skip_existing and all(path.exists() for path in target.paths):
                return None
            if not overwrite:
                _refuse_existing(target)
            result = studio.make(source.picture, options, companions=further, name=source.name, cancel=cancel)
            return target.write(result)

        telling = Telling(json=as_json, report=report, paths=out != STDIN)
        each_picture(selection, work, label=options.name, jobs=jobs, telling=telling, show=summarize)


def _given(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _refuse_existing(target: Target) -> None:
    for path in target.paths:
        if path.exists():
            raise StorageAccessError(f"{path} exists already.", hint="Add --overwrite or --skip-existing.")
