"""Face restorers: networks that redraw an aligned face crop.

Wang et al. 2021 (GFP-GAN, CVPR), Zhou et al. 2022 (CodeFormer, NeurIPS), Wang et al. 2023 (RestoreFormer++, TPAMI),
Yang et al. 2021 (GPEN, CVPR).
"""

from __future__ import annotations

import numpy as np

from facecraft.errors import InferenceError, ModelLoadError
from facecraft.faces.alignment import FFHQ_512, FaceTemplate
from facecraft.imaging.image import Pixels
from facecraft.inference.session import Session, Tensor
from facecraft.models.planes import HALF, first_picture, picture_input, square_side, to_pixels, to_planes

_WORK = "face restoration"


class AlignedRestorer:
    """GFPGAN, RestoreFormer++, GPEN and CodeFormer on crops aligned to ``template`` at ``size`` pixels.

    They share one contract: ``input`` 1×3×S×S RGB in −1..1, first output the same (some exports name them otherwise,
    and some are half precision: both are read from the network). CodeFormer takes a second input of one number, a
    double (0: cleaner and further from the person, 1: closest to the input). Raises ModelLoadError when the network
    has another form.
    """

    def __init__(self, session: Session, template: FaceTemplate = FFHQ_512, size: int = 512) -> None:
        self._session = session
        self._template = template
        self._picture = picture_input(session, _WORK)
        self._size = square_side(self._picture, size, _WORK)
        self._output = first_picture(session, _WORK, 3).name
        weights = [spec for spec in session.inputs if spec != self._picture]
        if len(weights) > 1 or any(side not in (1, None) for spec in weights for side in spec.shape):
            raise ModelLoadError(f"This is not a network for {_WORK}: it also takes {', '.join(map(str, weights))}.")
        self._weight = weights[0] if weights else None

    @property
    def template(self) -> FaceTemplate:
        """How crops are aligned."""
        return self._template

    @property
    def size(self) -> int:
        """The side of the crops in pixels."""
        return self._size

    @property
    def has_fidelity(self) -> bool:
        """Whether the network itself can be told how close to stay to the input."""
        return self._weight is not None

    def restore(self, crop: Pixels, fidelity: float) -> Pixels:
        """Return the restored crop, S×S×3 RGB. ``fidelity`` (0..1) is heard only by networks that have it.

        Raises InferenceError when ``crop`` is not S×S or the network gives another size back.
        """
        if crop.shape != (self._size, self._size, 3):
            raise InferenceError(f"The restorer takes {self._size}×{self._size}×3 pixels and got {crop.shape}.")
        feed: dict[str, Tensor] = {self._picture.name: to_planes(crop, mean=HALF, std=HALF, dtype=self._picture.dtype)}
        if self._weight is not None:
            shape = tuple(1 if side is None else side for side in self._weight.shape)
            feed[self._weight.name] = np.full(shape, fidelity, self._weight.dtype)
        result = self._session.run(feed)[self._output]
        if result.shape != (1, 3, self._size, self._size):
            raise InferenceError(f"The restorer gave {result.shape} for {self._size}×{self._size} pixels.")
        # What a half-precision decoder could not represent must not become black holes in a face.
        if not np.isfinite(result).all():
            raise InferenceError("The restorer gave values that are not numbers.", hint="Use the float32 network.")
        return to_pixels(result[0], scale=127.5, shift=127.5)
