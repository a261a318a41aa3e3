"""How usable a picture of a face is for recognition: eDifFIQA."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facecraft.faces.face import Face
from facecraft.imaging.image import Image
from facecraft.inference.session import Session
from facecraft.models.embedders.aligned import aligned_112
from facecraft.models.tensors import planar, require, run_crops, shaped, takes_crops

_SIDE = 112


class Ediffiqa:
    """eDifFIQA(T): RGB N×3×112×112 in the ArcFace position, (x - 127.5) / 127.5; one number for each face.

    Babnik, Peer, Štruc, "eDifFIQA: Towards Efficient Face Image Quality Assessment", IEEE T-BIOM 2024; OpenCV Zoo
    (CC BY 4.0). All faces of a picture go through the network in one run when its batch side is open. Raises
    ModelLoadError when the graph is another one.
    """

    def __init__(self, session: Session) -> None:
        require(
            session,
            "eDifFIQA",
            fits=takes_crops(session, _SIDE)
            and len(session.outputs) == 1
            and session.outputs[0].shape[1:] in ((), (1,), (None,)),
        )
        self._session = session

    def score(self, image: Image, faces: Sequence[Face]) -> NDArray[np.float32]:
        """Return N float32, higher is better, about 0..1; each as the network gave it."""
        if not faces:
            return np.zeros(0, np.float32)
        crops = np.stack([aligned_112(image, face) for face in faces])
        outputs = run_crops(self._session, planar(crops, mean=127.5, scale=1 / 127.5))
        scores: NDArray[np.float32] = shaped(outputs[self._session.outputs[0].name], len(faces)).astype(np.float32)
        return scores
