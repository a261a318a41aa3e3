"""Networks that cut a subject out of a whole picture: salient objects, dichotomous segmentation, portrait matting.

Qin et al. 2020 (U²-Net, arXiv 2005.09007), Qin et al. 2022 (IS-Net, arXiv 2203.03041), Zheng et al. 2024 (BiRefNet,
arXiv 2401.03407), Ke et al. 2022 (MODNet, arXiv 2011.11961), PramaLLC BEN2, BRIA RMBG 1.4 and 2.0, PaddlePaddle
PP-HumanSeg.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from facecraft.errors import InferenceError, ModelLoadError
from facecraft.imaging.geometry import Box, Size
from facecraft.imaging.image import Alpha, Image, Mask, Pixels
from facecraft.imaging.matting import keep_touching
from facecraft.imaging.resample import resize
from facecraft.inference.session import Session
from facecraft.models.planes import (
    HALF,
    IMAGENET_MEAN,
    IMAGENET_STD,
    ONE,
    ZERO,
    Channels,
    first_picture,
    picture_input,
    to_planes,
)

_WORK = "matting"
_LONGEST = 2048
"""No network is shown more pixels than this along a side: panoramas would not fit into memory."""
_SEEN = 0.3
"""A network whose surest pixel is below this saw no subject: stretching its answer would invent one."""
_SPREAD = 1e-3


class Normalization(StrEnum):
    """What is subtracted from colours in 0..1, and what they are divided by."""

    IMAGENET = "imagenet"
    HALF = "half"
    """Mean and deviation one half: −1..1."""
    CENTER = "center"
    """Mean one half, deviation one: −0.5..0.5."""
    NONE = "none"

    @property
    def numbers(self) -> tuple[Channels, Channels]:
        """Mean and deviation."""
        match self:
            case Normalization.IMAGENET:
                return IMAGENET_MEAN, IMAGENET_STD
            case Normalization.HALF:
                return HALF, HALF
            case Normalization.CENTER:
                return HALF, ONE
            case Normalization.NONE:
                return ZERO, ONE


class Reading(StrEnum):
    """How a network's answer becomes an alpha."""

    STRETCH = "minmax"
    """Its smallest value becomes 0 and its largest 1, when it saw anything at all."""
    SIGMOID = "sigmoid"
    """Logits."""
    CLIP = "clip"
    """It is an alpha already."""


@dataclass(frozen=True, slots=True)
class MattingContract:
    """What a matting network wants to see, and how it answers."""

    size: int
    """The side of its square input; with ``dynamic`` the length of the shorter side."""
    normalization: Normalization
    reading: Reading
    by_maximum: bool = False
    """Divide by the brightest value of the picture instead of 255, as U²-Net was trained."""
    bgr: bool = False
    multiple: int | None = None
    """The aspect is kept and both sides are multiples of this; None: squashed to the square."""

    def input_size(self, width: int, height: int) -> Size:
        """The size at which a picture of ``width``×``height`` is shown.

        MODNet's own rule: the shorter side becomes ``size`` unless it lies below it and the longer one above.
        """
        if self.multiple is None:
            return Size(self.size, self.size)
        scale = 1.0
        if max(width, height) < self.size or min(width, height) > self.size:
            scale = self.size / min(width, height)
        scale = min(scale, _LONGEST / max(width, height))
        m = self.multiple
        return Size(max(m, int(width * scale) // m * m), max(m, int(height * scale) // m * m))


class MattingNetwork:
    """U²-Net, IS-Net, RMBG, BiRefNet, BEN2 and MODNet: one picture in, one map out; they differ in ``contract``.

    Input 1×3×H×W floats, first output 1×1×H×W (float16 from BEN2). Raises ModelLoadError when the network has another
    form or insists on another size.
    """

    def __init__(self, session: Session, contract: MattingContract) -> None:
        self._session, self._contract = session, contract
        self._input = picture_input(session, _WORK)
        self._output = first_picture(session, _WORK, 1).name
        height, width = self._input.shape[2:]
        if contract.multiple is None and {height, width} - {None, contract.size}:
            raise ModelLoadError(f"This network takes {self._input} and not {contract.size}×{contract.size} pixels.")

    def segment(self, image: Image, subject: Box | None = None, *, quick: bool = False) -> Mask:  # noqa: ARG002
        """Return the soft mask of the subject, of the size of ``image``.

        ``subject`` is the face box of the chosen person (pixels): patches that do not touch it are left out. Raises
        InferenceError.
        """
        size = self._contract.input_size(image.width, image.height)
        height, width = self._input.shape[2:]
        size = Size(width or size.width, height or size.height)
        alpha = self._read(self._look(resize(np.ascontiguousarray(image.rgb), size)))
        return Mask(fitted(alpha, image, subject))

    def _look(self, pixels: Pixels) -> NDArray[np.float32]:
        mean, std = self._contract.normalization.numbers
        full = float(max(int(pixels.max()), 1)) if self._contract.by_maximum else 255.0
        planes = to_planes(pixels, mean=mean, std=std, full=full, bgr=self._contract.bgr, dtype=self._input.dtype)
        answer = self._session.run({self._input.name: planes})[self._output]
        if answer.ndim != 4 or answer.shape[:2] != (1, 1):
            raise InferenceError(f"The matting network gave {answer.shape} and not one map.")
        values: NDArray[np.float32] = answer[0, 0].astype(np.float32)
        return values

    def _read(self, values: NDArray[np.float32]) -> Alpha:
        if not np.isfinite(values).all():
            raise InferenceError("The matting network gave values that are not numbers.")
        match self._contract.reading:
            case Reading.SIGMOID:
                values = np.float32(1) / (np.float32(1) + np.exp(-np.clip(values, -60, 60)))
            case Reading.STRETCH:
                low, high = float(values.min()), float(values.max())
                if high >= _SEEN and high - low > _SPREAD:
                    values = (values - np.float32(low)) / np.float32(high - low)
            case Reading.CLIP:
                pass
        return np.clip(values, 0, 1).astype(np.float32)


class PpHumanSeg:
    """PP-HumanSeg of the OpenCV Zoo: 192×192 RGB in −1..1, two classes (background, person) out.

    https://github.com/opencv/opencv_zoo/tree/main/models/human_segmentation_pphumanseg. The Zoo takes the likelier class;
    here the probability of the second is kept, which is one half where the Zoo's decision turns.
    """

    _SIDE = 192

    def __init__(self, session: Session) -> None:
        self._session = session
        self._input = picture_input(session, _WORK)
        self._output = first_picture(session, _WORK, 2).name
        if set(self._input.shape[2:]) - {None, self._SIDE}:
            raise ModelLoadError(f"This network takes {self._input} and not {self._SIDE}×{self._SIDE} pixels.")

    def segment(self, image: Image, subject: Box | None = None, *, quick: bool = False) -> Mask:  # noqa: ARG002
        """Return the soft mask of people, of the size of ``image``; see :meth:`MattingNetwork.segment`."""
        pixels = resize(np.ascontiguousarray(image.rgb), Size(self._SIDE, self._SIDE))
        planes = to_planes(pixels, mean=HALF, std=HALF, dtype=self._input.dtype)
        answer = self._session.run({self._input.name: planes})[self._output].astype(np.float32)
        if answer.ndim != 4 or answer.shape[:2] != (1, 2):
            raise InferenceError(f"The matting network gave {answer.shape} and not two maps.")
        background, person = answer[0]
        if answer.min() >= 0 and np.abs(background + person - 1).max() < 1e-2:
            alpha = person
        else:
            alpha = 1 / (1 + np.exp(np.clip(background - person, -60, 60)))
        return Mask(fitted(np.clip(alpha, 0, 1).astype(np.float32), image, subject))


def fitted(alpha: Alpha, image: Image, subject: Box | None) -> Alpha:
    """Return ``alpha`` at the size of ``image``, without the patches that do not touch ``subject`` (pixels)."""
    height, width = alpha.shape
    if subject is not None:
        fx, fy = width / image.width, height / image.height
        alpha = keep_touching(alpha, Box(subject.x1 * fx, subject.y1 * fy, subject.x2 * fx, subject.y2 * fy))
    large = resize(np.array(alpha, order="C"), Size(image.width, image.height))
    return np.clip(large, 0, 1, out=large)
