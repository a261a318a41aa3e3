import numpy as np
import pytest

from facecraft.errors import AmbiguousFaceError, FaceIndexError, NoFaceFoundError
from facecraft.faces.face import Face
from facecraft.faces.selection import FacePolicy, choose, in_reading_order
from facecraft.imaging.geometry import Box, Size

SIZE = Size(100, 100)


def _face(x: float, y: float, side: float) -> Face:
    half = side / 2
    return Face(Box(x - half, y - half, x + half, y + half), 0.9, np.zeros((5, 2)))


FACES = (_face(10, 50, 40), _face(50, 48, 20), _face(80, 50, 30))


def test_largest_counts_only_what_is_inside_the_picture() -> None:
    # 40 wide, but only 30 of it in the picture: 1200 pixels against 900 of the third.
    assert choose(FACES, FacePolicy.LARGEST, 0, SIZE) == (0,)
    assert choose((_face(-10, 50, 40), *FACES[1:]), FacePolicy.LARGEST, 0, SIZE) == (2,)


def test_of_equally_large_faces_the_central_one_is_meant() -> None:
    assert choose((_face(20, 50, 20), _face(55, 50, 20)), FacePolicy.LARGEST, 0, SIZE) == (1,)


def test_the_other_policies() -> None:
    assert choose(FACES, FacePolicy.CENTRAL, 0, SIZE) == (1,)
    assert choose(FACES, FacePolicy.INDEX, 2, SIZE) == (2,)
    assert choose(FACES, FacePolicy.ALL, 0, SIZE) == (0, 1, 2)
    assert choose(FACES[:1], FacePolicy.ONLY, 0, SIZE) == (0,)


@pytest.mark.parametrize("policy", list(FacePolicy))
def test_no_face_is_an_error_whatever_the_policy(policy: FacePolicy) -> None:
    with pytest.raises(NoFaceFoundError):
        choose((), policy, 0, SIZE)


@pytest.mark.parametrize("index", [3, -1])
def test_an_index_that_is_not_there_names_the_range(index: int) -> None:
    with pytest.raises(FaceIndexError) as caught:
        choose(FACES, FacePolicy.INDEX, index, SIZE)
    assert "0 to 2" in (caught.value.hint or "")


def test_only_refuses_several() -> None:
    with pytest.raises(AmbiguousFaceError, match="3 faces"):
        choose(FACES, FacePolicy.ONLY, 0, SIZE)


def test_faces_stand_from_left_to_right_then_from_top_to_bottom() -> None:
    low, high = _face(50, 80, 10), _face(50, 20, 10)
    assert in_reading_order((FACES[2], low, FACES[0], high)) == (FACES[0], high, low, FACES[2])
