"""Flags are the declared fields: same names, types, bounds, defaults and choices, and the operator's defaults win."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import pytest
import typer
from pydantic import Field
from typer.main import get_command
from typer.testing import CliRunner

from facecraft.cli.app import load
from facecraft.cli.flags import Flags, flag, with_flags
from facecraft.options import Color, Options
from facecraft.pipelines.presets import COMPANIONS, PRESETS, PortraitOptions
from facecraft.pipelines.stages.detect import DetectOptions

SETS = {**PRESETS, "detect": DetectOptions}


def flags_of(command: str) -> dict[str, Any]:
    return {parameter.name: parameter for parameter in load(command).params if parameter.param_type_name == "option"}


@pytest.mark.parametrize("command", SETS)
def test_every_field_is_a_flag_with_its_type_bounds_and_choices(command: str) -> None:
    schema = SETS[command].model_json_schema()
    flags = flags_of(command)
    assert set(schema["properties"]) <= set(flags)
    for name, field in schema["properties"].items():
        parameter = flags[name]
        assert flag(name) in parameter.opts
        if reference := field.get("$ref"):
            field = {**schema["$defs"][reference.rpartition("/")[2]], **field}  # noqa: PLW2901
        if field.get("type") == "boolean":
            assert parameter.secondary_opts == [f"--no-{flag(name)[2:]}"]
        if field.get("type") in ("integer", "number"):
            assert parameter.min == field.get("minimum"), name
            assert parameter.max == field.get("maximum"), name
        if "enum" in field:
            assert [str(choice) for choice in parameter.type_descriptor.choices] == field["enum"]
        assert parameter.help == " ".join(field["description"].split())


@pytest.mark.parametrize("command", SETS)
def test_without_flags_the_options_are_the_declared_defaults(command: str) -> None:
    kind = SETS[command]
    flags = Flags(kind())
    assert flags.build({p.name: p.default for p in flags.parameters()}) == kind()


@pytest.mark.parametrize("command", PRESETS)
def test_only_fields_and_the_arguments_of_the_terminal_are_flags(command: str) -> None:
    terminal = {
        "out", "recursive", "overwrite", "skip_existing", "jobs", "as_json", "report", "device", "models_dir", "help",
        *(companion.field for companion in COMPANIONS),
    }  # fmt: skip
    assert set(flags_of(command)) - set(PRESETS[command].model_fields) <= terminal


def test_settings_change_the_defaults_of_portrait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACECRAFT_DEFAULT_WIDTH", "400")
    monkeypatch.setenv("FACECRAFT_DEFAULT_OVAL_MASK", "false")
    monkeypatch.setenv("FACECRAFT_DEFAULT_BACKGROUND_R", "1")
    flags = flags_of("portrait")
    assert flags["width"].default == 400
    assert flags["height"].default == PortraitOptions().height
    assert flags["shape"].default == "none"
    assert flags["fill"].default == "#01f0f0"


class Flavor(StrEnum):
    SWEET = "sweet"
    SOUR = "sour"


class Dish(Options):
    """A dish."""

    flavor: Flavor = Flavor.SWEET
    """How it tastes."""
    hot: bool = True
    """Whether it is hot."""
    grams: Annotated[int, Field(ge=1, le=500)] = 100
    """How much."""
    spice: float | None = None
    """How spicy."""
    parts: tuple[Flavor, ...] = (Flavor.SWEET, Flavor.SOUR)
    """What is in it."""
    color: Color = "white"
    """Its colour."""


def cook(*, table: Annotated[str, typer.Argument()], dish: Dish) -> None:
    typer.echo(f"{table} {dish.model_dump_json()}")


def order(*args: str) -> Any:
    application = typer.Typer(add_completion=False, rich_markup_mode=None)
    application.command()(with_flags(cook, dish=Flags(Dish())))
    return CliRunner().invoke(application, list(args))


def test_values_arrive_typed_beside_the_arguments_of_the_command() -> None:
    done = order("window", "--flavor", "sour", "--no-hot", "--grams", "7", "--spice", "0.5", "--color", "rgb(1,2,3)")
    assert done.exit_code == 0, done.output
    word, _, rest = done.stdout.partition(" ")
    assert word == "window"
    assert Dish.model_validate_json(rest.replace('["sweet","sour"]', '["sweet"]')) == Dish(
        flavor=Flavor.SOUR, hot=False, grams=7, spice=0.5, color="#010203", parts=(Flavor.SWEET,)
    )


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["--grams", "501"], "--grams"),
        (["--flavor", "bitter"], "--flavor"),
        (["--color", "nocolor"], "--color"),
        (["--grams", "many"], "--grams"),
    ],
)
def test_a_bad_value_is_a_usage_error_that_names_the_flag(args: list[str], named: str) -> None:
    done = order("window", *args)
    assert done.exit_code == 2
    assert named in done.output
    assert "Traceback" not in done.output


def test_a_chosen_part_of_the_fields_leaves_the_others_as_they_are() -> None:
    flags = Flags(Dish(grams=3), ("hot",))
    assert [parameter.name for parameter in flags.parameters()] == ["hot"]
    assert flags.build({"hot": False}) == Dish(grams=3, hot=False)


def test_help_groups_flags_by_where_they_are_declared() -> None:
    names = [parameter.name for parameter in get_command(_portrait()).params]
    assert names.index("faces") < names.index("width") < names.index("refine") < names.index("shape")


def _portrait() -> typer.Typer:
    application = typer.Typer(add_completion=False)

    def body(*, options: PortraitOptions) -> None:
        """Do nothing."""

    application.command()(with_flags(body, options=Flags(PortraitOptions())))
    return application
