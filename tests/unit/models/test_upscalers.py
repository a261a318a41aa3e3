"""Upscalers on graphs of the real form: tiles leave no trace, whatever the size of the picture."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from facecraft.errors import CancelledError, ModelLoadError
from facecraft.imaging.image import Image
from facecraft.inference.onnx import OnnxSession
from facecraft.models.upscalers import RealEsrgan
from facecraft.progress import CancelToken, ProgressEvent

KINDS = {np.float32: TensorProto.FLOAT, np.float16: TensorProto.FLOAT16}


def enlarger(
    path: Path, *, mode: str = "nearest", side: int | None = None, kind: int = TensorProto.FLOAT, factor: int = 4
) -> Path:
    """×``factor`` by interpolation, with the names and the form of the real networks."""
    scales = numpy_helper.from_array(np.array([1, 1, factor, factor], np.float32), "scales")
    resized = helper.make_node(
        "Resize",
        ["input", "", "scales"],
        ["output"],
        mode=mode,
        coordinate_transformation_mode="half_pixel" if mode == "linear" else "asymmetric",
        nearest_mode="floor",
    )
    large = None if side is None else side * factor
    graph = helper.make_graph(
        [resized],
        "upscaler",
        [helper.make_tensor_value_info("input", kind, [1, 3, side, side])],
        [helper.make_tensor_value_info("output", kind, [1, 3, large, large])],
        [scales],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def photo(width: int, height: int, channels: int = 3) -> Image:
    rng = np.random.default_rng(width * height)
    return Image(rng.integers(0, 256, (height, width, channels)).astype(np.uint8))


SIZES = [(1, 1), (7, 5), (63, 64), (64, 64), (65, 64), (131, 97), (200, 31), (33, 190)]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16], ids=["float32", "float16"])
def test_pictures_of_every_size_come_back_four_times_as_large(
    tmp_path: Path, width: int, height: int, kind: int
) -> None:
    session = OnnxSession(enlarger(tmp_path / "n.onnx", kind=kind), threads=1)
    image = photo(width, height)
    out = RealEsrgan(session, tile=64, margin=8).upscale(image)
    assert np.array_equal(out.pixels, image.pixels.repeat(4, 0).repeat(4, 1))


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_fixed_graph_takes_small_and_large_pictures(tmp_path: Path, width: int, height: int) -> None:
    session = OnnxSession(enlarger(tmp_path / "n.onnx", side=64), threads=1)
    image = photo(width, height)
    out = RealEsrgan(session, margin=8).upscale(image)
    assert np.array_equal(out.pixels, image.pixels.repeat(4, 0).repeat(4, 1))


@pytest.mark.parametrize(("width", "height"), [(200, 150), (97, 131)])
def test_tiled_equals_whole(tmp_path: Path, width: int, height: int) -> None:
    session = OnnxSession(enlarger(tmp_path / "n.onnx", mode="linear"), threads=1)
    image = photo(width, height)
    tiled = RealEsrgan(session, tile=64, margin=8).upscale(image).pixels.astype(int)
    whole = RealEsrgan(session, tile=256, margin=8).upscale(image).pixels.astype(int)
    assert np.abs(tiled - whole).max() <= 1


def test_what_a_network_does_at_the_rim_of_a_tile_is_not_seen(tmp_path: Path) -> None:
    """A network that blackens two pixels along its border, as one does that lacks context there."""
    side = 64
    frame = np.zeros((1, 1, side, side), np.float32)
    frame[:, :, 2:-2, 2:-2] = 1
    nodes = [
        helper.make_node("Mul", ["input", "frame"], ["framed"]),
        helper.make_node("Resize", ["framed", "", "scales"], ["output"], mode="nearest", nearest_mode="floor",
                         coordinate_transformation_mode="asymmetric"),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "framed",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 3, 4 * side, 4 * side])],
        [
            numpy_helper.from_array(frame, "frame"),
            numpy_helper.from_array(np.array([1, 1, 4, 4], np.float32), "scales"),
        ],
    )
    path = tmp_path / "n.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    image = Image(np.full((150, 230, 3), 200, np.uint8))
    out = RealEsrgan(OnnxSession(path, threads=1), margin=8).upscale(image).pixels
    assert (out[8:-8, 8:-8] == 200).all()
    assert (out[:8] == 0).all()


def test_transparency_is_enlarged_and_hidden_colour_does_not_bleed(tmp_path: Path) -> None:
    session = OnnxSession(enlarger(tmp_path / "n.onnx", mode="linear"), threads=1)
    pixels = np.zeros((80, 90, 4), np.uint8)
    pixels[:, 45:] = (200, 100, 50, 255)
    out = RealEsrgan(session, tile=64, margin=8).upscale(Image(pixels)).pixels
    assert out.shape == (320, 360, 4)
    assert (out[:, 184:, 3] == 255).all()
    assert (out[:, :176, 3] == 0).all()
    assert np.abs(out[:, 180:, :3].astype(int) - (200, 100, 50)).max() <= 3


def test_progress_rises_and_a_wish_to_stop_is_honoured_between_tiles(tmp_path: Path) -> None:
    session = OnnxSession(enlarger(tmp_path / "n.onnx"), threads=1)
    upscaler = RealEsrgan(session, tile=64, margin=8)
    events: list[ProgressEvent] = []
    upscaler.upscale(photo(150, 150), progress=events.append)
    assert len(events) == 16
    assert [event.fraction for event in events] == sorted(event.fraction for event in events)
    cancel = CancelToken()
    seen: list[ProgressEvent] = []

    def stop(event: ProgressEvent) -> None:
        seen.append(event)
        cancel.cancel()

    with pytest.raises(CancelledError):
        upscaler.upscale(photo(150, 150), progress=stop, cancel=cancel)
    assert len(seen) == 1


def test_another_network_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="factor"):
        RealEsrgan(OnnxSession(enlarger(tmp_path / "two.onnx", side=64, factor=2)))
    with pytest.raises(ModelLoadError, match="too small"):
        RealEsrgan(OnnxSession(enlarger(tmp_path / "tiny.onnx", side=32)))


@pytest.mark.skipif(sys.platform == "win32", reason="resource is a POSIX module")
def test_memory_is_bounded_by_the_result(tmp_path: Path) -> None:
    """A two-megapixel picture: 96 MB of result, and little more than a row of tiles beside it."""
    path = enlarger(tmp_path / "n.onnx")
    code = f"""
import resource, sys
import numpy as np
from facecraft.imaging.image import Image
from facecraft.inference.onnx import OnnxSession
from facecraft.models.upscalers import RealEsrgan
scale = 1 if sys.platform == "darwin" else 1024
upscaler = RealEsrgan(OnnxSession({str(path)!r}, threads=1))
upscaler.upscale(Image(np.zeros((300, 300, 3), np.uint8)))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
out = upscaler.upscale(Image(np.full((1000, 2000, 3), 7, np.uint8)))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
print(after - before, out.pixels.nbytes)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    grown, result = map(int, out.stdout.split())
    assert result == 4000 * 8000 * 3
    assert grown < result + 70_000_000
