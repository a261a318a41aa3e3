"""Face restorers: networks that redraw an aligned 512-pixel face crop."""

from __future__ import annotations

import numpy as np

from facecraft.errors import ModelLoadError
from facecraft.imaging.image import Pixels
from facecraft.inference.session import Session, Tensor


class AlignedRestorer:
    """GFPGAN, RestoreFormer++, GPEN 512 and CodeFormer on crops aligned to the FFHQ template.

    They share one contract: ``input`` 1×3×512×512 float32 RGB in −1..1, first output the same; CodeFormer takes a
    second scalar input ``weight`` (1 keeps most of the original). Sources: Wang et al. 2021 (GFP-GAN, CVPR), Zhou et
    al. 2022 (CodeFormer, NeurIPS), Wang et al. 2023 (RestoreFormer++), Yang et al. 2021 (GPEN, CVPR).
    Raises ModelLoadError when the network has no square three-channel input.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        picture = session.inputs[0]
        if len(picture.shape) != 4 or picture.shape[1] not in (3, None):
            raise ModelLoadError(f"This network does not restore faces: its input is {picture.shape}.")

    def restore(self, crop: Pixels, fidelity: float) -> Pixels:
        """Return the restored crop, S×S×3 RGB. Networks without a fidelity input are blended with ``crop``.

        At fidelity 1 such a network's picture is not used at all; at 0 nothing else is.
        """
        picture = self._session.inputs[0]
        scaled = crop.astype(np.float32).transpose(2, 0, 1)[np.newaxis] / np.float32(127.5) - np.float32(1)
        feed: dict[str, Tensor] = {picture.name: np.ascontiguousarray(scaled)}
        weighted = len(self._session.inputs) > 1
        if weighted:
            weight = self._session.inputs[1]
            shape = tuple(1 if side is None else side for side in weight.shape)
            feed[weight.name] = np.full(shape, fidelity, weight.dtype)
        result = self._session.run(feed)[self._session.outputs[0].name]
        levels = (np.clip(result[0].astype(np.float32), -1, 1).transpose(1, 2, 0) + 1) * np.float32(127.5)
        if not weighted:
            levels += np.float32(fidelity) * (crop.astype(np.float32) - levels)
        restored: Pixels = np.rint(levels).astype(np.uint8)
        return restored
