"""The search, with a detector that knows one drawn face and sees it only upright and at the sizes a network sees."""

from __future__ import annotations

import numpy as np
import pytest

from facecraft.faces.face import DenseLandmarks, Face
from facecraft.faces.search import find_faces
from facecraft.imaging.geometry import Box, Size, Transform
from facecraft.imaging.image import Image
from facecraft.imaging.resample import fit

# A face is drawn as a green square with two red eyes in its upper and a blue mouth in its lower half.
EYES, MOUTH = ((0.3, 0.3), (0.7, 0.3)), (0.5, 0.75)


def _draw(pixels: np.ndarray, x: float, y: float, side: float, quarter: int = 0) -> None:
    n = round(side)
    tile = np.zeros((n, n, 3), np.uint8)
    tile[:] = (0, 200, 0)
    dot = max(1, n // 8)
    for (ex, ey), color in ((EYES[0], (255, 0, 0)), (EYES[1], (255, 0, 0)), (MOUTH, (0, 0, 255))):
        cx, cy = round(ex * n), round(ey * n)
        tile[cy - dot : cy + dot, cx - dot : cx + dot] = color
    tile = np.rot90(tile, -quarter)
    left, top = round(x - n / 2), round(y - n / 2)
    part = pixels[max(0, top) : top + n, max(0, left) : left + n]
    part[:] = tile[max(0, -top) :, max(0, -left) :][: part.shape[0], : part.shape[1]]


def _picture(width: int, height: int, *faces: tuple[float, ...]) -> Image:
    pixels = np.zeros((height, width, 3), np.uint8)
    for x, y, side, *quarter in faces:
        _draw(pixels, x, y, side, int(quarter[0]) if quarter else 0)
    return Image(pixels)


class Watcher:
    """Sees green squares of 6 to 60 % of what it is shown, whole and with the eyes above the mouth."""

    def __init__(self) -> None:
        self.calls = 0

    def detect(self, image: Image) -> tuple[Face, ...]:
        self.calls += 1
        side = 192
        small = fit(image.rgb, Size(side, side), enlarge=True).astype(int)
        scale = max(image.width, image.height) / side
        lit = small.max(axis=2) > 90
        found, seen = [], np.zeros_like(lit)
        for y, x in np.argwhere(lit):
            if seen[y, x]:
                continue
            right = x + int(np.argmin(np.append(lit[y, x:], False)))
            bottom = y + int(np.argmin(np.append(lit[y:, x], False)))
            seen[y:bottom, x:right] = True
            w, h = right - x, bottom - y
            part = small[y:bottom, x:right]
            if not (0.055 * side <= w <= 0.6 * side and 0.85 < w / h < 1.18):
                continue
            red = np.argwhere(part[:, :, 0] > part[:, :, 1] + 40)
            blue = np.argwhere(part[:, :, 2] > part[:, :, 1] + 40)
            if not len(red) or not len(blue) or red[:, 0].mean() > blue[:, 0].mean() - 0.2 * h:
                continue
            box = Box(x * scale, y * scale, right * scale, bottom * scale)
            five = np.array([[x + ex * w, y + ey * h] for ex, ey in (*EYES, (0.5, 0.5), (0.35, 0.75), (0.65, 0.75))])
            found.append(Face(box, 0.95, five * scale))
        return tuple(found)


def _near(faces: tuple[Face, ...], *centers: tuple[float, float], within: float) -> bool:
    return len(faces) == len(centers) and all(
        np.hypot(face.box.center[0] - x, face.box.center[1] - y) < within
        for face, (x, y) in zip(faces, centers, strict=True)
    )


def test_a_portrait_is_seen_at_once() -> None:
    watcher = Watcher()
    faces = find_faces(_picture(900, 1100, (450, 500, 300)), [watcher.detect])
    assert _near(faces, (450, 500), within=12)
    assert watcher.calls == 2  # the whole picture, and a close-up to be sure


def test_a_face_that_fills_the_frame_is_seen() -> None:
    faces = find_faces(_picture(400, 400, (200, 200, 380)), [Watcher().detect])
    assert _near(faces, (200, 200), within=15)


def test_small_faces_in_a_large_picture_are_counted_once_from_left_to_right() -> None:
    spots = ((300, 300), (1000, 900), (1010, 200), (1700, 1100))
    faces = find_faces(_picture(2000, 1400, *((x, y, 60) for x, y in spots)), [Watcher().detect])
    assert _near(faces, *spots, within=10)


def test_people_in_the_background_of_a_group_are_counted() -> None:
    faces = find_faces(_picture(2400, 1600, (700, 700, 300), (1500, 700, 300), (2200, 300, 90)), [Watcher().detect])
    assert _near(faces, (700, 700), (1500, 700), (2200, 300), within=15)


@pytest.mark.parametrize(("quarter", "roll"), [(1, 90), (2, 180), (3, -90)])
def test_a_turned_picture_gives_its_face_in_its_own_pixels(quarter: int, roll: float) -> None:
    faces = find_faces(_picture(900, 600, (300, 250, 200, quarter)), [Watcher().detect])
    assert _near(faces, (300, 250), within=10)
    (face,) = faces
    assert abs((face.roll - roll + 180) % 360 - 180) < 3
    upright = Transform.similarity(scale=1, degrees=-roll, source=face.box.center, target=(0, 0))(face.landmarks)
    assert upright[0, 0] < upright[1, 0]
    assert upright[:2, 1].max() < upright[3:, 1].min()


def test_turns_can_be_left_out() -> None:
    assert find_faces(_picture(900, 600, (300, 250, 200, 2)), [Watcher().detect], rotations=False) == ()


def test_a_picture_without_a_face_ends_and_gives_none() -> None:
    watcher = Watcher()
    assert find_faces(_picture(4000, 3000), [watcher.detect]) == ()
    assert watcher.calls < 250
    assert find_faces(_picture(1, 1), [watcher.detect]) == ()
    assert find_faces(_picture(3000, 2), [watcher.detect]) == ()


def test_the_landmarker_has_the_last_word() -> None:
    image = _picture(900, 600, (300, 250, 200), (700, 250, 200))

    def locate(_: Image, face: Face) -> DenseLandmarks | None:
        if face.box.center[0] > 450:
            return None
        corners = np.array([[face.box.x1, face.box.y1, 0.0], [face.box.x2, face.box.y2, 0.0]])
        points = np.concatenate([np.column_stack([face.landmarks, np.zeros(5)])[:3], corners])
        return DenseLandmarks("dlib5", points, 0.9)

    faces = find_faces(image, [Watcher().detect], locate=locate)
    assert len(faces) == 1
    assert faces[0].box.center[0] < 450
    assert faces[0].dense is not None


def test_several_detectors_report_one_face_once() -> None:
    watcher = Watcher()

    def tall(image: Image) -> tuple[Face, ...]:
        return tuple(
            Face(Box(f.box.x1, f.box.y1 - 0.2 * f.box.height, f.box.x2, f.box.y2), 0.99, f.landmarks)
            for f in watcher.detect(image)
        )

    assert len(find_faces(_picture(900, 600, (300, 250, 200)), [watcher.detect, tall])) == 1
