"""ONNX Runtime as this package wants it: loaded late, silent, without fallback, with sober options."""

from __future__ import annotations

import re
from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from facecraft.errors import ProviderUnavailableError, RuntimeMissingError
from facecraft.inference.runtimes import ONNX

if TYPE_CHECKING:
    import onnxruntime

CUDA_PROVIDER = "CUDAExecutionProvider"
Providers: TypeAlias = list[str | tuple[str, dict[str, str]]]
_QUIET = 4  # fatal only: every failure arrives as an exception anyway
_OUT_OF_MEMORY = re.compile(r"out of memory|failed to allocate|bad_?alloc|ALLOC_FAILED|BFCArena", re.IGNORECASE)
# The smallest network there is, y = Relu(x) over one float32 (ONNX IR 8, operator set 13), as protocol buffer bytes.
_RELU = (
    b'\x08\x08:3\n\x0c\n\x01x\x12\x01y"\x04Relu\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01'
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r"
)


def load(network: str) -> ModuleType:
    """Import ONNX Runtime for ``network``. Raises RuntimeMissingError when it is not installed."""
    try:
        import onnxruntime  # noqa: PLC0415  slow to import, and not needed by the starter models
    except ImportError as error:
        raise ONNX.missing(network, error) from error
    onnxruntime.set_default_logger_severity(_QUIET)
    runtime: ModuleType = onnxruntime
    return runtime


def errors(runtime: ModuleType) -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises: its own classes share no parent below Exception."""
    state = runtime.capi.onnxruntime_pybind11_state
    own = [value for value in vars(state).values() if isinstance(value, type) and issubclass(value, Exception)]
    return (*own, RuntimeError, ValueError, TypeError, MemoryError)


def is_out_of_memory(error: Exception) -> bool:
    """Whether ``error`` says that the machine or the GPU has no memory left."""
    return isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)) is not None


def options(runtime: ModuleType, *, threads: int) -> onnxruntime.SessionOptions:
    """Full graph optimisation on ``threads`` threads of its own, without a word to the terminal."""
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _QUIET
    # Plans of memory are kept for every shape ever seen: networks with open sides would grow without end.
    options.enable_mem_pattern = False
    # Waiting threads that spin take the cores from the next network of the same portrait.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def providers(gpu: int | None, memory_limit: int | None = None) -> Providers:
    """The execution providers for GPU number ``gpu`` (None: the CPU), its arena bounded by ``memory_limit`` bytes."""
    if gpu is None:
        return ["CPUExecutionProvider"]
    cuda = {
        "device_id": str(gpu),
        # The default, EXHAUSTIVE, times every algorithm for every new shape: minutes on large networks.
        "cudnn_conv_algo_search": "HEURISTIC",
        # The default doubles the arena at every step and keeps it.
        "arena_extend_strategy": "kSameAsRequested",
    }
    if memory_limit is not None:
        cuda["gpu_mem_limit"] = str(memory_limit)
    # The CPU provider stays for the shape operators that CUDA does not have.
    return [(CUDA_PROVIDER, cuda), "CPUExecutionProvider"]


def require_cuda(runtime: ModuleType, gpu: int) -> None:
    """Raise ProviderUnavailableError when this build of ONNX Runtime has no CUDA; else find the CUDA libraries."""
    if CUDA_PROVIDER not in runtime.get_available_providers():
        raise ProviderUnavailableError(f"cuda:{gpu} is not available: {_no_cuda(runtime)}.")
    # Since 1.21: loads the libraries that pip installed, which the system's loader does not find.
    if hasattr(runtime, "preload_dlls"):
        runtime.preload_dlls()


def cuda_problem(gpu: int) -> str | None:
    """Say why GPU number ``gpu`` cannot be used, or None when it can: a one-node network really runs there."""
    try:
        runtime = load("CUDA")
    except RuntimeMissingError:
        return "onnxruntime is not installed"
    if CUDA_PROVIDER not in runtime.get_available_providers():
        return _no_cuda(runtime)
    require_cuda(runtime, gpu)
    try:
        session = runtime.InferenceSession(
            _RELU, sess_options=options(runtime, threads=1), providers=providers(gpu), enable_fallback=0
        )
        if CUDA_PROVIDER not in session.get_providers():
            return "the CUDA libraries could not be loaded"
        session.run(None, {"x": np.zeros(1, np.float32)})
    except errors(runtime) as error:
        return next(iter(str(error).splitlines()), type(error).__name__)[:200]
    return None


def _no_cuda(runtime: ModuleType) -> str:
    return f"no CUDA provider in onnxruntime {runtime.__version__}"
