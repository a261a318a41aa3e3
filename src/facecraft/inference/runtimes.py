"""Which inference runtimes are installed, and the command that installs a missing one."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from facecraft.errors import RuntimeMissingError


@dataclass(frozen=True, slots=True)
class Runtime:
    """One library that runs networks."""

    title: str
    module: str
    install: str

    @property
    def installed(self) -> bool:
        """Whether it can be imported; looks without importing."""
        return find_spec(self.module) is not None

    def missing(self, network: str, error: ImportError | None = None) -> RuntimeMissingError:
        """The error that says what ``network`` needs and how to get it."""
        return RuntimeMissingError(
            f"{network} needs {self.title}, which is not installed.",
            hint=self.install,
            detail=None if error is None else str(error),
        )


LITERT = Runtime("LiteRT", "ai_edge_litert", "pip install ai-edge-litert")
ONNX = Runtime(
    "ONNX Runtime",
    "onnxruntime",
    "pip install 'facecraft[cpu]', or 'facecraft[gpu]' on a machine with an NVIDIA GPU",
)
DLIB = Runtime("dlib", "dlib", "pip install 'facecraft[dlib]'")
INSPIREFACE = Runtime("InspireFace", "inspireface", "pip install 'facecraft[inspireface]' (Linux, macOS, Windows)")
