"""How many threads OpenCV takes for one picture."""

from __future__ import annotations

import cv2


def share_cores(cores: int, pictures: int) -> None:
    """Let OpenCV use as many threads as leave ``pictures`` at once an equal share of ``cores``. Holds for the process."""
    cv2.setNumThreads(max(1, cores // max(1, pictures)))
