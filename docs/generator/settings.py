"""The page of every setting, and the file to copy to ``.env``."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from pydantic_settings import BaseSettings

from facecraft.settings import Settings
from generator.markdown import code, page, plain, shown, table
from generator.schemas import allowed, default_of


def settings_sections() -> Iterator[tuple[str, list[str]]]:
    """Yield the headings in the source of Settings, with the fields below each."""
    for kind in (Settings, *(base for base in Settings.__bases__ if base is not BaseSettings)):
        title, names = "", []
        for line in inspect.getsource(kind).splitlines():
            if match := re.match(r"    # --- (.+)", line):
                if names:
                    yield title, names
                title, names = match[1], []
            elif (match := re.match(r"    (\w+): ", line)) and match[1] in Settings.model_fields:
                names.append(match[1])
        yield title, names


def settings_page() -> str:
    """Return the page of every setting."""
    schema = Settings.model_json_schema(by_alias=False)
    parts = [
        plain(Settings.__doc__) + " Values come from environment variables, then from a file `.env` in the working "
        "folder, then from a folder of secrets (`FACECRAFT_SECRETS_DIR`: one file for each setting, named after its "
        "variable); the flags of a command win over all of them. Bad values are refused at start, all of them at "
        "once, by name.\n\n`<data folder>` is the user's data folder: `~/.local/share/facecraft` on Linux, "
        "`~/Library/Application Support/facecraft` on macOS, `%LOCALAPPDATA%\\facecraft\\facecraft` on Windows. "
        "A copy of this table to fill in is [.env.example](../../.env.example).",
    ]
    for title, names in settings_sections():
        rows = []
        for name in names:
            field = Settings.model_fields[name]
            values = allowed(schema["properties"][name], schema.get("$defs", {}))
            rows.append(
                (f"`FACECRAFT_{name.upper()}`", code(default_of(field)) or "unset", values, plain(field.description))
            )
        parts += [f"## {title[0].upper()}{title[1:]}", table(("Variable", "Default", "Allowed", "Meaning"), rows)]
    return page("Settings", *parts)


def env_example() -> str:
    """Return the file of every setting with its default, to copy to ``.env``."""
    lines = ["# Written by `make docs`. Copy to .env and uncomment what you want to change.", ""]
    for title, names in settings_sections():
        lines += [f"# --- {title}", ""]
        for name in names:
            field = Settings.model_fields[name]
            value, text = shown(default_of(field)), plain(field.description)
            if isinstance(default_of(field), Path):
                value, text = "", f"{text} Default: {value}."
            lines += [f"# {line}" for line in textwrap.wrap(text, 110)]
            lines += [f"#FACECRAFT_{name.upper()}={value}", ""]
    return "\n".join(lines).rstrip() + "\n"
