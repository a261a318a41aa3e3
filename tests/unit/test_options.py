"""The frozen base of parameter sets and the shared field types."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from facecraft.options import Color, Options, rgb


class _Sample(Options):
    """A sample."""

    color: Color = "white"
    """A colour."""
    number: int = 3
    """A number."""


class _Part(Options):
    """A part of the sample."""

    number: int = 1
    """A number."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#f00", (255, 0, 0)),
        ("00FF00", (0, 255, 0)),
        ("red", (255, 0, 0)),
        (" Blue ", (0, 0, 255)),
        ("240,240,240", (240, 240, 240)),
        ("rgb(1, 2, 3)", (1, 2, 3)),
        ((1, 2, 3), (1, 2, 3)),
    ],
)
def test_colors_are_red_green_blue(text: object, expected: tuple[int, int, int]) -> None:
    assert rgb(TypeAdapter(Color).validate_python(text)) == expected


@pytest.mark.parametrize(
    "text", ["", "#12", "reddish", "256,0,0", "1,2", (1, 2), 7, None, "#12345g", "url(javascript:1)"]
)
def test_what_is_no_color_is_refused(text: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Color).validate_python(text)


def test_options_are_frozen_and_refuse_unknown_names() -> None:
    options = _Sample()
    assert options.color == "#ffffff"
    with pytest.raises(ValidationError):
        options.number = 4  # type: ignore[misc]
    with pytest.raises(ValidationError):
        _Sample.model_validate({"numbr": 4})


def test_descriptions_come_from_the_text_below_the_field() -> None:
    assert _Sample.model_fields["number"].description == "A number."


def test_pick_cuts_out_the_fields_of_a_part() -> None:
    assert _Sample(number=9).pick(_Part) == _Part(number=9)


def test_changes_are_validated() -> None:
    assert _Sample().with_changes(color="black").color == "#000000"
    with pytest.raises(ValidationError):
        _Sample().with_changes(number="many")
