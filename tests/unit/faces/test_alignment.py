import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecraft.faces.alignment import (
    ARCFACE_112,
    ARCFACE_128,
    FFHQ_512,
    TEMPLATES,
    align,
    fit_similarity,
)
from facecraft.faces.face import Face
from facecraft.imaging.compositing import paste_back
from facecraft.imaging.geometry import Box, Transform
from facecraft.imaging.image import Image


def _smooth(height: int, width: int) -> Image:
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [np.sin(columns / 17), np.cos(rows / 23), np.sin((rows + columns) / 31)]
    return Image((np.stack(waves, axis=-1) * 100 + 128).astype(np.uint8))


def _face(degrees: float = 20.0, scale: float = 0.9) -> Face:
    place = Transform.similarity(scale=scale, degrees=degrees, source=(56, 56), target=(150, 140))
    return Face(Box(100, 90, 200, 190), 0.9, place(ARCFACE_112.scaled(112)))


def test_templates_hold_the_published_pixels() -> None:
    assert ARCFACE_112.scaled(112)[0] == pytest.approx([38.2946, 51.6963])
    assert ARCFACE_128.scaled(128)[0] == pytest.approx([46.2946, 51.6963])
    assert FFHQ_512.scaled(512)[2] == pytest.approx([256.634, 314.019], abs=1e-2)
    assert len({template.name for template in TEMPLATES}) == len(TEMPLATES)


@given(st.floats(0.1, 10), st.floats(-180, 180), st.tuples(st.floats(-500, 500), st.floats(-500, 500)))
def test_a_similarity_is_recovered_exactly(scale: float, degrees: float, target: tuple[float, float]) -> None:
    truth = Transform.similarity(scale=scale, degrees=degrees, source=(3, 4), target=target)
    points = ARCFACE_112.scaled(112)
    assert fit_similarity(points, truth(points)).matrix == pytest.approx(truth.matrix, abs=1e-6)


def test_a_mirror_is_never_fitted() -> None:
    points = FFHQ_512.scaled(512)
    mirrored = points * [-1, 1]
    assert np.linalg.det(fit_similarity(points, mirrored).matrix[:, :2]) > 0


def test_points_that_coincide_are_refused() -> None:
    with pytest.raises(ValueError, match="different points"):
        fit_similarity(np.ones((5, 2)), np.zeros((5, 2)))


def test_the_landmarks_of_an_aligned_crop_lie_on_the_template() -> None:
    crop = align(_smooth(300, 320), _face(), ARCFACE_112, 112)
    assert crop.pixels.shape == (112, 112, 3)
    assert crop.pixels.dtype == np.uint8
    assert crop.size == 112
    assert crop.transform(_face().landmarks) == pytest.approx(ARCFACE_112.scaled(112), abs=1e-6)
    assert crop.inverse(crop.transform(_face().landmarks)) == pytest.approx(_face().landmarks)


def test_an_unchanged_crop_pasted_back_gives_the_picture_back() -> None:
    image = _smooth(300, 320)
    crop = align(image, _face(), FFHQ_512, 512)
    mask = np.zeros((512, 512), np.float32)
    mask[60:-60, 60:-60] = 1
    back = paste_back(image.pixels, crop.pixels, crop.inverse, mask)
    assert np.abs(back.astype(int) - image.pixels.astype(int)).max() <= 3


def test_a_crop_says_where_the_picture_ends() -> None:
    face = Face(Box(-20, -20, 40, 40), 0.9, ARCFACE_112.scaled(112) - 60)
    crop = align(_smooth(100, 100), face, ARCFACE_112, 112)
    assert crop.inside[0, 0] == 0
    assert crop.inside[-1, -1] == 1
