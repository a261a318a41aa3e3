"""``facecraft bench``: speed against the floor of this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from facecraft.cli.bench import Measurement, measure, photo_like
from facecraft.cli.commands.presets import defaults
from facecraft.cli.console import result, say, table
from facecraft.cli.flags import Flags, with_flags
from facecraft.cli.pictures import ENGINE_SETTINGS, configure_log
from facecraft.cli.sample import NAME, sample
from facecraft.cli.startup import Startup, measure_startup
from facecraft.errors import StorageAccessError
from facecraft.imaging import codecs
from facecraft.imaging.geometry import Size
from facecraft.pipelines.presets import PRESETS, Preset
from facecraft.settings import Settings

_SIZES = {"portrait": Size(910, 1137)}
_LARGE = Size(4000, 3000)
"""Twelve megapixels: what is made from the sample for every other preset."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


def build(name: str) -> typer.Typer:
    """Build the group of commands. Raises ConfigurationError when the settings have bad values."""
    settings = Settings.load()
    application = typer.Typer(
        name=name, no_args_is_help=True, add_completion=False, rich_markup_mode="rich", help="Measure speed."
    )
    engine = Flags(settings, ENGINE_SETTINGS)
    # The floor is defined for what cuts people out.
    for preset in (name for name, kind in PRESETS.items() if "refine" in kind.model_fields):
        body = with_flags(
            _bench(_SIZES.get(preset, _LARGE)), options=Flags(defaults(preset, settings)), settings=engine
        )
        application.command(preset, help=f"Time the preset {preset}: p50, floor, ratio and stages.")(body)
    application.command("startup")(_startup)
    return application


def _bench(size: Size) -> Callable[..., None]:
    def bench(
        ctx: typer.Context,
        *,
        photo: Annotated[
            Path | None, typer.Argument(metavar="[PHOTO]", help="A photo; one made from the sample if absent.")
        ] = None,
        runs: Annotated[int, typer.Option("--runs", "-n", min=1, max=10_000, help="Timed runs.")] = 20,
        as_json: Json = False,
        options: Preset,
        settings: Settings,
    ) -> None:
        configure_log(settings, debug=ctx.obj.debug)
        data = photo_like(codecs.decode(sample()), size) if photo is None else _bytes(photo)
        found = measure(settings, options, data, NAME if photo is None else str(photo), runs)
        if as_json:
            result(found.model_dump_json(indent=2))
        else:
            _show(found)

    return bench


def _startup(
    *, runs: Annotated[int, typer.Option("--runs", "-n", min=1, max=100, help="Timed runs.")] = 5, as_json: Json = False
) -> None:
    """Time `facecraft --help`, and `facecraft serve` until it answers and until it is ready."""
    found: Startup = measure_startup(runs)
    if as_json:
        result(found.model_dump_json(indent=2))
        return
    table(
        ("what", "#best s", "#median s"),
        [(row.what, f"{row.best_s:.2f}", f"{row.median_s:.2f}") for row in found.rows],
    )


def _bytes(photo: Path) -> bytes:
    try:
        return photo.read_bytes()
    except OSError as error:
        raise StorageAccessError(f"{photo} cannot be read.", detail=str(error)) from error


def _show(found: Measurement) -> None:
    say(f"{found.preset} of {found.photo}, {found.width}×{found.height}, {found.runs} runs on {found.device}")
    result(
        f"p50_ms {found.p50_ms}  p90_ms {found.p90_ms}  min_ms {found.min_ms}  "
        f"floor_ms {found.floor_ms}  ratio {found.ratio}"
    )
    table(("stage", "#ms"), [(stage, f"{times:.1f}") for stage, times in found.stages.items()])
    table(("floor", "#ms"), [(part, f"{times:.1f}") for part, times in found.floor.model_dump().items()])
    table(("network", "#runs"), [(model, str(count)) for model, count in found.network_runs.items()])
