"""Loading and closing networks again and again must not eat the machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CYCLES = """
import gc, sys
import numpy as np
from facecraft.inference.{module} import {kind}

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

def cycle(times):
    for _ in range(times):
        session = {kind}(sys.argv[1], threads=1)
        spec = session.inputs[0]
        session.run({{spec.name: np.zeros([side or 1 for side in spec.shape], spec.dtype)}})
        session.close()
    gc.collect()

cycle(100)
before = resident()
cycle(int(sys.argv[2]))
print(resident() - before)
"""

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")


def growth(module: str, kind: str, path: Path, cycles: int) -> int:
    done = subprocess.run(
        [sys.executable, "-c", CYCLES.format(module=module, kind=kind), str(path), str(cycles)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def test_onnx_networks_leave_no_memory_behind(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    import numpy as np

    side = 128
    weight = onnx.numpy_helper.from_array(np.ones((side, side), np.float32), "w")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", side])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", side])],
        [weight],
    )
    path = tmp_path / "small.onnx"
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    weights = side * side * 4
    grown = growth("onnx", "OnnxSession", path, 500)
    assert grown < 500 * weights / 5, f"500 networks of {weights} bytes left {grown} bytes behind"


def test_litert_networks_leave_no_memory_behind(models_dir: Path) -> None:
    path = models_dir / "face_detection_short_range.tflite"
    if not path.is_file():
        pytest.skip(f"{path.name} is not installed")
    grown = growth("litert", "LiteRtSession", path, 150)
    assert grown < 150 * path.stat().st_size / 5


SHAPES = """
import random, sys
import numpy as np
from facecraft.inference.onnx import OnnxSession

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

session = OnnxSession(sys.argv[1], threads=1)
dice = random.Random(0)

def run(times):
    for _ in range(times):
        session.run({"x": np.zeros((1, 3, dice.randrange(32, 256), dice.randrange(32, 256)), np.float32)})

session.run({"x": np.zeros((1, 3, 256, 256), np.float32)})
run(60)
before = resident()
run(250)
print(resident() - before)
"""


def test_pictures_of_every_size_do_not_make_a_network_grow(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    import numpy as np

    nodes, weights, name, channels = [], [], "x", 3
    for number in range(4):
        kernel = np.full((16, channels, 3, 3), 0.01, np.float32)
        weights.append(onnx.numpy_helper.from_array(kernel, f"w{number}"))
        nodes.append(onnx.helper.make_node("Conv", [name, f"w{number}"], [f"y{number}"], pads=[1] * 4))
        name, channels = f"y{number}", 16
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, "h", "w"])],
        [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 16, "h", "w"])],
        weights,
    )
    path = tmp_path / "open.onnx"
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    done = subprocess.run([sys.executable, "-c", SHAPES, str(path)], capture_output=True, text=True, check=True)
    grown = int(done.stdout)
    assert grown < 3 * 1024 * 1024, f"250 shapes left {grown} bytes behind"
