"""`Options`, the frozen base of every parameter set, and the field types the sets share.

A parameter set is declared once, as flat Pydantic fields with a default, bounds and a description. Library
arguments, form fields, terminal flags, JSON schema and reference pages are derived from that declaration.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

OptionsT = TypeVar("OptionsT", bound="Options")


class Options(BaseModel):
    """A frozen set of parameters with flat fields; unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True)

    def pick(self, kind: type[OptionsT]) -> OptionsT:
        """Return the part of this set that ``kind`` declares, as a ``kind``."""
        return kind.model_validate({name: getattr(self, name) for name in kind.model_fields})

    def with_changes(self, **changes: Any) -> Self:
        """Return a validated copy with ``changes`` applied."""
        return type(self).model_validate(self.model_dump() | changes)


# CSS Color Module Level 4, the sixteen basic keywords and the few that portraits ask for.
_NAMED = {
    "black": "000000", "white": "ffffff", "gray": "808080", "grey": "808080", "silver": "c0c0c0",
    "red": "ff0000", "maroon": "800000", "orange": "ffa500", "yellow": "ffff00", "olive": "808000",
    "lime": "00ff00", "green": "008000", "aqua": "00ffff", "cyan": "00ffff", "teal": "008080",
    "blue": "0000ff", "navy": "000080", "fuchsia": "ff00ff", "magenta": "ff00ff", "purple": "800080",
    "pink": "ffc0cb", "beige": "f5f5dc", "ivory": "fffff0", "lightblue": "add8e6", "lightgray": "d3d3d3",
    "lightgrey": "d3d3d3", "skyblue": "87ceeb", "steelblue": "4682b4", "whitesmoke": "f5f5f5",
}  # fmt: skip

_HEX = re.compile(r"#?(?P<hex>[0-9a-f]{3}|[0-9a-f]{6})", re.IGNORECASE)
_TRIPLE = re.compile(r"(?:rgb\()?\s*(\d{1,3})\s*[, ]\s*(\d{1,3})\s*[, ]\s*(\d{1,3})\s*\)?")


def normalize_color(value: object) -> str:
    """Return ``value`` (hex, ``r,g,b``, a CSS name or three numbers) as ``#rrggbb``. Raises ValueError."""
    if isinstance(value, list | tuple):
        value = ",".join(str(part) for part in value)
    text = str(value).strip().lower()
    if text in _NAMED:
        return "#" + _NAMED[text]
    if match := _HEX.fullmatch(text):
        digits = match["hex"]
        return "#" + (digits if len(digits) == 6 else "".join(2 * d for d in digits))
    if (match := _TRIPLE.fullmatch(text)) and all(int(part) <= 255 for part in match.groups()):
        return "#" + "".join(f"{int(part):02x}" for part in match.groups())
    raise ValueError("give a colour as #rrggbb, as r,g,b or as a CSS name such as white")


Color = Annotated[
    str,
    BeforeValidator(normalize_color),
    WithJsonSchema({"type": "string", "format": "color", "examples": ["#f0f0f0", "white", "240,240,240"]}),
]
"""A colour, normalised to ``#rrggbb``; accepts hex, ``r,g,b`` and CSS names. Order is red, green, blue."""

Fraction = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
"""A number between 0 and 1."""

Side = Annotated[int, Field(ge=64, le=4096)]
"""A side of an output picture in pixels."""


def rgb(color: str) -> tuple[int, int, int]:
    """Return the red, green and blue parts (0..255) of a normalised ``#rrggbb`` colour."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
