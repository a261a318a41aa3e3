"""The page of every command."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from enum import Enum
from typing import Any

from facecraft.cli.app import COMMANDS, EXIT_CODES, load
from generator.markdown import code, page, plain, table


def command_parts(command: Any, words: str, level: int) -> Iterator[str]:
    """Yield the parts of the page about one command and the commands below it."""
    pieces = [
        piece for it in command.params if it.param_type_name == "argument" for piece in (it.metavar or it.name.upper(),)
    ]
    below = getattr(command, "commands", {})
    yield f"{'#' * level} {words}"
    yield (inspect.cleandoc(command.help or "")).replace("``", "`")
    yield f"```console\n{' '.join([words, *(['COMMAND'] if below else []), '[OPTIONS]', *pieces])}\n```"
    rows = []
    for it in command.params:
        if "--help" in it.opts or getattr(it, "hidden", False):
            continue
        argument = it.param_type_name == "argument"
        names = (
            f"`{it.metavar or it.name}`" if argument else ", ".join(f"`{n}`" for n in [*it.opts, *it.secondary_opts])
        )
        default = "required" if it.required else code(it.default)
        rows.append((names, default, _range(it), plain(it.help)))
    if rows:
        yield table(("Argument or flag", "Default", "Range", "Meaning"), rows)
    for name, child in below.items():
        yield from command_parts(child, f"{words} {name}", level + 1)


def _range(parameter: Any) -> str:
    kind = parameter.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f"`{item.value}`" for item in kind)
    low, high = parameter.min, parameter.max
    if low is None and high is None:
        return ""
    return (
        f"{low:g}–{high:g}" if None not in (low, high) else f"at least {low:g}" if high is None else f"at most {high:g}"
    )


def cli_page() -> str:
    """Return the page of every command."""
    codes: dict[int, list[str]] = {}
    for kind, number in EXIT_CODES.items():
        codes.setdefault(number, []).append(kind.value)
    rows = [
        ("0", "all is well"),
        ("1", "something of several failed, or a check found something"),
        ("2", "wrong usage"),
    ]
    rows += [(str(number), ", ".join(kinds)) for number, kinds in sorted(codes.items())]
    parts = [
        (
            "Results go to stdout, everything for people to stderr. Flags derived from [settings](settings.md) and "
            "[options](options.md) show the defaults of an untouched installation here; `--help` shows yours."
        ),
        "## Exit codes",
        table(("Code", "Kind of trouble"), rows),
        "Which error is of which kind: [errors](errors.md).",
    ]
    for name in COMMANDS:
        parts += command_parts(load(name), f"facecraft {name}", 2)
    return page("Command line", *parts)
