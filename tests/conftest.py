"""Fixtures that every test may use: real photos, installed models, synthetic pictures."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import platformdirs
import pytest

from facecraft.imaging.image import Image

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
