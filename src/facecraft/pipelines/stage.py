"""A stage is a function from context to context; this is its declaration and what it works on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar

from facecraft.errors import NoFaceFoundError
from facecraft.faces.face import Face
from facecraft.imaging.geometry import Size, Transform
from facecraft.imaging.image import Alpha, Image, Pixels
from facecraft.models.hub import ModelHub
from facecraft.options import Options
from facecraft.pipelines.identity import Identity
from facecraft.progress import CancelToken, Progress, ProgressEvent, silent

OptionsT = TypeVar("OptionsT", bound=Options)
OptionsT_contra = TypeVar("OptionsT_contra", bound=Options, contravariant=True)


@dataclass(frozen=True, slots=True)
class Watch:
    """Who wants to hear about progress, and whether the work should stop."""

    progress: Progress = silent
    cancel: CancelToken = field(default_factory=CancelToken)

    def tell(self, stage: str, fraction: float, message: str = "") -> None:
        """Say that ``fraction`` (0..1) of ``stage`` is done, and go on. Raises CancelledError when it should stop."""
        self.cancel.check()
        self.progress(ProgressEvent(stage, fraction, message))


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What stages pass along: the original picture, what is known about it and the picture being made.

    ``pixels``, ``alpha`` and ``coverage`` live in *output* coordinates; ``transform`` maps pixels of ``original``
    to them. Faces stay in coordinates of ``original``.
    """

    original: Image
    """The picture as it was given, upright and in sRGB."""
    references: Mapping[str, Image] = field(default_factory=lambda: MappingProxyType({}))
    """Further pictures by role, such as ``background``."""
    watch: Watch = field(default_factory=Watch)

    faces: tuple[Face, ...] = ()
    """Every face found, left to right."""
    chosen: tuple[int, ...] = ()
    """Indexes of the faces that the work is about."""

    transform: Transform = field(default_factory=Transform.identity)
    size: Size | None = None
    """Size of the output; None until something decided it: then that of ``original``."""
    pixels: Pixels | None = None
    """The picture being made, H×W×3 RGB; None while it is still ``original`` untouched."""
    alpha: Alpha | None = None
    """How much of each output pixel belongs to the subject; None: nobody has asked."""
    coverage: Alpha | None = None
    """How much of each output pixel lies inside ``original`` and is not transparent there; None: all of it."""
    backdrop: Pixels | None = None
    """What stands behind the subject, H×W×3 RGB; None: transparent."""
    uncut: bool = False
    """Whether the subject stays in its own surroundings: ``alpha`` then only tells where it is."""
    backdrop_is_scene: bool = False
    """Whether the backdrop was made from the picture itself."""
    scene: Pixels | None = None
    """The picture before the subject's colours were freed from the background, H×W×3 RGB."""
    shape: Alpha | None = None
    """The outline the result is cut to; None: the whole rectangle."""

    provenance: str | None = None
    """The IPTC digital source type that files of the result shall name; None: they carry no metadata."""
    identity: tuple[Identity, ...] = ()
    """Whether redrawn faces still show the same person."""
    models: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Which model did which task."""
    skipped: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Stages that were asked for and did nothing, with the reason."""
    warnings: tuple[str, ...] = ()
    """What a person should know about the result."""

    @property
    def canvas(self) -> Pixels:
        """The picture being made, or the original's colours where no stage has changed it."""
        return self.original.rgb if self.pixels is None else self.pixels

    @property
    def canvas_size(self) -> Size:
        """The size of the picture being made."""
        height, width = self.canvas.shape[:2]
        return Size(width, height)

    @property
    def face(self) -> Face:
        """The first chosen face. Raises NoFaceFoundError when none was chosen."""
        if not self.chosen:
            raise NoFaceFoundError
        return self.faces[self.chosen[0]]

    def used(self, task: str, model_id: str) -> Context:
        """Remember that ``model_id`` did ``task``."""
        return replace(self, models=MappingProxyType({**self.models, task: model_id}))

    def skip(self, stage: str, reason: str) -> Context:
        """Remember that ``stage`` did nothing because of ``reason``."""
        return replace(self, skipped=MappingProxyType({**self.skipped, stage: reason}))

    def warn(self, text: str) -> Context:
        """Add a remark for the person who reads the report."""
        return replace(self, warnings=(*self.warnings, text))


class StageFunction(Protocol[OptionsT_contra]):
    """The body of a stage."""

    def __call__(self, context: Context, options: OptionsT_contra, models: ModelHub, /) -> Context: ...


@dataclass(frozen=True, slots=True)
class Stage(Generic[OptionsT]):
    """One kind of work: its name, its parameters and its body."""

    name: str
    options: type[OptionsT]
    run: StageFunction[OptionsT]
    needs: tuple[str, ...] = ()
    """Tasks of the catalogue without which the stage cannot run."""
    weight: float = 1.0
    """Its usual share of the time of a pipeline, for progress."""


def stage(
    name: str, options: type[OptionsT], *, needs: tuple[str, ...] = (), weight: float = 1.0
) -> Callable[[StageFunction[OptionsT]], Stage[OptionsT]]:
    """Declare the decorated function as the body of the stage ``name``."""

    def declare(run: StageFunction[OptionsT]) -> Stage[OptionsT]:
        return Stage(name=name, options=options, run=run, needs=needs, weight=weight)

    return declare


AnyStage = Stage[Any]
