"""Text and tables in Markdown."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from enum import Enum
from pathlib import Path

import platformdirs

DATA_DIR = platformdirs.user_data_dir("facecraft")


NOTE = "<!-- Written by `make docs` from the code. Change the code, not this page. -->"


def plain(text: str | None) -> str:
    """Return a docstring as Markdown on one line: roles and double backticks become code."""
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", text or "")
    return " ".join(text.replace("``", "`").split())


def summary(thing: object) -> str:
    """Return the first paragraph of the docstring of ``thing``."""
    return plain((inspect.getdoc(thing) or "").split("\n\n", maxsplit=1)[0])


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def code(value: object) -> str:
    """Return ``value`` as a person would type it, as code; nothing for nothing."""
    text = shown(value)
    return f"`{text}`" if text else ""


def shown(value: object) -> str:
    """Return ``value`` as a person would type it; folders of this machine become generic."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case Enum():
            return str(value.value)
        case Path():
            return value.as_posix().replace(Path(DATA_DIR).as_posix(), "<data folder>")
        case list() | tuple():
            return ",".join(map(shown, value))
    return str(value)


def page(title: str, *parts: str) -> str:
    """Return a page of ``parts``."""
    return "\n\n".join([f"# {title}", NOTE, *(part.strip("\n") for part in parts if part.strip())]) + "\n"
