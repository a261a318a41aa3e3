"""How the last context becomes files: backdrop, shape, transparency, fill."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as PilImage
from pydantic import ValidationError

from facecraft.imaging.image import Image
from facecraft.pipelines.encode import EncodeOptions, compose, encode
from facecraft.pipelines.stage import Context

SIDE = 32
RED = np.full((SIDE, SIDE, 3), (200, 10, 20), np.uint8)
LEFT = np.zeros((SIDE, SIDE), np.float32)
LEFT[:, : SIDE // 2] = 1
TOP = np.zeros((SIDE, SIDE), np.float32)
TOP[: SIDE // 2] = 1
BLUE = np.full((SIDE, SIDE, 3), (0, 0, 255), np.uint8)


def _context(**changes: object) -> Context:
    return Context(original=Image(RED), pixels=RED, **changes)  # type: ignore[arg-type]


def _read(data: bytes) -> np.ndarray:
    return np.asarray(PilImage.open(io.BytesIO(data)))


def test_without_a_mask_the_picture_stays_opaque() -> None:
    assert not compose(_context()).image().has_alpha


def test_a_cut_out_subject_is_transparent_and_hides_nothing() -> None:
    rgba = compose(_context(alpha=LEFT)).rgba()
    assert rgba[0, 0].tolist() == [200, 10, 20, 255]
    assert not rgba[:, SIDE // 2 :].any()


def test_a_backdrop_fills_what_is_not_subject_and_the_shape_is_cut_last() -> None:
    rgba = compose(_context(alpha=LEFT, backdrop=BLUE, shape=TOP)).rgba()
    assert rgba[0, 0].tolist() == [200, 10, 20, 255]
    assert rgba[0, -1].tolist() == [0, 0, 255, 255]
    assert not rgba[-1].any()


def test_subject_and_shape_both_cut_when_there_is_no_backdrop() -> None:
    alpha = compose(_context(alpha=LEFT, shape=TOP)).rgba()[:, :, 3]
    assert alpha[0, 0] == 255
    assert not alpha[SIDE // 2 :].any()
    assert not alpha[:, SIDE // 2 :].any()


def test_what_lies_outside_the_photo_is_transparent_when_nothing_was_cut_out() -> None:
    assert compose(_context(coverage=LEFT)).rgba()[0, -1, 3] == 0


@pytest.mark.parametrize(("fill", "expected"), [("red", (255, 0, 0)), ("#00f", (0, 0, 255))])
def test_jpeg_gets_the_fill_in_the_right_channel_order(fill: str, expected: tuple[int, int, int]) -> None:
    options = EncodeOptions(formats=("jpeg",), fill=fill)  # type: ignore[arg-type]
    (jpeg,) = encode(compose(_context(alpha=LEFT)), options)
    corner = _read(jpeg.data)[-1, -1].astype(int)
    assert np.abs(corner - expected).max() < 12


def test_all_formats_are_written_with_their_own_size_and_type() -> None:
    options = EncodeOptions(formats=("png", "jpg", "webp"))  # type: ignore[arg-type]
    files = encode(compose(_context(alpha=LEFT)), options)
    kinds = [PilImage.open(io.BytesIO(file.data)).format for file in files]
    assert kinds == ["PNG", "JPEG", "WEBP"]
    assert {(file.size.width, file.size.height) for file in files} == {(SIDE, SIDE)}


def test_formats_come_as_text_too_and_repeat_only_once() -> None:
    assert EncodeOptions(formats="jpg, png,jpeg").formats == ("jpeg", "png")  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        EncodeOptions(formats="bmp")  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        EncodeOptions(formats=())
