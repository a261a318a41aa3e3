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
from facecraft.studio import Studio


def defaults(name: str, settings: Settings) -> Preset:
    """Return the options of the preset ``name`` as the operator wants them unless told otherwise."""
    return settings.portrait if name == settings.portrait.name else PRESETS[name]()


@dataclass(frozen=True, slots=True)
class CompanionFlag:
    """The flag for the second picture of a preset; none where it takes none."""

    companion: Companion | None

    @property
    def names_of_flags(self) -> tuple[str, ...]:
        """The name of its parameter."""
        return () if self.companion is None else (self.companion.field,)

    def parameters(self) -> list[inspect.Parameter]:
        """Return its parameter, as Typer reads it."""
        if self.companion is None:
            return []
        required = self.companion.required
        option = typer.Option(flag(self.companion.field), metavar="FILE", help=self.companion.description)
        return [
            inspect.Parameter(
                self.companion.field,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if required else None,
                annotation=Annotated[Path if required else Path | None, option],
            )
        ]

    def build(self, values: dict[str, Any]) -> Path | None:
        """Return the path that was given."""
        given: Path | None = next(iter(values.values()), None)
        return given


def build(name: str) -> typer.Typer:
    """Build the command of the preset ``name``. Raises ConfigurationError when the settings have bad values."""
    settings = Settings.load()
    application = typer.Typer(add_completion=False, rich_markup_mode="rich")
    options = Flags(defaults(name, settings))
    companion = CompanionFlag(PRESETS[name].companion)
    command = with_flags(_make, companion=companion, options=options, settings=Flags(settings, ENGINE_SETTINGS))
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
    companion: Path | None,
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
    if companion is not None and options.companion is BACKGROUND_IMAGE:
        if _given(ctx, "background") and getattr(options, "background", None) != "image":
            raise typer.BadParameter("contradicts --background", param_hint="--background-image")
        options = options.with_changes(background="image")
    formats = formats_for(out, options.formats, explicit=_given(ctx, "formats"))
    options = options.with_changes(formats=formats)
    selection = select(inputs, settings.file_limits, recursive=recursive, without=None if out == STDIN else Path(out))
    targets = plan(selection, out, formats, background=companion, report=report)
    # Pictures side by side use the cores better than threads inside one network.
    with Studio.open(settings, threads=1 if len(selection.sources) > 1 and jobs != 1 else None) as studio:
        second = None if companion is None else studio.read(existing(companion))

        def work(source: Source, cancel: CancelToken) -> Report | None:
            target = targets[source]
            if skip_existing and all(path.exists() for path in target.paths):
                return None
            if not overwrite:
                _refuse_existing(target)
            result = studio.make(source.picture, options, companion=second, name=source.name, cancel=cancel)
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
