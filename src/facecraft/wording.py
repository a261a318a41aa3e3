"""Small words in texts for people: one way to write them for every log line and command."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return ``number`` and ``noun``, in the plural where it is not one."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
