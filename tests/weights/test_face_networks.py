"""The real face networks on a real portrait, where their files are installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from facecraft.catalog.catalog import Catalog
from facecraft.catalog.spec import Task
from facecraft.catalog.store import ModelStore
from facecraft.faces.face import Face
from facecraft.imaging.geometry import Box, Transform
from facecraft.imaging.image import Image
from facecraft.imaging.resample import Size, warp
from facecraft.inference.devices import resolve
from facecraft.inference.pool import SessionPool
from facecraft.models.hub import ModelHub

ARCHITECTURES = {
    "scrfd", "retinaface", "inspireface", "landmark_2d106", "landmark_3d68", "fan_2d", "fan_68_5", "arcface", "sface",
    "genderage", "fairface", "ediffiqa",
}  # fmt: skip
CATALOG = Catalog.load()
NETWORKS = [spec.id for spec in CATALOG if spec.architecture in ARCHITECTURES]

# The face of skimage.data.astronaut(), as YuNet sees it.
FIVE = np.array([[200.1, 101.8], [247.1, 102.6], [220.4, 124.5], [198.6, 142.8], [239.7, 143.6]])
FACE = Face(Box(178, 63, 268, 176), 0.95, FIVE)


@pytest.fixture
def hub(models_dir: Path, tmp_path: Path) -> Iterator[ModelHub]:
    """A hub over everything that lies in the models folder or beside the checkout."""
    for folder in (models_dir, Path(__file__).resolve().parents[3] / "shared" / "models"):
        for path in folder.glob("*") if folder.is_dir() else ():
            if path.is_file() and not (tmp_path / path.name).exists() and path.suffix != ".json":
                (tmp_path / path.name).symlink_to(path)
    store = ModelStore(CATALOG, tmp_path)
    store.accept([spec.id for spec in CATALOG if not spec.commercial])
    with SessionPool() as pool:
        yield ModelHub(CATALOG, store, pool, resolve("cpu"), threads=2)
        for path in tmp_path.iterdir():
            path.unlink()


def _check(hub: ModelHub, model_id: str, image: Image) -> None:
    spec = CATALOG.get(model_id)
    if spec.task is Task.FACE_DETECTION:
        found = hub.detectors(model_id)[0].detect(image)
        assert found[0].box.iou(FACE.box) > 0.5
        assert np.abs(found[0].landmarks - FIVE).max() < 8  # pixels, a sixth of the eye distance
    elif spec.task is Task.FACE_LANDMARKS:
        landmarker = hub.landmarker(model_id)
        assert landmarker is not None
        dense = landmarker.locate(image, FACE)
        assert dense is not None
        low, high = dense.points[:, :2].min(axis=0), dense.points[:, :2].max(axis=0)
        assert Box(*low, *high).iou(FACE.box) > 0.4
    elif spec.task is Task.FACE_RECOGNITION:
        embedder = hub.embedder(model_id)
        turned = Transform.similarity(scale=0.8, degrees=12, source=(228, 120), target=(256, 200))
        moved = Face(turned.box(FACE.box), 0.95, turned(FIVE))
        other = Image(warp(image.rgb, turned, Size(512, 512)).pixels)
        here, there = embedder.embed(image, [FACE])[0], embedder.embed(other, [moved])[0]
        flipped = embedder.embed(Image(np.ascontiguousarray(image.rgb[::-1])), [FACE])[0]
        assert float(here @ there) > 0.8
        assert float(here @ flipped) < float(here @ there)
    elif spec.task is Task.FACE_ATTRIBUTES:
        (found_one,) = hub.attributes(model_id).describe(image, [FACE])
        assert found_one.sex == "female"
    elif spec.task is Task.FACE_QUALITY:
        small = warp(image.rgb, Transform(np.array([[0.08, 0, 0], [0, 0.08, 0]])), Size(41, 41)).pixels
        back = Image(warp(small, Transform(np.array([[12.5, 0, 0], [0, 12.5, 0]])), Size(512, 512)).pixels)
        quality = hub.quality(model_id)
        assert quality.score(image, [FACE])[0] > quality.score(back, [FACE])[0]


@pytest.mark.parametrize("model_id", NETWORKS)
def test_a_real_network_does_its_work(hub: ModelHub, model_id: str, astronaut: Image) -> None:
    store_file = CATALOG.get(model_id).file
    if not hub_has(hub, model_id):
        pytest.skip(f"{store_file or model_id} is not installed")
    _check(hub, model_id, astronaut)


def hub_has(hub: ModelHub, model_id: str) -> bool:
    return hub._store.usable(model_id) and hub._networks.runs(CATALOG.get(model_id))
