"""The page of every stage and preset."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic.fields import FieldInfo

from facecraft.cli.flags import flag
from facecraft.options import Options
from facecraft.pipelines.encode import EncodeOptions
from facecraft.pipelines.presets import PRESETS
from facecraft.pipelines.stages import BUILTIN
from generator.markdown import code, page, plain, summary, table
from generator.schemas import allowed, default_of

OUTPUT = "output"
"""What stands in the place of a stage for options of the encoding."""

OPTION_HEAD = ("Field", "Flag", "Default", "Allowed", "Meaning")


def switch(name: str, field: FieldInfo) -> str:
    """Return the flag of an option."""
    no = f"` / `--no-{name.replace('_', '-')}" if field.annotation is bool else ""
    return f"`{flag(name)}{no}`"


def option_rows(kind: type[Options], names: Iterable[str] | None = None) -> list[tuple[str, ...]]:
    """Return one row for each field of ``kind``."""
    schema = kind.model_json_schema()
    return [
        (
            f"`{name}`",
            switch(name, kind.model_fields[name]),
            code(default_of(kind.model_fields[name])),
            allowed(schema["properties"][name], schema.get("$defs", {})),
            plain(kind.model_fields[name].description),
        )
        for name in names or kind.model_fields
    ]


def declared_in(name: str) -> str:
    """Return the stage that declares the field ``name``, or :data:`OUTPUT`."""
    return next((stage.name for stage in BUILTIN.values() if name in stage.options.model_fields), OUTPUT)


def options_page() -> str:
    """Return the page of every stage and preset."""
    parts = [
        (
            "An option is declared once, in its stage. Its name is the keyword of the library, the field of the HTTP form "
            "and the key in a pipeline's JSON; with dashes it is the flag of the command. A server's operator may choose "
            "other defaults for portraits with the [settings](settings.md) `FACECRAFT_DEFAULT_*`."
        ),
        "## Presets",
    ]
    for preset in PRESETS.values():
        steps = " → ".join(f"`{step.stage}`" for step in preset().pipeline().steps)
        order = [*BUILTIN, OUTPUT]
        rows = [
            (f"`{name}`", code(default_of(preset.model_fields[name])), f"[{home}](#{home})")
            for home, name in sorted(
                ((declared_in(name), name) for name in preset.model_fields), key=lambda pair: order.index(pair[0])
            )
        ]
        parts += [
            f"### {preset.name}",
            (
                f"{preset.summary}: `facecraft {preset.name}`, `POST /api/v1/{preset.name}`, `Studio.{preset.name}`, "
                f"`{preset.__name__}`.\n\nSteps: {steps}."
            ),
            table(("Option", "Default", "Declared in"), rows),
        ]
    parts.append("## Stages")
    for stage in BUILTIN.values():
        needs = ", ".join(f"`{task}`" for task in stage.needs)
        parts += [
            f"### {stage.name}",
            summary(stage.options)
            + f" Class `{stage.options.__name__}`."
            + (f" Needs a model for {needs}." if needs else ""),
            table(OPTION_HEAD, option_rows(stage.options)),
        ]
    parts += [
        "## Output",
        "How results are written. Class `EncodeOptions`.",
        table(OPTION_HEAD, option_rows(EncodeOptions)),
    ]
    return page("Options", *parts)
