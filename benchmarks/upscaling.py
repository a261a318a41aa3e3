"""How much memory enlarging 12 megapixels four times takes: ``python benchmarks/upscaling.py``.

Networks have random weights and the real widths. realesr-general-x4v3 (with fewer layers) enlarges all 12 megapixels. x4plus
would take hours on a processor: its largest layers, which decide the memory, enlarge a small picture beside as much
touched memory as the whole result takes. Each runs in a process of its own; the exit code is 1 above 1.5 GB.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from facecraft.catalog.catalog import Catalog
from facecraft.imaging.image import Image
from facecraft.inference.onnx import OnnxSession
from facecraft.models.upscalers import RealEsrgan

LIMIT = 1_500_000_000
WIDTH, HEIGHT = 4000, 3000
ROWS = {"realesr_general_x4v3": True, "realesrgan_x4plus": False}
"""Catalogue ids, and whether the whole picture is enlarged."""


class _Graph:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._rng = np.random.default_rng(0)

    def conv(self, source: str, given: int, made: int, *, relu: bool = True) -> str:
        name = f"n{len(self.nodes)}"
        weights = (self._rng.standard_normal((made, given, 3, 3)) * 0.02).astype(np.float32)
        self.constants.append(numpy_helper.from_array(weights, f"{name}.weight"))
        self.nodes.append(helper.make_node("Conv", [source, f"{name}.weight"], [name], pads=[1, 1, 1, 1]))
        if relu:
            self.nodes.append(helper.make_node("LeakyRelu", [name], [f"{name}.relu"], alpha=0.2))
            return f"{name}.relu"
        return name

    def doubled(self, source: str) -> str:
        name = f"n{len(self.nodes)}"
        self.constants.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), f"{name}.scales"))
        self.nodes.append(
            helper.make_node("Resize", [source, "", f"{name}.scales"], [name], mode="nearest", nearest_mode="floor",
                             coordinate_transformation_mode="asymmetric")
        )  # fmt: skip
        return name

    def write(self, last: str, path: Path) -> None:
        sides = [1, 3, None, None]
        self.nodes.append(helper.make_node("Identity", [last], ["output"]))
        graph = helper.make_graph(
            self.nodes,
            path.stem,
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, sides)],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, sides)],
            self.constants,
        )
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def write(model_id: str, path: Path) -> None:
    graph = _Graph()
    last = graph.conv("input", 3, 64)
    if model_id == "realesrgan_x4plus":
        for _ in range(2):
            last = graph.conv(graph.doubled(last), 64, 64)
        last = graph.conv(graph.conv(last, 64, 64), 64, 3, relu=False)
    else:
        last = graph.conv(graph.conv(last, 64, 64), 64, 48, relu=False)
        graph.nodes.append(helper.make_node("DepthToSpace", [last], ["shuffled"], blocksize=4, mode="CRD"))
        last = "shuffled"
    graph.write(last, path)


def enlarge(model_id: str, path: Path) -> None:
    """Run in a process of its own: print the greatest resident memory in bytes and the seconds it took."""
    parameters = Catalog.load().get(model_id).parameters
    upscaler = RealEsrgan(OnnxSession(path), tile=int(parameters["tile"]), margin=int(parameters["overlap"]))
    whole = ROWS[model_id]
    size = (HEIGHT, WIDTH) if whole else (400, 500)
    image = Image(np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8))
    beside = np.ones(0 if whole else WIDTH * HEIGHT * 3 * 17, np.uint8)
    start = time.perf_counter()
    out = upscaler.upscale(image)
    spent = time.perf_counter() - start
    assert out.height == 4 * size[0]
    assert beside.size in (0, beside.sum(dtype=np.int64))
    unit = 1 if sys.platform == "darwin" else 1024
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, spent)


def main() -> int:
    worst = 0
    with tempfile.TemporaryDirectory() as folder:
        for model_id in ROWS:
            path = Path(folder) / f"{model_id}.onnx"
            write(model_id, path)
            out = subprocess.run(
                [sys.executable, __file__, model_id, str(path)], capture_output=True, text=True, check=True
            )
            memory, seconds = out.stdout.split()
            worst = max(worst, int(memory))
            print(f"{model_id:<24}{int(memory) / 1e6:>8.0f} MB of {LIMIT / 1e6:.0f}{float(seconds):>9.1f} s")
    return int(worst > LIMIT)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        enlarge(sys.argv[1], Path(sys.argv[2]))
    else:
        sys.exit(main())
