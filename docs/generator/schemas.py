"""JSON schemas in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.fields import FieldInfo

from generator.markdown import code, plain, table


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


def allowed(schema: Mapping[str, Any], named: Mapping[str, Any]) -> str:
    """Return what values ``schema`` takes, in words."""
    schema = resolved(schema, named)
    match schema:
        case {"enum": values}:
            words = _listed(values)
        case {"type": "array", "items": items}:
            words = f"list of {allowed(items, named)}"
        case {"type": "boolean"}:
            words = "`true`, `false`"
        case {"type": "integer" | "number"}:
            words = _number(schema)
        case {"format": "binary"} | {"contentMediaType": _}:
            words = "file"
        case {"pattern": pattern}:
            words = f"text matching `{pattern}`"
        case {"examples": examples}:
            words = f"such as {_listed(examples)}"
        case {"format": "path"}:
            words = "path"
        case _:
            words = "text"
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
