"""What adapters cost beyond their networks: each call against the bare runs of its session.

    python benchmarks/adapters.py [name…]

The networks have random weights, the real inputs and outputs, and about the real number of multiplications (stated by
their authors), so that only speed is true of them. A call and the very runs it made are timed in turns, the shortest of
each counts. The call may take 1.15 times as long as the runs where those take more than 20 ms; else it is only shown.

Add a :class:`Row` to measure another adapter.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from facecraft.faces.alignment import ARCFACE_112, ARCFACE_128
from facecraft.faces.face import Face
from facecraft.imaging.geometry import Box, Transform
from facecraft.imaging.image import Image
from facecraft.inference.onnx import OnnxSession
from facecraft.inference.session import Session, Tensor, TensorSpec
from facecraft.models.attributes import FAIRFACE_LOGITS, FairFace, GenderAge
from facecraft.models.detectors import RetinaFace, Scrfd
from facecraft.models.embedders import ARCFACE, SFACE, AlignedEmbedder
from facecraft.models.landmarkers import POINTS_68, POINTS_106, FaceAlignmentNetwork, InsightLandmarker
from facecraft.models.matting_networks import MattingContract, MattingNetwork, Normalization, PpHumanSeg, Reading
from facecraft.models.parsers import BiSeNet
from facecraft.models.quality import Ediffiqa
from facecraft.models.restorers import AlignedRestorer
from facecraft.models.swappers import HyperSwap, InSwapper
from facecraft.models.upscalers import RealEsrgan

LIMIT = 1.15
WORTH = 0.020
THREADS = min(2, os.cpu_count() or 1)
PICTURE = Image(np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), np.uint8))

Shape = Sequence[int | str]


def burner(
    path: Path,
    given: tuple[str, Shape],
    outputs: Sequence[tuple[str, Shape]],
    *,
    gmacs: float,
    channels: int = 64,
    reduce: int = 4,
    pixels: int | None = None,
) -> Path:
    """Write a network of about ``gmacs`` billion multiplications for one picture; its outputs are nearly zero.

    ``given`` is its N×3×H×W input, ``pixels`` how many pixels it has where sides are open. Convolutions of 3×3 work on
    ``channels`` planes of a picture reduced ``reduce`` times.
    """
    rng = np.random.default_rng(1)
    name, shape = given
    constants, nodes = [], []

    def constant(values: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(values, f"c{len(constants)}"))
        return f"c{len(constants) - 1}"

    def node(kind: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        out = out or f"n{len(nodes)}"
        nodes.append(helper.make_node(kind, list(inputs), [out], **attributes))
        return out

    def conv(source: str, into: int, out_of: int, stride: int) -> str:
        weights = (rng.standard_normal((into, out_of, 3, 3)) * np.sqrt(2 / (9 * out_of))).astype(np.float32)
        return node("Conv", source, constant(weights), strides=[stride, stride], pads=[1, 1, 1, 1])

    area = pixels or int(shape[2]) * int(shape[3])
    layer = channels * channels * 9 * area / reduce**2
    last = conv(name, channels, 3, reduce)
    for _ in range(max(1, round(gmacs * 1e9 / layer))):
        last = node("Relu", conv(last, channels, channels, 1))
    mean = node("ReduceMean", last, axes=[1, 2, 3], keepdims=0)
    little = node("Mul", mean, constant(np.array(1e-20, np.float32)))
    for out, sides in outputs:
        plain = [1 if isinstance(side, str) else side for side in sides]
        column = node("Reshape", little, constant(np.array([-1] + [1] * (len(sides) - 1), np.int64)))
        # Detectors count anchors first; their one picture is the same for all.
        rows = constant(np.full(plain, 1e-6, np.float32))
        node("Add", rows, column, out=out)
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info(out, TensorProto.FLOAT, list(sides)) for out, sides in outputs],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


@dataclass(frozen=True)
class Row:
    """One adapter to measure."""

    name: str
    write: Callable[[Path], Path]
    """Writes the network to a path and returns it."""
    prepare: Callable[[Session], Callable[[], object]]
    """Builds the adapter over a session and returns the call to time."""


class Recorder:
    """A session that remembers what it was given while ``recording``."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.given: list[Mapping[str, Tensor]] = []
        self.recording = False

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._session.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._session.outputs

    @property
    def device(self) -> str:
        return self._session.device

    @property
    def size_bytes(self) -> int:
        return self._session.size_bytes

    def run(self, inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        if self.recording:
            self.given.append({name: array.copy() for name, array in inputs.items()})
        return self._session.run(inputs)

    def close(self) -> None:
        self._session.close()


def measure(row: Row, folder: Path, seconds: float = 6.0) -> tuple[float, float]:
    """Return the shortest time of the call and of its bare runs, in seconds."""
    session = Recorder(OnnxSession(row.write(folder / f"{row.name}.onnx"), threads=THREADS))
    call = row.prepare(session)
    session.recording = True
    call()
    session.recording = False

    def bare() -> None:
        for inputs in session.given:
            session.run(inputs)

    bests = [float("inf"), float("inf")]
    end = time.perf_counter() + seconds
    turns = 0
    while turns < 7 or (time.perf_counter() < end and turns < 60):
        for which, work in enumerate((call, bare)):
            start = time.perf_counter()
            work()
            bests[which] = min(bests[which], time.perf_counter() - start)
        turns += 1
    session.close()
    return bests[0], bests[1]


# --- faces ----------------------------------------------------------------------------------------------------------


def _face(x: float, y: float, scale: float) -> Face:
    place = Transform.similarity(scale=scale, degrees=8, source=(56, 56), target=(x, y))
    half = 56 * scale
    return Face(Box(x - half, y - half, x + half, y + half), 0.9, place(ARCFACE_112.scaled(112)))


FACES = (_face(500, 400, 3.0), _face(1000, 500, 2.0), _face(1500, 600, 4.0))
"""Three faces of 220 to 450 pixels."""


def _scrfd(gmacs: float) -> Callable[[Path], Path]:
    # 1920×1080 is shown as 640×360 on a canvas of 640×384.
    counts = [2 * (640 // stride) * (384 // stride) for stride in (8, 16, 32)]
    outputs = [(f"o{3 * kind + i}", (n, width)) for kind, width in enumerate((1, 4, 10)) for i, n in enumerate(counts)]
    return lambda path: burner(path, ("input.1", (1, 3, "h", "w")), outputs, gmacs=gmacs, pixels=640 * 384)


def _retinaface(gmacs: float) -> Callable[[Path], Path]:
    count = sum(2 * (640 // step) * (384 // step) for step in (8, 16, 32))
    outputs = [("loc", (1, count, 4)), ("conf", (1, count, 2)), ("landmarks", (1, count, 10))]
    return lambda path: burner(path, ("input", (1, 3, "h", "w")), outputs, gmacs=gmacs, pixels=640 * 384)


def _crops(side: int, gmacs: float, *outputs: tuple[str, Shape], batch: int | str = "n") -> Callable[[Path], Path]:
    return lambda path: burner(path, ("data", (batch, 3, side, side)), outputs, gmacs=gmacs)


def _detect(make: Callable[[Session], Any]) -> Callable[[Session], Callable[[], object]]:
    def prepare(session: Session) -> Callable[[], object]:
        adapter = make(session)
        return lambda: adapter.detect(PICTURE)

    return prepare


def _locate(make: Callable[[Session], Any]) -> Callable[[Session], Callable[[], object]]:
    def prepare(session: Session) -> Callable[[], object]:
        adapter = make(session)
        return lambda: adapter.locate(PICTURE, FACES[0])

    return prepare


FACE_ROWS = (
    Row("scrfd_det_10g", _scrfd(9.98 * 0.6), _detect(Scrfd)),
    Row("scrfd_det_500m", _scrfd(0.5 * 0.6), _detect(Scrfd)),
    Row("retinaface_r34", _retinaface(18.0 * 0.6), _detect(RetinaFace)),
    Row("retinaface_mv2", _retinaface(1.0 * 0.6), _detect(RetinaFace)),
    Row(
        "insightface_2d106", _crops(192, 0.4, ("fc1", ("n", 212))), _locate(lambda s: InsightLandmarker(s, POINTS_106))
    ),
    Row(
        "insightface_1k3d68", _crops(192, 5.0, ("fc1", ("n", 3309))), _locate(lambda s: InsightLandmarker(s, POINTS_68))
    ),
    Row(
        "ff_2dfan4",
        _crops(256, 20.0, ("points", (1, 68, 3)), ("maps", (1, 68, 64, 64)), batch=1),
        _locate(lambda s: FaceAlignmentNetwork(s, min_score=0.0)),
    ),
    Row(
        "arcface_w600k_r50",
        _crops(112, 6.3, ("683", ("n", 512))),
        lambda s: lambda: _vectors(AlignedEmbedder(s, ARCFACE, "r50")),
    ),
    Row(
        "arcface_w600k_mbf",
        _crops(112, 0.45, ("516", ("n", 512))),
        lambda s: lambda: _vectors(AlignedEmbedder(s, ARCFACE, "mbf")),
    ),
    Row(
        "sface",
        _crops(112, 0.6, ("fc1", (1, 128)), batch=1),
        lambda s: lambda: _vectors(AlignedEmbedder(s, SFACE, "s")),
    ),
    Row("genderage", _crops(96, 0.02, ("fc1", ("n", 3))), lambda s: lambda: GenderAge(s).describe(PICTURE, FACES)),
    Row(
        "fairface",
        _crops(224, 3.6, ("race_output", ("n", 7)), ("gender_output", ("n", 2)), ("age_output", ("n", 9))),
        lambda s: lambda: FairFace(s, FAIRFACE_LOGITS).describe(PICTURE, FACES),
    ),
    Row("ediffiqa_tiny", _crops(112, 0.25, ("output", ("n", 1))), lambda s: lambda: Ediffiqa(s).score(PICTURE, FACES)),
)


def _vectors(adapter: AlignedEmbedder) -> object:
    return adapter.embed(PICTURE, FACES)


# --- pictures -------------------------------------------------------------------------------------------------------

SMALL = Image(np.ascontiguousarray(PICTURE.rgb[:256, :472]))
"""Two tiles of 256 pixels."""


def _picture(side: int, gmacs: float, *outputs: tuple[str, Shape], more: int = 0) -> Callable[[Path], Path]:
    """Write a network for one square picture of ``side`` pixels; with ``more`` it also takes so many numbers."""

    def write(path: Path) -> Path:
        burner(path, ("input", (1, 3, side, side)), outputs, gmacs=gmacs)
        if more:
            model = onnx.load(path)
            model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1, more]))
            onnx.save(model, path)
        return path

    return write


def _matting(side: int, normalization: Normalization, reading: Reading, **rest: Any) -> Callable[[Session], Any]:
    contract = MattingContract(side, normalization, reading, **rest)
    return lambda session: lambda: MattingNetwork(session, contract).segment(PICTURE, FACES[0].box)


def _crop(side: int) -> np.ndarray:
    return np.ascontiguousarray(PICTURE.rgb[:side, :side])


# The multiplications are those that the authors state or fewer, so that no ratio is flattered.
PICTURE_ROWS = (
    Row(
        "u2netp",
        _picture(320, 10.0, ("1959", (1, 1, 320, 320))),
        _matting(320, Normalization.IMAGENET, Reading.STRETCH, by_maximum=True),
    ),
    Row(
        "u2net_human_seg",
        _picture(320, 30.0, ("1959", (1, 1, 320, 320))),
        _matting(320, Normalization.IMAGENET, Reading.STRETCH, by_maximum=True),
    ),
    Row(
        "isnet_general_use",
        _picture(1024, 80.0, ("output_image", (1, 1, 1024, 1024))),
        _matting(1024, Normalization.CENTER, Reading.STRETCH, by_maximum=True),
    ),
    Row(
        "birefnet_lite",
        _picture(1024, 150.0, ("output_image", (1, 1, 1024, 1024))),
        _matting(1024, Normalization.IMAGENET, Reading.SIGMOID),
    ),
    Row(
        "ben2_base",
        _picture(1024, 150.0, ("output", (1, 1, 1024, 1024))),
        _matting(1024, Normalization.NONE, Reading.STRETCH),
    ),
    Row(
        "ff_modnet",
        _picture(512, 15.0, ("output", (1, 1, 512, 512))),
        _matting(512, Normalization.HALF, Reading.CLIP),
    ),
    Row(
        "pphumanseg",
        _picture(192, 0.5, ("y", (1, 2, 192, 192))),
        lambda s: lambda: PpHumanSeg(s).segment(PICTURE, FACES[0].box),
    ),
    Row(
        "bisenet_resnet18",
        _picture(512, 14.0, ("output", (1, 19, 512, 512))),
        lambda s: lambda: BiSeNet(s).parse([_crop(512)]),
    ),
    Row(
        "ff_gfpgan_1_4",
        _picture(512, 40.0, ("output", (1, 3, 512, 512))),
        lambda s: lambda: AlignedRestorer(s).restore(_crop(512), 0.5),
    ),
    Row(
        "ff_gpen_256",
        _picture(256, 10.0, ("output", (1, 3, 256, 256))),
        lambda s: lambda: AlignedRestorer(s, ARCFACE_128, 256).restore(_crop(256), 0.5),
    ),
    Row(
        "inswapper_128",
        _picture(128, 8.0, ("output", (1, 3, 128, 128)), more=512),
        lambda s: lambda: InSwapper(s, np.eye(512, dtype=np.float32)).swap(_crop(128), np.ones(512, np.float32)),
    ),
    Row(
        "ff_hyperswap_1a_256",
        _picture(256, 15.0, ("output", (1, 3, 256, 256)), ("mask", (1, 1, 256, 256)), more=512),
        lambda s: lambda: HyperSwap(s).swap(_crop(256), np.ones(512, np.float32)),
    ),
    Row(
        "realesr_general_x4v3",
        lambda path: burner(
            path, ("input", (1, 3, "h", "w")), [("output", (1, 3, 1024, 1024))], gmacs=40.0, pixels=256 * 256, reduce=1
        ),
        lambda s: lambda: RealEsrgan(s).upscale(SMALL),
    ),
)

ROWS: tuple[Row, ...] = (*FACE_ROWS, *PICTURE_ROWS)


def main(names: Sequence[str]) -> int:
    chosen = [row for row in ROWS if not names or row.name in names]
    print(f"{THREADS} threads, a picture of {PICTURE.width}×{PICTURE.height}, {len(FACES)} faces\n")
    print(f"{'adapter':<24}{'call ms':>10}{'bare ms':>10}{'ratio':>8}")
    late = []
    with tempfile.TemporaryDirectory() as folder:
        for row in chosen:
            call, bare = measure(row, Path(folder))
            counts = bare > WORTH
            print(
                f"{row.name:<24}{call * 1e3:>10.2f}{bare * 1e3:>10.2f}{call / bare:>8.3f}{'' if counts else '  (small)'}"
            )
            if counts and call > LIMIT * bare:
                late.append(row.name)
    if late:
        print(f"\nmore than {LIMIT} times its network: {', '.join(late)}")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
