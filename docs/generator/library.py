"""The page of every public name."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from enum import Enum
from typing import Any

from pydantic import BaseModel

import facecraft
from facecraft.options import Options
from facecraft.settings import Settings
from generator.markdown import page, plain, summary, table


def attribute_docs(kind: type) -> dict[str, str]:
    """Return the strings that stand below the attributes of a class."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)  # noqa: S101
    found = {}
    for first, second in zip(body.body, body.body[1:], strict=False):
        if isinstance(first, ast.AnnAssign) and isinstance(second, ast.Expr) and isinstance(second.value, ast.Constant):
            found[ast.unparse(first.target)] = plain(str(second.value.value))
    return found


def signature(name: str, thing: Any) -> str:
    """Return the call of ``thing`` as code, without ``self`` and quotes."""
    text = str(inspect.signature(thing))
    text = re.sub(r"\((self|cls)(, )?", "(", text)
    text = re.sub(r"(: |-> )'([^']*)'", r"\1\2", text)
    return name + re.sub(r"<function (\w+) at 0x[0-9a-f]+>", r"\1", text)


def library_page() -> str:
    """Return the page of every public name."""
    parts = ["`from facecraft import …` gives these names; they are loaded when they are first used."]
    for name in facecraft.__all__:
        thing = getattr(facecraft, name)
        parts += [f"## {name}", summary(thing), f"From `{thing.__module__}`."]
        if issubclass(thing, Enum):
            parts.append(", ".join(f"`{item.value}`" for item in thing) + ".")
        elif issubclass(thing, Options):
            parts.append(
                f"Keyword arguments: {', '.join(f'`{field}`' for field in thing.model_fields)}. See [options](options.md)."
            )
        elif issubclass(thing, BaseModel | Exception):
            parts.append(
                {
                    "Settings": "See [settings](settings.md).",
                    "Report": "See [the report](report.md).",
                    "Pipeline": "See [pipelines](pipeline.md).",
                }.get(name, "See [errors](errors.md)." if issubclass(thing, Exception) else "")
            )
        else:
            parts.append(f"```text\n{signature(name, thing)}\n```")
        parts.append(member_table(thing))
    return page("Library", *parts)


def member_table(kind: type) -> str:
    """Return the public methods and properties that ``kind`` declares itself."""
    rows = []
    docs = attribute_docs(kind) if not issubclass(kind, Options | Enum | Settings) else {}
    for name, text in docs.items():
        rows.append((f"`{name}`", text))
    for name, member in vars(kind).items():
        if name.startswith("_") or not (inspect.isfunction(member) or isinstance(member, property | classmethod)):
            continue
        if name.startswith("settings_customise"):
            continue
        body = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        call = name if isinstance(member, property) else signature(name, body)
        rows.append((f"`{call}`", summary(body)))
    return table(("Member", "What it does"), rows) if rows else ""
