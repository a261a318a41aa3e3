"""Fixtures that every test may use: real photos, installed models, synthetic pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import platformdirs
import pytest

from facecraft.imaging.image import Image
from facecraft.settings import Settings
from facecraft.studio import Studio

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def astronaut() -> Image:
    """The public-domain portrait that scikit-image ships: 512×512, one woman, upright."""
    from skimage import data

    return Image(np.ascontiguousarray(data.astronaut()))


@pytest.fixture(scope="session")
def shared_photos() -> Path:
    """The folder of real photos beside the checkout, where there is one."""
    folder = SHARED / "photos"
    if not folder.is_dir():
        pytest.skip("../shared/photos is not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The folder with installed models; `make models` fills it."""
    return Path(os.environ.get("FACECRAFT_MODELS_DIR") or Path(platformdirs.user_data_dir("facecraft")) / "models")


@pytest.fixture(scope="session")
def yunet_file(models_dir: Path) -> Path:
    """The real YuNet network, from the models folder or beside the checkout."""
    name = "face_detection_yunet_2023mar.onnx"
    for folder in (models_dir, SHARED / "models"):
        if (folder / name).is_file():
            return folder / name
    pytest.skip(f"{name} is neither installed nor in ../shared/models")


@pytest.fixture(scope="session")
def studio(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio over the installed starter models, with defaults and folders of its own."""
    folder = tmp_path_factory.mktemp("studio")
    settings = Settings(
        models_dir=models_dir, upload_dir=folder / "uploads", output_dir=folder / "results", device="cpu", offline=True
    )
    with Studio.open(settings) as opened:
        missing = [spec.id for spec in opened.store.catalog.pack("starter") if not opened.store.usable(spec.id)]
        if missing:
            pytest.skip(f"the starter models are not installed (make models): {', '.join(missing)}")
        yield opened
