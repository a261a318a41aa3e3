"""Networks that enlarge a picture, tile by tile.

Wang et al. 2021 (Real-ESRGAN, ICCVW, arXiv 2107.10833): x4plus (RRDBNet) and general-x4v3 (SRVGGNetCompact).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from facecraft.errors import InferenceError, ModelLoadError
from facecraft.imaging.compositing import blurred, over
from facecraft.imaging.geometry import Size
from facecraft.imaging.image import Image, Pixels
from facecraft.imaging.resample import resize
from facecraft.imaging.tiles import Tile, paint_tiles, tiles
from facecraft.inference.session import Session
from facecraft.models.planes import first_picture, picture_input, to_pixels, to_planes
from facecraft.progress import CancelToken, Progress, ProgressEvent, silent

_WORK = "upscaling"
_FADE = 8
"""Pixels over which neighbouring tiles fade into each other."""


class RealEsrgan:
    """Real-ESRGAN: 1×3×H×W RGB in 0..1 to 1×3×(factor·H)×(factor·W) RGB in about 0..1.

    Pictures are cut into tiles of ``tile`` pixels whose outer ``margin`` pixels are context only; graphs of a fixed size
    get tiles of that size. Peak memory is the enlarged picture, one row of tiles and one run of the network. Raises
    ModelLoadError when the network has another form.
    """

    def __init__(self, session: Session, *, factor: int = 4, tile: int = 256, margin: int = 16) -> None:
        self._session = session
        self._input = picture_input(session, _WORK)
        output = first_picture(session, _WORK, 3)
        self._output = output.name
        height, width = self._input.shape[2:]
        for small, large in zip(self._input.shape[2:], output.shape[2:], strict=True):
            if small is not None and large is not None and large != factor * small:
                raise ModelLoadError(f"This network makes {output} of {self._input}: its factor is not {factor}.")
        if (height is None) != (width is None) or height != width:
            raise ModelLoadError(f"This network for {_WORK} takes {self._input}, which is not square.")
        self._fixed = height is not None
        self._tile = tile if height is None else height
        self._margin = margin
        self._factor = factor
        if self._tile <= 2 * margin + _FADE:
            raise ModelLoadError(f"Tiles of {self._tile} pixels are too small for a margin of {margin}.")

    @property
    def factor(self) -> int:
        """The network's own factor."""
        return self._factor

    def upscale(self, image: Image, *, progress: Progress = silent, cancel: CancelToken | None = None) -> Image:
        """Return ``image`` enlarged by ``factor``; transparency is enlarged by interpolation.

        Colours under wholly transparent pixels are first continued from around them, so that nothing hidden bleeds into
        the edge. Raises CancelledError between tiles, InferenceError.
        """
        watch = cancel or CancelToken()
        source = _with_hidden_continued(image)
        size = Size(image.width, image.height)
        plan = tuple(tiles(size, self._tile, 2 * self._margin + _FADE))

        def enlarged() -> Iterator[tuple[Tile, Pixels]]:
            for done, tile in enumerate(plan):
                watch.check()
                progress(ProgressEvent("upscale", done / len(plan), f"tile {done + 1} of {len(plan)}"))
                part = source[tile.y : tile.y + tile.size.height, tile.x : tile.x + tile.size.width]
                yield tile, self._run(part)

        channels = 4 if image.has_alpha else 3
        out = np.empty((size.height * self._factor, size.width * self._factor, channels), np.uint8)
        paint_tiles(out[:, :, :3], enlarged(), margin=self._margin, scale=self._factor)
        watch.check()
        if image.has_alpha:
            large = Size(int(out.shape[1]), int(out.shape[0]))
            out[:, :, 3] = resize(np.ascontiguousarray(image.pixels[:, :, 3]), large)
        return Image(out, image.source)

    def _run(self, part: Pixels) -> Pixels:
        height, width = part.shape[:2]
        if self._fixed:
            # The picture is smaller than the only size the graph takes: its last rows and columns are repeated.
            part = np.pad(part, ((0, self._tile - height), (0, self._tile - width), (0, 0)), mode="edge")
        planes = to_planes(part, dtype=self._input.dtype)
        answer = self._session.run({self._input.name: planes})[self._output]
        expected = (1, 3, part.shape[0] * self._factor, part.shape[1] * self._factor)
        if answer.shape != expected:
            raise InferenceError(f"The upscaler gave {answer.shape} where {expected} was expected.")
        return to_pixels(answer[0])[: height * self._factor, : width * self._factor]


def _with_hidden_continued(image: Image) -> Pixels:
    if not image.has_alpha:
        return image.rgb
    hidden = (image.pixels[:, :, 3] == 0).astype(np.float32)
    if not hidden.any():
        return image.rgb
    colors = np.ascontiguousarray(image.rgb)
    return over(blurred(colors, hidden, strength=0.0), hidden, colors)
