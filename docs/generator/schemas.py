"""JSON schemas in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.fields import FieldInfo

from generator.markdown import code, plain, table

PAGES = {"Pipeline": "pipeline.md", "Options": "options.md"}
"""Objects that have a page of their own."""
_WORDS = {"boolean": "`true`, `false`", "path": "path", "object": "object"}


def resolved(schema: Mapping[str, Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``schema`` with its reference followed and its null alternative dropped."""
    if "$ref" in schema:
        target = named[schema["$ref"].rsplit("/", 1)[1]]
        return resolved(target, named) | {key: value for key, value in schema.items() if key != "$ref"}
    if "anyOf" in schema:
        kept = [part for part in schema["anyOf"] if part.get("type") != "null"]
        rest = {key: value for key, value in schema.items() if key != "anyOf"}
        return (resolved(kept[0], named) if len(kept) == 1 else {}) | rest
    return dict(schema)


def links(names: Iterable[str]) -> str:
    """Return links to objects that are described by themselves, on this page or on one of their own."""
    return " or ".join(f"[{name}]({PAGES.get(name, f'#{name.lower()}')})" for name in names)


def objects(schema: Mapping[str, Any], named: Mapping[str, Any]) -> list[str]:
    """Return the names of the objects with fields that ``schema`` takes; none when it takes something else, too."""
    choices = schema.get("oneOf") or schema.get("anyOf") or [schema]
    parts = [part for part in choices if part.get("type") != "null"]
    if len(parts) == 1 and parts[0] is not schema:
        return objects(parts[0], named)
    names = [part["$ref"].rsplit("/", 1)[1] for part in parts if "$ref" in part]
    return names if len(names) == len(parts) and all("properties" in named.get(name, {}) for name in names) else []


def allowed(schema: Mapping[str, Any], named: Mapping[str, Any]) -> str:
    """Return what values ``schema`` takes, in words."""
    if found := objects(schema, named):
        return links(found)
    schema = resolved(schema, named)
    match schema:
        case {"enum": values}:
            words = _listed(values)
        case {"type": "array", "items": items}:
            words = f"list of {allowed(items, named)}"
        case {"type": "integer" | "number"}:
            words = _number(schema)
        case {"format": "binary"} | {"contentMediaType": _}:
            words = "file"
        case {"pattern": pattern}:
            words = f"text matching `{pattern}`"
        case {"examples": examples}:
            words = f"such as {_listed(examples)}"
        case {"const": value}:
            words = f"`{value}`"
        case _:
            words = _WORDS.get(str(schema.get("format", schema.get("type"))), "text")
    return words


def _number(schema: Mapping[str, Any]) -> str:
    bounds = (
        ("at least", schema.get("minimum")),
        ("above", schema.get("exclusiveMinimum")),
        ("at most", schema.get("maximum")),
        ("below", schema.get("exclusiveMaximum")),
    )
    kind = "whole number" if schema["type"] == "integer" else "number"
    given = {word: f"{value:.10g}" for word, value in bounds if value is not None}
    if given.keys() == {"at least", "at most"}:
        return f"{kind}, {given['at least']} to {given['at most']}"
    return ", ".join([kind, *(f"{word} {value}" for word, value in given.items())])


def _listed(values: Iterable[object]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def default_of(field: FieldInfo) -> object:
    """Return the default of ``field``."""
    return field.get_default(call_default_factory=True)  # type: ignore[call-arg]


def schema_table(schema: Mapping[str, Any], named: Mapping[str, Any], *, reply: bool = False) -> str:
    """Return the properties of an object schema as a table."""
    rows = []
    for name, part in schema.get("properties", {}).items():
        if reply:
            rows.append((f"`{name}`", reply_type(part), plain(part.get("description"))))
            continue
        default = "required" if name in schema.get("required", ()) else code(part.get("default"))
        rows.append((f"`{name}`", allowed(part, named), default, plain(part.get("description"))))
    return table(("Field", "Type", "Meaning") if reply else ("Field", "Allowed", "Default", "Meaning"), rows)


def reply_type(schema: Mapping[str, Any]) -> str:
    """Return the type of a value in a reply, with links to other schemas."""
    match schema:
        case {"$ref": target}:
            name = target.rsplit("/", 1)[1]
            words = f"[{name}](#{name.lower()})"
        case {"anyOf": parts}:
            words = " or ".join(map(reply_type, parts))
        case {"prefixItems": [first, *_] as parts}:
            words = f"list of {len(parts)} × {reply_type(first)}"
        case {"type": "array"}:
            words = f"list of {reply_type(schema.get('items', {}))}"
        case {"const": value}:
            words = f"`{value}`"
        case {"enum": values}:
            words = _listed(values)
        case _:
            words = str(schema.get("type", "any"))
    return words
