"""Sessions over ONNX Runtime, on the CPU or on a CUDA GPU, for ``.onnx`` files."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from facecraft.errors import (
    DeviceMemoryError,
    FacecraftError,
    InferenceError,
    ModelLoadError,
    ProviderUnavailableError,
)
from facecraft.inference import ort
from facecraft.inference.devices import Device, cpu_count
from facecraft.inference.session import Tensor, TensorSpec, check_inputs, closed_error

if TYPE_CHECKING:
    import onnxruntime

# Beyond this the portrait networks gain little and disturb each other.
_MOST_THREADS = 8
_TYPES = {
    "float": "float32", "double": "float64", "float16": "float16", "int8": "int8", "uint8": "uint8",
    "int16": "int16", "uint16": "uint16", "int32": "int32", "uint32": "uint32", "int64": "int64",
    "uint64": "uint64", "bool": "bool",
}  # fmt: skip


class OnnxSession:
    """An ``.onnx`` network. One ONNX Runtime session serves any number of callers at once.

    ``device`` is where it runs; there is no silent fallback: ProviderUnavailableError when a GPU was asked for and the
    session did not get it. ``threads`` (CPU) defaults to the cores this process may use, at most 8. ``memory_limit``
    bounds the GPU arena in bytes. Raises ModelLoadError when the file is no network this runtime can load, or keeps
    weights in files outside its own folder, and RuntimeMissingError when ONNX Runtime is not installed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        device: Device | None = None,
        threads: int | None = None,
        memory_limit: int | None = None,
    ) -> None:
        self._name = Path(path).name
        self._device = device or Device()
        runtime = ort.load(self._name)
        self._errors = ort.errors(runtime)
        gpu = self._device.index if self._device.kind == "cuda" else None
        if gpu is not None:
            ort.require_cuda(runtime, gpu)
        if not Path(path).is_file():
            raise ModelLoadError(f"{self._name} cannot be read.", detail=str(path))
        try:
            session = runtime.InferenceSession(
                os.fspath(path),
                sess_options=ort.options(
                    runtime, threads=1 if gpu is not None else threads or min(cpu_count(), _MOST_THREADS)
                ),
                providers=ort.providers(gpu, memory_limit),
                # ONNX Runtime would otherwise print and go on with the CPU.
                enable_fallback=0,
            )
            self._inputs = tuple(map(_spec, session.get_inputs()))
            self._outputs = tuple(map(_spec, session.get_outputs()))
        except self._errors as error:
            raise self._load_error(error) from error
        if gpu is not None and ort.CUDA_PROVIDER not in session.get_providers():
            raise ProviderUnavailableError(
                f"{self._name} did not get {self._device}: the CUDA libraries could not be loaded."
            )
        self._output_names = [spec.name for spec in self._outputs]
        self._size = _weights_bytes(Path(path))
        self._lock = Lock()
        self._session: onnxruntime.InferenceSession | None = session

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._outputs

    @property
    def device(self) -> str:
        return str(self._device)

    @property
    def size_bytes(self) -> int:
        return self._size

    def run(self, inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Run once. Raises InferenceError; DeviceMemoryError when memory is short."""
        check_inputs(self._inputs, inputs, self._name)
        with self._lock:
            session = self._session
        if session is None:
            raise closed_error(self._name)
        try:
            feed = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
            return dict(zip(self._output_names, session.run(self._output_names, feed), strict=True))
        except self._errors as error:
            if ort.is_out_of_memory(error):
                raise DeviceMemoryError(detail=f"{self._name}: {error}") from error
            raise InferenceError(f"{self._name} could not run on this input.", detail=str(error)) from error

    def close(self) -> None:
        """Give the memory back as soon as the runs under way have finished."""
        with self._lock:
            self._session = None

    def _load_error(self, error: Exception) -> FacecraftError:
        if ort.is_out_of_memory(error):
            return DeviceMemoryError(
                f"There is not enough memory on {self._device} for {self._name}.", detail=str(error)
            )
        return ModelLoadError(
            f"{self._name} is damaged or is not an ONNX network that this runtime can load.",
            hint="Run `facecraft models verify` to find damaged files.",
            detail=str(error),
        )


def _spec(argument: onnxruntime.NodeArg) -> TensorSpec:
    kind = re.fullmatch(r"tensor\((\w+)\)", argument.type)
    if kind is None or kind[1] not in _TYPES:
        raise ValueError(f"{argument.name} has the type {argument.type}, which is not a numeric tensor")
    shape = tuple(side if isinstance(side, int) else None for side in argument.shape)
    return TensorSpec(argument.name, shape, np.dtype(_TYPES[kind[1]]))


def _weights_bytes(path: Path) -> int:
    """The size of the file and of the weights that lie beside it under the same name."""
    return sum(each.stat().st_size for each in path.parent.glob(f"{path.name}*") if each.is_file())
