"""Measure cut-outs on composites whose alpha is exact.

    python benchmarks/matting.py [--models DIR] [--photos ../shared/photos] [--save DIR] [--json]

People are taken from photos once, offline and slowly: a trimap from several looks of the network, corrected by hand
(`Source.person`, `Source.background`), a fully converged full-size closed-form solution of this file's own, and
colours spread outwards from opaque pixels. The result need not be the true alpha of the photo: each is then put on
new backgrounds, turned, scaled, mirrored and exposed differently, and of *those* pictures alpha and colour are exact.

Printed are the mean absolute error of alpha, the intersection over union of alpha > 0.5, the error of the alpha
gradient (mean square, ×100000), the mean error of the estimated foreground colour where 0.02 < alpha < 0.98 (0..255), and
the median milliseconds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import cg
from skimage import data

from facecraft.imaging.geometry import Box
from facecraft.imaging.image import Alpha, Image, Pixels
from facecraft.imaging.matting import Refine, foreground, refine
from facecraft.inference.litert import LiteRtSession
from facecraft.models.segmenters import SelfieSegmenter
from facecraft.pipelines.presets import CutoutPresetOptions
from facecraft.settings import Settings
from facecraft.studio import Studio

Polygon = list[tuple[int, int]]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Source:
    """A photo, the part of it that is used, and what is known by hand about it (pixels of that part, scaled)."""

    name: str
    crop: tuple[int, int, int, int]
    scale: float
    face: Box
    person: tuple[Polygon, ...] = ()
    background: tuple[Polygon, ...] = ()
    keep: tuple[int, int, int, int] | None = None


SOURCES = (
    Source(
        "obama.jpg", (0, 0, 910, 1137), 1, Box(370, 80, 620, 420),
        background=([(862, 600), (910, 600), (910, 1137), (795, 1137), (800, 1040), (842, 860), (856, 700)],),
    ),
    Source(
        "obama2.jpg", (0, 100, 626, 1072), 1, Box(210, 120, 480, 530),
        person=([(235, 520), (180, 547), (100, 578), (40, 608), (0, 640), (0, 972), (235, 972)],),
        background=(
            [(548, 260), (626, 200), (626, 560), (500, 500), (472, 440), (490, 412), (545, 380), (556, 300)],
            [(0, 300), (190, 430), (200, 500), (150, 522), (90, 545), (0, 574)],
        ),
    ),
    Source(
        "astronaut", (0, 0, 512, 352), 2, Box(360, 120, 540, 350),
        person=(
            [(255, 385), (305, 325), (360, 315), (372, 372), (300, 430)],
            [(480, 600), (600, 600), (600, 704), (480, 704)],
        ),
        background=(
            [(0, 0), (150, 0), (170, 400), (130, 460), (80, 540), (45, 640), (35, 704), (0, 704)],
            [(755, 560), (1024, 540), (1024, 704), (745, 704)],
        ),
        keep=(0, 0, 760, 684),
    ),
    Source(
        "obama_and_biden.jpg", (60, 100, 2000, 1428), 0.6, Box(650, 150, 770, 310),
        background=(
            [(925, 430), (1050, 345), (1164, 200), (1164, 797), (938, 797), (912, 640), (912, 540)],
            [(562, 215), (622, 185), (630, 245), (650, 295), (672, 310), (640, 340), (620, 364), (548, 322), (542, 290)],
            [(0, 0), (28, 0), (80, 262), (150, 350), (270, 455), (280, 540), (220, 700), (190, 797), (0, 797)],
            [(584, 592), (628, 592), (630, 640), (620, 797), (596, 797), (582, 680)],
        ),
        keep=(185, 85, 995, 797),
    ),
)  # fmt: skip
ORDER = (0, 1, 2, 0, 1, 2, 3, 2)  # the two people are used less: their arms leave the frame


@dataclass(frozen=True)
class Composite:
    name: str
    pixels: Pixels
    alpha: Alpha
    colors: Pixels
    face: Box


def photo(name: str, photos: Path) -> Pixels:
    if name == "astronaut":
        return np.ascontiguousarray(data.astronaut())
    return np.ascontiguousarray(cv2.imread(str(photos / name))[:, :, ::-1])


def converged(pixels: Pixels, person: NDArray[np.bool_], background: NDArray[np.bool_]) -> Alpha:
    """Closed-form matting at full size, every window of the band, solved until it no longer moves."""
    height, width = person.shape
    index = np.arange(height * width).reshape(height, width)
    windows = np.lib.stride_tricks.sliding_window_view(index, (3, 3)).reshape(-1, 9)
    unknown = ~(person | background)
    windows = windows[unknown.ravel()[windows].any(axis=1)]
    colors = pixels.reshape(-1, 3)[windows].astype(np.float64) / 255
    colors -= colors.mean(axis=1, keepdims=True)
    covariance = colors.transpose(0, 2, 1) @ colors / 9 + 1e-7 / 9 * np.eye(3)
    affinity = (colors @ np.linalg.inv(covariance) @ colors.transpose(0, 2, 1) + 1) / 9
    rows, columns = np.repeat(windows, 9, axis=1).ravel(), np.tile(windows, (1, 9)).ravel()
    weights = sparse.coo_matrix((affinity.ravel(), (rows, columns)), shape=(index.size, index.size)).tocsr()
    laplacian = (sparse.diags(np.asarray(weights.sum(axis=1)).ravel()) - weights).tocsr()
    free, fixed = np.flatnonzero(unknown.ravel()), np.flatnonzero(person.ravel())
    part = laplacian[free]
    right = -np.asarray(part[:, fixed].sum(axis=1)).ravel()
    matrix = part[:, free].tocsr()
    jacobi = sparse.diags(1 / (matrix.diagonal() + 1e-12))
    solved, _ = cg(matrix, right, x0=np.full(len(free), 0.5), M=jacobi, rtol=1e-6, maxiter=4000)
    alpha = person.astype(np.float64)
    alpha.ravel()[free] = solved
    return np.clip(alpha, 0, 1).astype(np.float32)


def cut_out(source: Source, photos: Path, segmenter: SelfieSegmenter) -> tuple[Pixels, Alpha]:
    """The person's colours, extended beyond the edge, and alpha."""
    x1, y1, x2, y2 = source.crop
    pixels = photo(source.name, photos)[y1:y2, x1:x2]
    how = cv2.INTER_AREA if source.scale < 1 else cv2.INTER_CUBIC
    pixels = np.ascontiguousarray(cv2.resize(pixels, None, fx=source.scale, fy=source.scale, interpolation=how))
    likely = segmenter.segment(Image(pixels)).values
    person = cv2.erode((likely > 0.93).astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (13, 13)))
    back = cv2.erode((likely < 0.05).astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9)))
    for polygon in source.background:
        cv2.fillPoly(back, [np.array(polygon)], 1)
        cv2.fillPoly(person, [np.array(polygon)], 0)
    for polygon in source.person:
        cv2.fillPoly(person, [np.array(polygon)], 1)
        cv2.fillPoly(back, [np.array(polygon)], 0)
    count, labels = cv2.connectedComponents(1 - person)
    for label in range(1, count):
        if not back[labels == label].any():
            person[labels == label] = 1
    alpha = converged(pixels, person > 0, back > 0)
    alpha = np.clip((alpha - 0.08) / 0.84, 0, 1)
    solid = cv2.dilate((alpha > 0.5).astype(np.float32), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (17, 17)))
    alpha *= cv2.GaussianBlur(solid, (0, 0), 2)
    count, labels, stats, _ = cv2.connectedComponentsWithStats((alpha > 0.02).astype(np.uint8))
    alpha[labels != 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))] = 0
    if source.keep:
        x1, y1, x2, y2 = source.keep
        pixels, alpha = pixels[y1:y2, x1:x2], alpha[y1:y2, x1:x2]
    return extended(pixels, alpha), alpha.astype(np.float32)


def extended(pixels: Pixels, alpha: Alpha) -> Pixels:
    """The colours of opaque pixels, spread outwards by normalised blurs of growing radius."""
    seen = (alpha > 0.97).astype(np.float32)
    colors = pixels.astype(np.float32)
    out, done = np.where(seen[..., None] > 0, colors, 0), seen > 0
    for sigma in (1.5, 3, 6, 12, 24, 48, 200):
        weight = cv2.GaussianBlur(seen, (0, 0), sigma)
        mean = cv2.GaussianBlur(colors * seen[..., None], (0, 0), sigma) / np.maximum(weight, 1e-6)[..., None]
        fresh = (weight > 0.02) & ~done
        out[fresh] = mean[fresh]
        done |= fresh
    return np.clip(out, 0, 255).astype(np.uint8)


def backgrounds(photos: Path) -> dict[str, Pixels]:
    random = np.random.default_rng(5)
    y, x = np.mgrid[0:600, 0:600] / 600.0

    def plain(*color: int) -> Floats:
        return np.full((600, 600, 3), color, np.float64) + random.normal(0, 4, (600, 600, 3))

    def tinted(gray: Pixels, *tint: float) -> Floats:
        return gray[..., None] * np.array(tint)

    made = {
        "coffee": data.coffee(),
        "rocket": data.rocket(),
        "cat": data.chelsea(),
        "brick": tinted(data.brick(), 1, 0.8, 0.7),
        "grass": tinted(data.grass(), 0.6, 1, 0.5),
        "gradient": np.stack([60 + 150 * x, 80 + 100 * y, 200 - 120 * x], axis=-1),
        "gray": plain(128, 128, 128),
        "slate": plain(88, 94, 110),
        "skin": plain(190, 140, 110) + 30 * (y[..., None] - 0.5),
        "ribbons": cv2.GaussianBlur(photo("obama_and_biden.jpg", photos)[760:1300, 0:560], (0, 0), 6),
        "curtain": cv2.GaussianBlur(photo("obama.jpg", photos)[0:420, 640:910], (0, 0), 3),
        "cup": cv2.GaussianBlur(data.coffee()[::-1].copy(), (0, 0), 8),
    }
    return {name: np.clip(value, 0, 255).astype(np.uint8) for name, value in made.items()}


def composites(photos: Path, segmenter: SelfieSegmenter, count: int) -> list[Composite]:
    people = [cut_out(source, photos, segmenter) for source in SOURCES]
    scenes = backgrounds(photos)
    names = list(scenes)
    random = np.random.default_rng(11)
    made = []
    for k in range(count):
        source = SOURCES[ORDER[k % len(ORDER)]]
        colors, alpha = people[ORDER[k % len(ORDER)]]
        name = names[(k * 5 + k // 12) % len(names)]
        h, w = alpha.shape
        width, height = (round(900 * w / h), 900) if h > w else (900, round(900 * h / w))
        if random.random() < 0.4:
            width, height = (900, 900) if k % 2 or h > 1.3 * w else (height, width)
        scale = min(height / h, 900 / max(h, w)) * random.choice([1, 1, 0.85, 0.7])
        turn = random.uniform(-5, 5)
        matrix = cv2.getRotationMatrix2D((w / 2, h), turn, scale)
        matrix[:, 2] += [
            width / 2 - w / 2 + random.uniform(-0.06, 0.06) * width,
            height - h + abs(turn) / 5 * 0.07 * w * scale + 4,
        ]
        exact = cv2.warpAffine(alpha, matrix, (width, height))
        front = cv2.warpAffine(colors, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        front = np.clip(front * random.uniform(0.8, 1.15) + random.uniform(-10, 10), 0, 255)
        offset = np.array(source.keep[:2] if source.keep else (0, 0))
        corners = np.array([[source.face.x1, source.face.y1], [source.face.x2, source.face.y2]]) - offset
        (fx1, fy1), (fx2, fy2) = corners @ matrix[:, :2].T + matrix[:, 2]
        if random.random() < 0.5:
            exact, front = exact[:, ::-1].copy(), front[:, ::-1].copy()
            fx1, fx2 = width - fx2, width - fx1
        scene = scenes[name]
        fill = max(width / scene.shape[1], height / scene.shape[0]) * random.uniform(1, 1.4)
        back = cv2.resize(scene, None, fx=fill, fy=fill, interpolation=cv2.INTER_CUBIC)[:height, :width]
        mixed = exact[..., None] * front + (1 - exact[..., None]) * back + random.normal(0, 1.5, front.shape)
        made.append(
            Composite(
                f"{Path(source.name).stem} on {name}",
                np.clip(mixed + 0.5, 0, 255).astype(np.uint8),
                exact,
                front.astype(np.uint8),
                Box(fx1, fy1, fx2, fy2),
            )
        )
    return made


def raw(session: LiteRtSession, pixels: Pixels) -> Alpha:
    """One run of the square network, enlarged."""
    spec = session.inputs[0]
    small = cv2.resize(pixels, (256, 256), interpolation=cv2.INTER_AREA).astype(np.float32)[None] / 255
    answer = session.run({spec.name: small})[session.outputs[0].name][0, :, :, 0]
    return np.asarray(cv2.resize(answer, pixels.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def gradient_error(found: Alpha, exact: Alpha) -> float:
    def magnitude(alpha: Alpha) -> Floats:
        soft = cv2.GaussianBlur(alpha, (0, 0), 1.4)
        return np.hypot(cv2.Sobel(soft, cv2.CV_32F, 1, 0, scale=0.125), cv2.Sobel(soft, cv2.CV_32F, 0, 1, scale=0.125))

    return float(((magnitude(found) - magnitude(exact)) ** 2).mean() * 1e5)


def measure(way: Callable[[Composite], Alpha], pictures: list[Composite]) -> dict[str, float]:
    errors, overlaps, gradients, edges, times, color_times = [], [], [], [], [], []
    for picture in pictures:
        start = time.perf_counter()
        found = way(picture)
        times.append(time.perf_counter() - start)
        start = time.perf_counter()
        colors = foreground(picture.pixels, found)
        color_times.append(time.perf_counter() - start)
        exact = picture.alpha
        errors.append(np.abs(found - exact).mean())
        overlaps.append(((found > 0.5) & (exact > 0.5)).sum() / ((found > 0.5) | (exact > 0.5)).sum())
        gradients.append(gradient_error(found, exact))
        edge = (exact > 0.02) & (exact < 0.98)
        edges.append(np.abs(colors[edge].astype(float) - picture.colors[edge]).mean())
    return {
        "mae": float(np.mean(errors)),
        "worst_mae": float(np.max(errors)),
        "iou": float(np.mean(overlaps)),
        "gradient": float(np.mean(gradients)),
        "edge_color": float(np.mean(edges)),
        "ms": float(np.median(times) * 1000),
        "color_ms": float(np.median(color_times) * 1000),
    }


def whole(studio: Studio, options: CutoutPresetOptions, picture: Composite) -> Alpha:
    """The alpha of a cut-out as a user gets it: through the whole product, in eight bits."""
    alpha = studio.run(options.pipeline(), Image(picture.pixels), write=False).image.alpha
    assert alpha is not None
    return alpha


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=Settings.load().models_dir, help="folder of the starter models")
    parser.add_argument("--photos", type=Path, default=Path(__file__).parents[2] / "shared" / "photos")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--save", type=Path, help="write pictures and cut-outs on white into this folder")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    sessions = [
        LiteRtSession(chosen.models / f"selfie_segmentation{part}.tflite", threads=1) for part in ("", "_landscape")
    ]
    segmenter = SelfieSegmenter(*sessions)
    pictures = composites(chosen.photos, segmenter, chosen.count)

    def way(quality: Refine, *, chosen_face: bool = True) -> Callable[[Composite], Alpha]:
        def run(picture: Composite) -> Alpha:
            face = picture.face if chosen_face else None
            coarse = segmenter.segment(Image(picture.pixels), face, quick=quality is Refine.FAST)
            return refine(picture.pixels, coarse.values, quality=quality)

        return run

    ways: dict[str, Callable[[Composite], Alpha]] = {
        "raw 256 mask": lambda picture: raw(sessions[0], picture.pixels),
        "averaged passes": way(Refine.NONE),
        "fast": way(Refine.FAST),
        "fine (default)": way(Refine.FINE),
        "fine, no face": way(Refine.FINE, chosen_face=False),
    }
    studio = Studio.open(Settings(models_dir=chosen.models, device="cpu", offline=True))
    for quality in (Refine.FAST, Refine.FINE):
        ways[f"cutout, {quality}"] = partial(whole, studio, CutoutPresetOptions(refine=quality))
    untouched = []
    for picture in pictures:
        edge = (picture.alpha > 0.02) & (picture.alpha < 0.98)
        untouched.append(np.abs(picture.pixels[edge].astype(float) - picture.colors[edge]).mean())
    results = {name: measure(each, pictures) for name, each in ways.items()}
    if chosen.save:
        chosen.save.mkdir(parents=True, exist_ok=True)
        for k, picture in enumerate(pictures):
            alpha = ways["fine (default)"](picture)
            white = foreground(picture.pixels, alpha) * alpha[..., None] + 255 * (1 - alpha[..., None])
            both = np.hstack([picture.pixels, white.astype(np.uint8)])
            cv2.imwrite(str(chosen.save / f"{k:02d} {picture.name}.png"), both[:, :, ::-1])
    if chosen.json:
        json.dump({"pictures": len(pictures), "untouched_edge_color": float(np.mean(untouched)), **results}, sys.stdout)
        return 0
    print(f"{len(pictures)} composites; edge colour error of the untouched pictures {np.mean(untouched):.1f}")
    print(f"{'':18}{'MAE':>8}{'worst':>8}{'IoU':>8}{'grad':>8}{'edge':>7}{'ms':>7}{'+colour':>9}")
    for name, r in results.items():
        print(
            f"{name:18}{r['mae']:8.4f}{r['worst_mae']:8.4f}{r['iou']:8.4f}{r['gradient']:8.2f}"
            f"{r['edge_color']:7.1f}{r['ms']:7.0f}{r['color_ms']:9.0f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
