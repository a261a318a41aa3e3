"""The portrait that ships with Facecraft, for whoever has no photo at hand."""

from __future__ import annotations

from importlib import resources

NAME = "astronaut.jpg"
"""Its file name; where it comes from stands in the README beside it."""


def sample() -> bytes:
    """Return the file: a JPEG of 512×512 pixels with one face."""
    return (resources.files("facecraft") / "data" / NAME).read_bytes()
