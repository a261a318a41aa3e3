"""Networks that look at an aligned face and say what each pixel is: its parts, and what covers it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facecraft.errors import InferenceError, ModelLoadError
from facecraft.faces.alignment import FFHQ_512, FaceTemplate
from facecraft.faces.parts import FacePart
from facecraft.imaging.geometry import Size
from facecraft.imaging.image import Alpha, Pixels
from facecraft.imaging.resample import resize
from facecraft.inference.session import Session
from facecraft.models.planes import IMAGENET_MEAN, IMAGENET_STD, first_picture, picture_input, square_side, to_planes

_WORK = "face parsing"


class BiSeNet:
    """BiSeNet trained on CelebAMask-HQ: N×3×512×512 RGB, ImageNet normalised, to N×19×512×512 logits.

    Yu et al. 2018 (arXiv 1808.00897); https://github.com/yakhyo/face-parsing. Further outputs are training heads and are
    not read. Raises ModelLoadError when the network has another form.
    """

    def __init__(self, session: Session, size: int = 512) -> None:
        self._session = session
        self._input = picture_input(session, _WORK)
        self._size = square_side(self._input, size, _WORK)
        self._output = first_picture(session, _WORK, len(FacePart)).name

    @property
    def template(self) -> FaceTemplate:
        """How crops are aligned: with hair and neck in view, as in FFHQ."""
        return FFHQ_512

    @property
    def size(self) -> int:
        """The side at which the network looks, in pixels."""
        return self._size

    def parse(self, crops: Sequence[Pixels]) -> tuple[NDArray[np.uint8], ...]:
        """Return the :class:`FacePart` of every pixel of each H×W×3 RGB crop, H×W uint8.

        All crops go through the network in one run where the graph allows. Raises InferenceError.
        """
        if not crops:
            return ()
        seen = np.concatenate([self._planes(crop) for crop in crops])
        fixed = self._input.shape[0]
        batches = [seen] if fixed is None else [seen[i : i + 1] for i in range(len(crops))]
        labels: list[NDArray[np.uint8]] = []
        for batch in batches:
            logits = self._session.run({self._input.name: batch})[self._output]
            if logits.shape != (len(batch), len(FacePart), self._size, self._size):
                raise InferenceError(f"The parsing network gave {logits.shape}.")
            labels += list(logits.argmax(axis=1).astype(np.uint8))
        return tuple(_nearest(each, crop.shape[:2]) for each, crop in zip(labels, crops, strict=True))

    def _planes(self, crop: Pixels) -> NDArray[np.float32]:
        pixels = resize(crop, Size(self._size, self._size))
        return to_planes(pixels, mean=IMAGENET_MEAN, std=IMAGENET_STD, dtype=self._input.dtype)


class XSeg:
    """DeepFaceLab's XSeg in FaceFusion's export: N×256×256×3 **BGR** in 0..1 to the part that is not covered.

    https://github.com/facefusion/facefusion-assets. Raises ModelLoadError when the network has another form.
    """

    def __init__(self, session: Session, size: int = 256) -> None:
        self._session, self._size = session, size
        spec = session.inputs[0]
        if len(spec.shape) != 4 or spec.shape[3] not in (3, None) or set(spec.shape[1:3]) - {size, None}:
            raise ModelLoadError(f"This is not a network for occlusion: it takes {spec}.")
        self._input = spec

    def visible(self, crop: Pixels) -> Alpha:
        """Return how much of each pixel of the H×W×3 RGB ``crop`` is face that nothing covers: H×W float32, 0..1."""
        pixels = resize(crop, Size(self._size, self._size))[np.newaxis, :, :, ::-1]
        scaled = np.ascontiguousarray(pixels.astype(np.float32) / np.float32(255)).astype(self._input.dtype)
        answer = self._session.run({self._input.name: scaled})[self._session.outputs[0].name]
        if answer.size != self._size * self._size:
            raise InferenceError(f"The occlusion network gave {answer.shape} and not one map.")
        mask = answer.reshape(self._size, self._size).astype(np.float32).clip(0, 1)
        return resize(mask, Size(int(crop.shape[1]), int(crop.shape[0]))).clip(0, 1)


def _nearest(labels: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Labels are never averaged: every pixel takes the nearest one."""
    height, width = shape
    if labels.shape == (height, width):
        return labels
    rows = (np.arange(height) * labels.shape[0]) // height
    columns = (np.arange(width) * labels.shape[1]) // width
    picked: NDArray[np.uint8] = labels[rows[:, None], columns[None, :]]
    return picked
