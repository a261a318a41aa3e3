from __future__ import annotations

import subprocess
import sys

import pytest

from facecraft.errors import ConfigurationError, ProviderUnavailableError
from facecraft.inference.devices import Device, cpu_count, resolve
from facecraft.inference.ort import CUDA_PROVIDER

onnxruntime = pytest.importorskip("onnxruntime")
WITHOUT_GPU = CUDA_PROVIDER not in onnxruntime.get_available_providers()


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("auto", None),
        ("cpu", Device("cpu")),
        (" CPU ", Device("cpu")),
        ("cuda", Device("cuda", 0)),
        ("cuda:0", Device("cuda", 0)),
        ("cuda:13", Device("cuda", 13)),
    ],
)
def test_words_for_devices(text: str, device: Device | None) -> None:
    assert Device.parse(text) == device


@pytest.mark.parametrize("text", ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:0", "cuda:1000", "mps", "cuda:0 x"])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve(text)
    assert "cuda:N" in (caught.value.hint or "")


@pytest.mark.parametrize("text", ["cpu", "cuda:0", "cuda:3"])
def test_a_device_is_written_as_it_is_asked_for(text: str) -> None:
    assert str(Device.parse(text)) == text


def test_cpu_is_taken_without_a_look_at_anything_else() -> None:
    code = (
        "import sys; from facecraft.inference.devices import resolve; print(resolve('cpu').device);"
        "sys.exit(any(name.split('.')[0] in ('onnxruntime', 'dlib', 'ai_edge_litert') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "cpu"), done.stderr


@pytest.mark.skipif(not WITHOUT_GPU, reason="this build of ONNX Runtime has CUDA")
@pytest.mark.parametrize("text", ["cuda", "cuda:0", "cuda:2"])
def test_a_gpu_that_is_not_there_is_an_error_with_a_way_out(text: str) -> None:
    with pytest.raises(ProviderUnavailableError) as caught:
        resolve(text)
    assert onnxruntime.__version__ in caught.value.message
    assert "facecraft[gpu]" in (caught.value.hint or "")


@pytest.mark.skipif(not WITHOUT_GPU, reason="this build of ONNX Runtime has CUDA")
def test_auto_says_why_it_took_the_cpu() -> None:
    resolution = resolve("auto")
    assert (resolution.device, resolution.requested) == (Device("cpu"), "auto")
    assert resolution.reason == f"no CUDA provider in onnxruntime {onnxruntime.__version__}"


def test_at_least_one_core() -> None:
    assert cpu_count() >= 1
