"""`ModelHub`: the one place where a wish becomes an adapter."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar

import numpy as np

from facecraft.catalog.catalog import Catalog
from facecraft.catalog.spec import ModelSpec, Task
from facecraft.catalog.store import ModelStore
from facecraft.errors import FacecraftError, InvalidOptionError, ModelNotInstalledError, NoFaceFoundError
from facecraft.faces.face import Face
from facecraft.imaging.geometry import Box
from facecraft.imaging.image import Image, Pixels
from facecraft.inference.devices import Resolution
from facecraft.inference.pool import SessionPool
from facecraft.models.hub.architectures import (
    ARCHITECTURES,
    ATTRIBUTES,
    DETECTORS,
    EMBEDDERS,
    LANDMARKERS,
    OCCLUSION_FINDERS,
    PARSERS,
    QUALITIES,
    RESTORERS,
    SEGMENTERS,
    SWAPPERS,
    UPSCALERS,
    Build,
)
from facecraft.models.hub.named import (
    NamedAttributes,
    NamedDetector,
    NamedEmbedder,
    NamedLandmarker,
    NamedOcclusionFinder,
    NamedParser,
    NamedQuality,
    NamedRestorer,
    NamedSegmenter,
    NamedSwapper,
    NamedUpscaler,
)
from facecraft.models.hub.networks import RUNTIMES, Networks

AUTO = "auto"
PORTRAIT_TASKS = (Task.FACE_DETECTION, Task.MATTING)
"""What a portrait cannot be made without."""
_ADVISED_PACKS = ("starter", "standard")
_BLANK_SIDE = 512
_FACE_PIXELS = 11.5
_CLOSEST_REACH = 0.03
"""No detector is trusted with smaller faces than this, whatever it takes in."""
_TILE_SIDE = 64
_NOBODY_LENGTH = 512

AdapterT = TypeVar("AdapterT")


@dataclass(frozen=True, slots=True)
class Probe:
    """One model really run once on a blank picture: how long it took, or why it did not run."""

    model_id: str
    milliseconds: float
    error: FacecraftError | None = None


class ModelHub:
    """Adapters by kind of work. Networks are loaded when they are first used, through the pool.

    Every accessor takes ``auto`` (the best model of the task that is installed, permitted by the licence policy and
    whose runtime is here, in the order of the catalogue) or a catalogue id (that model or an error). They raise
    UnknownModelError, InvalidOptionError (a model of another task), ModelNotInstalledError, LicenseNotAcceptedError,
    ModelIntegrityError and RuntimeMissingError, each with the command that helps. ``threads`` is how many threads one
    network uses on the CPU; None: the cores of this process.
    """

    def __init__(
        self, catalog: Catalog, store: ModelStore, pool: SessionPool, device: Resolution, *, threads: int | None = None
    ) -> None:
        self._catalog, self._store, self._pool = catalog, store, pool
        self._networks = Networks(store, pool, device.device, threads)
        self._adapters: dict[str, object] = {}
        self._lock = Lock()

    def detectors(self, choice: str = AUTO) -> tuple[NamedDetector, ...]:
        """Return the face detectors to use together, the one for small faces first.

        With ``auto`` a model that names a companion in the catalogue (BlazeFace for far faces and for near ones) brings
        it along when it is installed, too; an id stands for that model alone.
        """
        specs = [self._choose(Task.FACE_DETECTION, choice)]
        companion = specs[0].parameters.get("companion")
        if choice == AUTO and isinstance(companion, str) and self._store.usable(companion):
            specs.append(self._catalog.get(companion))
        return tuple(NamedDetector(spec.id, self._build(spec, DETECTORS), _reach(spec)) for spec in specs)

    def landmarker(self, choice: str = AUTO) -> NamedLandmarker | None:
        """Return the landmarker, or None when ``choice`` is ``auto`` and none is installed."""
        try:
            spec = self._choose(Task.FACE_LANDMARKS, choice)
        except ModelNotInstalledError:
            if choice == AUTO:
                return None
            raise
        return NamedLandmarker(spec.id, self._build(spec, LANDMARKERS))

    def segmenter(self, choice: str = AUTO) -> NamedSegmenter:
        """Return the network that tells the person from the background."""
        spec = self._choose(Task.MATTING, choice)
        return NamedSegmenter(spec.id, self._build(spec, SEGMENTERS))

    def embedder(self, choice: str = AUTO) -> NamedEmbedder:
        """Return the network that turns faces into vectors."""
        spec = self._choose(Task.FACE_RECOGNITION, choice)
        return NamedEmbedder(spec.id, self._build(spec, EMBEDDERS), *self.verdict(spec.id))

    def verdict(self, model_id: str) -> tuple[float | None, float | None]:
        """Return from which similarity on the authors of a recognizer call two faces one person, and the false-match rate.

        Each is None where they do not say. The model need not be installed. Raises UnknownModelError.
        """
        spec = self._catalog.get(model_id)
        return _stated(spec, "threshold"), _stated(spec, "fmr")

    def attributes(self, choice: str = AUTO) -> NamedAttributes:
        """Return the network that guesses apparent age and sex."""
        spec = self._choose(Task.FACE_ATTRIBUTES, choice)
        return NamedAttributes(spec.id, self._build(spec, ATTRIBUTES))

    def quality(self, choice: str = AUTO) -> NamedQuality:
        """Return the network that judges how usable a picture of a face is."""
        spec = self._choose(Task.FACE_QUALITY, choice)
        return NamedQuality(spec.id, self._build(spec, QUALITIES))

    def restorer(self, choice: str = AUTO) -> NamedRestorer:
        """Return the network that restores faces."""
        spec = self._choose(Task.FACE_RESTORATION, choice)
        return NamedRestorer(spec.id, self._build(spec, RESTORERS))

    def upscaler(self, choice: str = AUTO) -> NamedUpscaler:
        """Return the network that enlarges pictures."""
        spec = self._choose(Task.UPSCALE, choice)
        return NamedUpscaler(spec.id, self._build(spec, UPSCALERS))

    def swapper(self, choice: str = AUTO) -> NamedSwapper:
        """Return the network that swaps faces."""
        spec = self._choose(Task.FACE_SWAP, choice)
        needed = [each for each in spec.requires if self._catalog.get(each).task is Task.FACE_RECOGNITION]
        return NamedSwapper(spec.id, self._build(spec, SWAPPERS), needed[0] if needed else AUTO)

    def parser(self, choice: str = AUTO) -> NamedParser:
        """Return the network that tells the parts of a face apart."""
        spec = self._choose(Task.FACE_PARSING, choice)
        return NamedParser(spec.id, self._build(spec, PARSERS))

    def occlusion(self, choice: str = AUTO) -> NamedOcclusionFinder:
        """Return the network that finds what covers a face."""
        spec = self._choose(Task.FACE_OCCLUSION, choice)
        return NamedOcclusionFinder(spec.id, self._build(spec, OCCLUSION_FINDERS))

    def used(self) -> tuple[str, ...]:
        """Return the ids of all models that have run since the pool was opened, sorted."""
        return tuple(sorted(key for key, state in self._pool.states().items() if state.runs))

    def warm(self, ids: Iterable[str]) -> None:
        """Load the models of these ids and run each once. Raises the first error."""
        for model_id in ids:
            self._try(model_id)

    def probe(self, tasks: Iterable[Task] = PORTRAIT_TASKS) -> tuple[Probe, ...]:
        """Really run every model that ``auto`` means for ``tasks`` once, on a blank picture; never raises for one.

        A task without a usable model is reported under the name of the task.
        """
        return tuple(probe for task in tasks for probe in self._probe(task))

    def _probe(self, task: Task) -> Iterator[Probe]:
        try:
            spec = self._choose(task, AUTO)
        except FacecraftError as error:
            yield Probe(str(task), 0.0, error)
            return
        companion = spec.parameters.get("companion")
        ids = [spec.id, companion] if isinstance(companion, str) and self._store.usable(companion) else [spec.id]
        for model_id in ids:
            start = time.perf_counter()
            try:
                self._try(model_id)
            except FacecraftError as error:
                yield Probe(model_id, (time.perf_counter() - start) * 1000, error)
            else:
                yield Probe(model_id, (time.perf_counter() - start) * 1000)

    def _try(self, model_id: str) -> None:
        """Run one model on a grey picture in whose middle a face is claimed."""
        blank = Image(np.full((_BLANK_SIDE, _BLANK_SIDE, 3), 128, np.uint8))
        side = _BLANK_SIDE
        five = np.array([[0.4, 0.42], [0.6, 0.42], [0.5, 0.53], [0.42, 0.63], [0.58, 0.63]]) * side
        face = Face(Box(0.3 * side, 0.3 * side, 0.7 * side, 0.7 * side), 1.0, five)
        runs: Mapping[Task, Callable[[], object]] = {
            Task.FACE_DETECTION: lambda: [each.detect(blank) for each in self.detectors(model_id)],
            Task.FACE_LANDMARKS: lambda: (found := self.landmarker(model_id)) and found.locate(blank, face),
            Task.MATTING: lambda: self.segmenter(model_id).segment(blank),
            Task.FACE_RECOGNITION: lambda: self.embedder(model_id).embed(blank, [face]),
            Task.FACE_ATTRIBUTES: lambda: self.attributes(model_id).describe(blank, [face]),
            Task.FACE_QUALITY: lambda: self.quality(model_id).score(blank, [face]),
            Task.FACE_RESTORATION: lambda: (net := self.restorer(model_id)).restore(_square(blank, net.size), 0.5),
            Task.UPSCALE: lambda: self.upscaler(model_id).upscale(Image(_square(blank, _TILE_SIDE))),
            Task.FACE_SWAP: lambda: (net := self.swapper(model_id)).swap(
                _square(blank, net.size), np.ones(_NOBODY_LENGTH, np.float32)
            ),
            Task.FACE_PARSING: lambda: self.parser(model_id).parse([blank.rgb]),
            Task.FACE_OCCLUSION: lambda: self.occlusion(model_id).visible(blank.rgb),
        }
        spec = self._catalog.get(model_id)
        run = runs.get(spec.task)
        if run is None:
            raise self._unsupported(spec)
        # A recognizer with a detector of its own rightly sees nobody.
        with suppress(NoFaceFoundError):
            run()

    def _choose(self, task: Task, choice: str) -> ModelSpec:
        if choice == AUTO:
            return self._best(task)
        spec = self._catalog.get(choice)
        if spec.task is not task:
            raise InvalidOptionError(
                f"{spec.id} is a model for {spec.task}, not for {task}.", hint=f"See `facecraft models list {task}`."
            )
        if spec.architecture not in ARCHITECTURES[task]:
            raise self._unsupported(spec)
        self._require(spec)
        return spec

    def _best(self, task: Task) -> ModelSpec:
        known = [spec for spec in self._catalog.auto(task) if spec.architecture in ARCHITECTURES[task]]
        for spec in known:
            if self._networks.runs(spec) and self._store.usable(spec.id):
                return spec
        # Nothing can run. A model whose file is here is a better reason than one that was never wanted.
        for spec in known:
            if not spec.builtin and self._store.installed(spec.id):
                self._require(spec)
        hint, wanted = self._advice(known)
        raise ModelNotInstalledError(f"No model for {task} is installed.", hint=hint, wanted=wanted)

    def _require(self, spec: ModelSpec) -> None:
        """Raise the error that keeps ``spec`` from being used, if any."""
        for needed in self._catalog.with_requirements([spec]):
            if not needed.builtin:
                self._store.path(needed.id)
            if not self._networks.runs(needed):
                raise RUNTIMES[needed.runtime].missing(needed.id)

    def _advice(self, known: list[ModelSpec]) -> tuple[str | None, tuple[str, ...]]:
        """Return the command that installs what is missing, and the ids of the models that would help."""
        files = [spec for spec in known if not spec.builtin]
        for pack in _ADVISED_PACKS:
            if found := tuple(spec.id for spec in files if pack in spec.packs):
                return f"facecraft models install {pack}", found
        if not files:
            return None, ()
        free = next((spec for spec in files if spec.commercial), None)
        if free is None:
            return f"facecraft models install {files[0].id} --accept-license", (files[0].id,)
        return f"facecraft models install {free.id}", (free.id,)

    def _unsupported(self, spec: ModelSpec) -> InvalidOptionError:
        names = (
            [each.id for each in self._catalog.auto(spec.task) if each.architecture in ARCHITECTURES[spec.task]]
            if spec.task in ARCHITECTURES
            else []
        )
        return InvalidOptionError(
            f"This version has no adapter for {spec.id} ({spec.architecture}).",
            hint=f"Use {', '.join(names[:3])}." if names else None,
        )

    def _build(self, spec: ModelSpec, builders: Mapping[str, Build[AdapterT]]) -> AdapterT:
        """Return the adapter of ``spec``; the first call loads the network to learn its inputs."""
        with self._lock:
            known = self._adapters.get(spec.id)
        if known is None:
            known = builders[spec.architecture](spec, self._networks)
            with self._lock:
                self._adapters[spec.id] = known
        return known  # type: ignore[return-value]  # each id has one task and so one kind of adapter


def _stated(spec: ModelSpec, name: str) -> float | None:
    value = spec.parameters.get(name)
    return float(value) if isinstance(value, int | float) else None


def _square(image: Image, side: int) -> Pixels:
    return np.ascontiguousarray(image.rgb[:side, :side])


def _reach(spec: ModelSpec) -> float:
    """What :func:`facecraft.faces.search.find_faces` wants to know of a detector: a face needs about twelve pixels."""
    size = spec.parameters.get("size")
    return 0.1 if not isinstance(size, int) else max(_CLOSEST_REACH, _FACE_PIXELS / size)
