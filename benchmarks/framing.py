"""How level, centered and equally large framed heads are, seen by several independent instruments.

    python benchmarks/framing.py [PHOTO ...] [--models DIR] [--save DIR] [--json]

Every face of every photo (scikit-image's astronaut unless some are given) is put into pictures in which it is tilted, turned
by quarters, small, huge, cut by the border, mirrored, seen askew, dark, bright, noisy or blurred. Each picture goes through the
search, the mesh and the framing to 648×648, and the result is measured with every detector and landmarker at hand.
The mesh is not independent: it was used for the framing. An instrument's own error is part of its numbers.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import platformdirs
from numpy.typing import NDArray

from facecraft.errors import ModelLoadError, RuntimeMissingError
from facecraft.faces.face import Face
from facecraft.faces.framing import frame
from facecraft.faces.landmarks import five_points
from facecraft.faces.search import find_faces
from facecraft.imaging.geometry import Box, Points, Size, Transform
from facecraft.imaging.image import Image, Pixels
from facecraft.imaging.resample import warp
from facecraft.inference.dlib import DlibDetector, DlibShapePredictor
from facecraft.inference.litert import LiteRtSession
from facecraft.inference.onnx import OnnxSession
from facecraft.models.detectors import FULL_RANGE, SHORT_RANGE, BlazeFace, YuNet
from facecraft.models.landmarkers import FaceMesh

FRAME = Size(648, 648)
SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


@dataclass(frozen=True)
class Seen:
    """What an instrument sees in a framed portrait: both eyes and the box of the face, in pixels."""

    eyes: Points
    box: Box

    @property
    def numbers(self) -> tuple[float, float, float, float, float]:
        """Tilt in degrees; eyes and box off the axis in percent of the width; box height and eye distance in pixels."""
        (x1, y1), (x2, y2) = self.eyes
        axis, percent = (FRAME.width - 1) / 2, 100 / FRAME.width
        return (
            math.degrees(math.atan2(y2 - y1, x2 - x1)),
            ((x1 + x2) / 2 - axis) * percent,
            (self.box.center[0] - axis) * percent,
            self.box.height,
            math.hypot(x2 - x1, y2 - y1),
        )


Instrument: TypeAlias = Callable[[Image], Seen | None]
Find: TypeAlias = Callable[[Image], tuple[Face, ...]]


def _seen(faces: Sequence[Face]) -> Seen | None:
    near = [f for f in faces if abs(f.box.center[0] - FRAME.width / 2) < 0.2 * FRAME.width and f.box.height > 130]
    return Seen(near[0].landmarks[:2], near[0].box) if near else None


def _around(points: NDArray[np.float64]) -> Box:
    (x1, y1), (x2, y2) = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    return Box(float(x1), float(y1), float(x2), float(y2))


def _dlib(models: Path) -> Instrument | None:
    try:
        detector = DlibDetector()
        predictor = DlibShapePredictor(models / "shape_predictor_68_face_landmarks.dat")
    except (ModelLoadError, RuntimeMissingError):
        return None

    def look(image: Image) -> Seen | None:
        boxes = [box for box, _ in detector.detect(image.rgb) if abs(box.center[0] - FRAME.width / 2) < 130]
        if not boxes:
            return None
        points = predictor.predict(image.rgb, boxes[0])
        return Seen(np.stack([points[36:42].mean(axis=0), points[42:48].mean(axis=0)]), _around(points))

    return look


def _networks(models: Path) -> tuple[Find, dict[str, Instrument]]:
    far = BlazeFace(LiteRtSession(models / "face_detection_full_range_sparse.tflite"), FULL_RANGE)
    near = BlazeFace(LiteRtSession(models / "face_detection_short_range.tflite"), SHORT_RANGE)
    mesh = FaceMesh(LiteRtSession(models / "face_landmark.tflite"))

    def look_mesh(image: Image) -> Seen | None:
        faces = [*near.detect(image), *far.detect(image)]
        dense = mesh.locate(image, faces[0]) if faces else None
        return None if dense is None else Seen(five_points(dense)[:2], _around(dense.points))

    instruments: dict[str, Instrument] = {}
    name = "face_detection_yunet_2023mar.onnx"
    if files := [folder / name for folder in (models, SHARED / "models") if (folder / name).is_file()]:
        yunet = YuNet(OnnxSession(files[0]))
        instruments["yunet"] = lambda image: _seen(yunet.detect(image))
    instruments["blazeface short"] = lambda image: _seen(near.detect(image))
    instruments["blazeface full"] = lambda image: _seen(far.detect(image))
    if look := _dlib(models):
        instruments["dlib 68"] = look
    instruments["mesh"] = look_mesh
    return lambda image: find_faces(image, [far.detect, near.detect], locate=mesh.locate), instruments


@dataclass(frozen=True)
class Scene:
    """A picture with a face of ``pixels`` about ``at``."""

    name: str
    size: tuple[int, int] = (900, 900)
    at: tuple[float, float] = (450.0, 450.0)
    pixels: float = 200.0
    degrees: float = 0.0
    askew: float = 0.0
    mirrored: bool = False
    gain: float = 1.0
    noise: float = 0.0
    blur: float = 0.0


def _scenes(rng: np.random.Generator) -> Iterator[Scene]:
    for degrees in (-35, -25, -15, -8, 8, 15, 25, 35, 90, 180, -90):
        yield Scene(f"turned {degrees}", degrees=degrees)
    for pixels in (40, 60, 90, 150, 300, 450, 700, 900):
        yield Scene(f"{pixels} px", (1200, 900), (600, 450), pixels, rng.uniform(-10, 10))
    for pixels in (30, 45, 70):
        spot = (rng.uniform(300, 2100), rng.uniform(300, 1500))
        yield Scene(f"far {pixels} px", (2400, 1800), spot, pixels, rng.uniform(-10, 10))
    for spot in ((120, 300), (780, 300), (450, 110), (450, 800), (95, 450), (830, 140)):
        yield Scene(f"cut at {spot[0]},{spot[1]}", at=spot, pixels=260, degrees=rng.uniform(-12, 12))
    yield Scene("fills the frame", (700, 760), (350, 380), 620, 4)
    yield Scene("mirrored", degrees=5, mirrored=True)
    for askew in (-0.25, -0.15, 0.15, 0.25):
        yield Scene(f"askew {askew}", pixels=220, degrees=rng.uniform(-8, 8), askew=askew)
    yield Scene("dark", degrees=6, gain=0.35)
    yield Scene("bright", degrees=-6, gain=1.6)
    yield Scene("noisy", pixels=180, degrees=9, noise=18)
    yield Scene("blurred", pixels=180, degrees=-9, blur=3)


def _render(image: Image, face: Face, scene: Scene, rng: np.random.Generator) -> tuple[Image, tuple[float, float]]:
    side = max(face.box.width, face.box.height)
    place = Transform.similarity(
        scale=scene.pixels / side, degrees=scene.degrees, source=face.box.center, target=scene.at
    )
    pixels: NDArray[np.float32] = warp(image.rgb, place, Size(*scene.size)).pixels.astype(np.float32)
    if scene.askew:
        move = np.array([[1, 0, -scene.at[0]], [0, 1, -scene.at[1]], [0, 0, 1]], np.float64)
        tilt = np.array([[1 - 0.3 * abs(scene.askew), 0, 0], [0, 1, 0], [scene.askew / scene.pixels, 0, 1]])
        pixels = cv2.warpPerspective(pixels, np.linalg.inv(move) @ tilt @ move, scene.size).astype(np.float32)
    if scene.blur:
        pixels = cv2.GaussianBlur(pixels, (0, 0), scene.blur).astype(np.float32)
    pixels = pixels * np.float32(scene.gain) + rng.normal(0, max(scene.noise, 1e-6), pixels.shape).astype(np.float32)
    at = scene.at
    if scene.mirrored:
        pixels, at = pixels[:, ::-1], (scene.size[0] - 1 - at[0], at[1])
    return Image(np.ascontiguousarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))), at


def _framed(find: Find, picture: Image, at: tuple[float, float]) -> Pixels | None:
    faces = sorted(find(picture), key=lambda f: math.dist(f.box.center, at))
    return warp(picture.rgb, frame(faces[0], FRAME), FRAME).pixels if faces else None


def _summary(rows: list[tuple[float, float, float, float, float]]) -> dict[str, float]:
    table = np.array(rows)
    result = {"seen": float(len(table))}
    for column, name in enumerate(("tilt", "eyes_off", "box_off")):
        values = np.abs(table[:, column])
        result |= {
            f"{name}_median": float(np.median(values)),
            f"{name}_p95": float(np.percentile(values, 95)),
            f"{name}_max": float(values.max()),
        }
    for column, name in ((3, "height"), (4, "eye_distance")):
        low, high = np.percentile(table[:, column], [2.5, 97.5])
        result |= {f"{name}_spread": float(high / low - 1), f"{name}_median": float(np.median(table[:, column]))}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photos", nargs="*", type=Path)
    default = os.environ.get("FACECRAFT_MODELS_DIR") or Path(platformdirs.user_data_dir("facecraft")) / "models"
    parser.add_argument("--models", type=Path, default=Path(default))
    parser.add_argument("--save", type=Path, help="folder for the framed pictures")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    find, instruments = _networks(arguments.models)
    rng = np.random.default_rng(7)
    rows: dict[str, list[tuple[float, float, float, float, float]]] = {name: [] for name in instruments}
    missed, total = [], 0
    for name, image in _photos(arguments.photos):
        for number, face in enumerate(find(image)):
            for scene in _scenes(rng):
                total += 1
                out = _framed(find, *_render(image, face, scene, rng))
                label = f"{name} {number}: {scene.name}"
                if out is None:
                    missed.append(label)
                    continue
                if arguments.save:
                    arguments.save.mkdir(parents=True, exist_ok=True)
                    cv2.imwrite(
                        str(arguments.save / f"{label.replace(':', '').replace(' ', '_')}.png"), out[:, :, ::-1]
                    )
                for key, look in instruments.items():
                    if seen := look(Image(out)):
                        rows[key].append(seen.numbers)
    report = {key: _summary(values) for key, values in rows.items() if values}
    if arguments.json:
        json.dump({"pictures": total, "missed": missed, "instruments": report}, sys.stdout, indent=2)
        return
    print(f"{total} pictures, missed: {', '.join(missed) or 'none'}")
    print(
        "median / p95 / max            tilt, degrees        eyes off axis, %      box off axis, %      spread 95 %: height, eyes"
    )
    for key, r in report.items():
        parts = [
            " / ".join(f"{r[f'{n}_{k}']:5.2f}" for k in ("median", "p95", "max"))
            for n in ("tilt", "eyes_off", "box_off")
        ]
        print(
            f"{key:16s} n={r['seen']:4.0f}  "
            + "  ".join(parts)
            + f"  {r['height_spread']:.3f} {r['eye_distance_spread']:.3f}"
        )


def _photos(files: Sequence[Path]) -> Iterator[tuple[str, Image]]:
    if not files:
        from skimage import data  # noqa: PLC0415  not needed for other photos

        yield "astronaut", Image(np.ascontiguousarray(data.astronaut()))
    for file in files:
        pixels = cv2.imread(str(file), cv2.IMREAD_COLOR_RGB)
        if pixels is None:
            raise SystemExit(f"{file} cannot be read")
        yield file.stem, Image(np.asarray(pixels, np.uint8))


if __name__ == "__main__":
    main()
