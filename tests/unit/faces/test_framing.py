import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecraft.faces.alignment import FFHQ_512
from facecraft.faces.face import Face
from facecraft.faces.framing import frame, head_geometry
from facecraft.imaging.geometry import Box, Size, Transform

UPRIGHT = FFHQ_512.scaled(512)


def _face(place: Transform) -> Face:
    return Face(place.box(Box(120, 120, 390, 480)), 0.9, place(UPRIGHT))


def _placed(degrees: float = 0.0, scale: float = 1.0, at: tuple[float, float] = (256, 256)) -> Face:
    return _face(Transform.similarity(scale=scale, degrees=degrees, source=(256, 256), target=at))


@given(st.floats(-180, 180), st.floats(0.05, 4), st.tuples(st.floats(-900, 900), st.floats(-900, 900)))
def test_the_frame_does_not_depend_on_how_the_face_lies_in_the_picture(
    degrees: float, scale: float, at: tuple[float, float]
) -> None:
    size = Size(648, 648)
    plain, moved = _placed(), _placed(degrees, scale, at)
    assert frame(moved, size)(moved.landmarks) == pytest.approx(frame(plain, size)(plain.landmarks), abs=1e-3)


@pytest.mark.parametrize("degrees", [-170, -90, -20, 0, 33, 90, 180])
def test_the_eyes_are_level_and_the_head_stands_on_the_axis(degrees: float) -> None:
    face = _placed(degrees)
    out = frame(face, Size(648, 648))(face.landmarks)
    assert out[0, 1] == pytest.approx(out[1, 1], abs=1e-6)
    assert out[0, 0] < out[1, 0]
    assert out[:2, 0].mean() == pytest.approx(323.5, abs=648 * 0.01)


def test_a_default_portrait_has_room_above_the_hair_and_shoulders_below() -> None:
    face, size = _placed(), Size(648, 648)
    transform = frame(face, size)
    head = head_geometry(face).size * transform.scale
    eyes = transform(face.landmarks)[:2, 1].mean()
    assert 0.60 <= head / 648 <= 0.65
    assert 0.40 <= eyes / 648 <= 0.50
    assert eyes - head / 2 > 0.1 * 648
    assert 648 - (eyes + head / 2) > 0.15 * 648


def test_more_margin_makes_a_smaller_head() -> None:
    face = _placed()
    scales = [frame(face, Size(648, 648), margin).scale for margin in np.linspace(0, 1, 11)]
    assert scales == sorted(scales, reverse=True)
    assert len(set(scales)) == 11


@pytest.mark.parametrize("margin", [-0.1, 1.1, float("nan")])
def test_a_margin_outside_its_range_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="margin"):
        frame(_placed(), Size(648, 648), margin)


def test_a_narrow_frame_is_limited_by_its_width() -> None:
    face = _placed()
    narrow, square, wide = (frame(face, Size(w, h)).scale for w, h in ((300, 900), (900, 900), (1800, 900)))
    assert narrow < square == wide
    out = frame(face, Size(300, 900))(UPRIGHT)
    assert 0 < out[:, 0].min() < out[:, 0].max() < 300


def test_without_straightening_the_picture_keeps_its_tilt() -> None:
    face = _placed(20)
    assert frame(face, Size(648, 648), straighten=False).degrees == pytest.approx(0)


def test_a_face_without_extent_is_refused() -> None:
    with pytest.raises(ValueError, match="coincide"):
        frame(Face(Box(0, 0, 1, 1), 0.9, np.zeros((5, 2))), Size(648, 648))
