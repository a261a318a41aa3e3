"""How fast a preset is, against the floor: the work that no arrangement of the steps can save.

Both are timed in the same process, warm, in turns, so that whatever else the machine does hits both alike:

- *whole*: from the bytes of the photo to the bytes of every output, as a user gets it.
- *floor*: the same decode; every run of a network that the whole made, with the very tensors it was given, and
  nothing around it; the edge refinement alone, on the picture and coarse mask it starts from; the same encodes.

What lies between them is what Facecraft adds: search, warps, colours, tone, composition. The tensors are recorded
in a run that is not timed. The coarse mask is that of a run with ``refine=none``; a picture that the pipeline solves
at a smaller size is solved at that size here, too, without the way down and up.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from facecraft.imaging import codecs, matting
from facecraft.imaging.geometry import Size
from facecraft.imaging.image import Alpha, Image, Pixels
from facecraft.imaging.matting import Refine
from facecraft.imaging.resample import resize
from facecraft.inference.devices import resolve
from facecraft.inference.pool import PooledSession, SessionPool
from facecraft.inference.session import Session, Tensor, TensorSpec
from facecraft.pipelines.encode import Composition, EncodeOptions, encode
from facecraft.pipelines.pipeline import run as run_pipeline
from facecraft.pipelines.presets import Preset
from facecraft.pipelines.stages.cutout import WORK_SIDE
from facecraft.settings import Settings
from facecraft.studio import Studio, open_store

_WARM_UP = 3


class FloorRecord(BaseModel):
    """The parts of the floor, medians in milliseconds."""

    model_config = ConfigDict(frozen=True)

    decode: float
    networks: float
    refinement: float
    encode: float


class Measurement(BaseModel):
    """What a benchmark found; times are in milliseconds."""

    model_config = ConfigDict(frozen=True)

    preset: str
    photo: str
    width: int
    height: int
    runs: int
    p50_ms: float
    p90_ms: float
    min_ms: float
    floor_ms: float
    """Median of the floor, timed in turns with the whole."""
    ratio: float
    """``p50_ms`` divided by ``floor_ms``."""
    stages: dict[str, float]
    """Median of each stage of the whole."""
    floor: FloorRecord
    network_runs: dict[str, int]
    """How often one picture runs each network."""
    device: str


@dataclass
class Recorder:
    """Remembers which session was run with which tensors, while it is on."""

    on: bool = False
    runs: list[tuple[str, Session, Mapping[str, Tensor]]] = field(default_factory=list)

    def replay(self) -> None:
        """Run every network again, with the same tensors in the same order."""
        for _, session, inputs in self.runs:
            session.run(inputs)


class _RecordedSession(PooledSession):
    def __init__(self, key: str, inner: PooledSession, recorder: Recorder) -> None:
        self._key, self._inner, self._recorder = key, inner, recorder

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._inner.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._inner.outputs

    @property
    def device(self) -> str:
        return self._inner.device

    @property
    def size_bytes(self) -> int:
        return self._inner.size_bytes

    def run(self, inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        if self._recorder.on:
            self._recorder.runs.append((self._key, self._inner, {name: it.copy() for name, it in inputs.items()}))
        return self._inner.run(inputs)

    def close(self) -> None:
        self._inner.close()


class _RecordedPool(SessionPool):
    def __init__(self, recorder: Recorder, *, budget_bytes: int) -> None:
        super().__init__(budget_bytes=budget_bytes, idle_seconds=0)
        self._recorder = recorder

    def session(self, key: str, load: Callable[[], Session]) -> PooledSession:
        return _RecordedSession(key, super().session(key, load), self._recorder)


def measure(settings: Settings, options: Preset, photo: bytes, name: str, runs: int) -> Measurement:
    """Time ``options`` on the bytes of ``photo``, ``runs`` times warm. Raises what the pipeline raises."""
    recorder = Recorder()
    pool = _RecordedPool(recorder, budget_bytes=settings.model_memory_mb * 2**20)
    with Studio(settings, open_store(settings), pool, resolve(settings.device)) as studio:
        for _ in range(_WARM_UP):
            studio.make(photo, options)
        recorder.on = True
        made = studio.make(photo, options, name=name)
        recorder.on = False
        parts = _floor(studio, options, photo, made.composition, recorder)
        wholes: list[float] = []
        stages: dict[str, list[float]] = {}
        floors: dict[str, list[float]] = {part: [] for part in parts}
        for _ in range(runs):
            start = time.perf_counter()
            made = studio.make(photo, options, name=name)
            wholes.append((time.perf_counter() - start) * 1000)
            for stage in made.report.stages:
                stages.setdefault(stage.stage, []).append(stage.milliseconds)
            for part, work in parts.items():
                floors[part].append(_timed(work))
        sums = [sum(each) for each in zip(*floors.values(), strict=True)]
        p50, floor = statistics.median(wholes), statistics.median(sums)
        return Measurement(
            preset=options.name,
            photo=name,
            width=made.report.source.width,
            height=made.report.source.height,
            runs=runs,
            p50_ms=round(p50, 1),
            p90_ms=round(sorted(wholes)[min(runs - 1, round(0.9 * runs))], 1),
            min_ms=round(min(wholes), 1),
            floor_ms=round(floor, 1),
            ratio=round(p50 / floor, 3),
            stages={stage: round(statistics.median(times), 1) for stage, times in stages.items()},
            floor=FloorRecord(**{part: round(statistics.median(times), 1) for part, times in floors.items()}),
            network_runs=dict(Counter(key for key, _, _ in recorder.runs)),
            device=made.report.device,
        )


def photo_like(sample: Image, size: Size) -> bytes:
    """Return a JPEG of ``size`` that shows the middle of ``sample``, upper part first, filling the frame."""
    scale = max(size.width / sample.width, size.height / sample.height)
    large = resize(sample.rgb, Size(round(sample.width * scale), round(sample.height * scale)))
    left = (large.shape[1] - size.width) // 2
    return codecs.encode_jpeg(large[: size.height, left : left + size.width].copy(), quality=92)


def _floor(
    studio: Studio, options: Preset, photo: bytes, composition: Composition, recorder: Recorder
) -> dict[str, Callable[[], object]]:
    output = options.pick(EncodeOptions)
    refine = getattr(options, "refine", Refine.NONE)
    scene, coarse = _before_refinement(studio, options, photo)
    return {
        "decode": lambda: studio.read(photo),
        "networks": recorder.replay,
        "refinement": lambda: matting.refine(scene, coarse, quality=refine),
        "encode": lambda: encode(composition, output),
    }


def _before_refinement(studio: Studio, options: Preset, photo: bytes) -> tuple[Pixels, Alpha]:
    """Return the picture and the network's own mask that the refinement starts from, at its working size."""
    bare = options.with_changes(refine=Refine.NONE) if "refine" in type(options).model_fields else options
    context = run_pipeline(bare.pipeline(), studio.read(photo), studio.hub).context
    scene, coarse = context.scene, context.alpha
    if scene is None or coarse is None:
        raise ValueError("the preset cuts nothing out")
    longest = max(scene.shape[:2])
    if longest <= WORK_SIDE * 1.25:
        return scene, coarse
    scale = WORK_SIDE / longest
    size = Size(round(scene.shape[1] * scale), round(scene.shape[0] * scale))
    return resize(scene, size), resize(coarse, size)


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000
