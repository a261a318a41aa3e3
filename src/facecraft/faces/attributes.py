"""What a network believes about the person in a picture: apparent age and sex, never more than a guess."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Sex: TypeAlias = Literal["female", "male"]


@dataclass(frozen=True, slots=True)
class Attributes:
    """Apparent age and sex of one face. What a network does not tell is None."""

    age: int | None = None
    """Years, from networks that estimate a number."""
    age_range: tuple[int, int | None] | None = None
    """First and last year of an age group, from networks that choose one; the last group has no end."""
    age_score: float | None = None
    """How sure the network is of the age group, 0..1."""
    sex: Sex | None = None
    sex_score: float | None = None
    """How sure the network is of the sex, 0..1."""
