"""How the networks of the catalogue get into the pool: the right runtime over the right file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from facecraft.catalog.spec import ModelSpec, Runtime, Task
from facecraft.catalog.store import ModelStore
from facecraft.errors import ModelLoadError
from facecraft.inference import runtimes
from facecraft.inference.devices import Device
from facecraft.inference.dlib import Native, load_detector
from facecraft.inference.inspireface import InspirePack
from facecraft.inference.litert import LiteRtSession
from facecraft.inference.onnx import OnnxSession
from facecraft.inference.pool import PooledResource, SessionPool
from facecraft.inference.session import Session

RUNTIMES = {
    Runtime.ONNXRUNTIME: runtimes.ONNX,
    Runtime.LITERT: runtimes.LITERT,
    Runtime.DLIB: runtimes.DLIB,
    Runtime.INSPIREFACE: runtimes.INSPIREFACE,
}


@dataclass(frozen=True, slots=True)
class Networks:
    """The installed networks of ``store``, loaded through ``pool`` onto ``device`` when they are first used."""

    store: ModelStore
    pool: SessionPool
    device: Device
    threads: int | None = None
    """Threads of one network on the CPU; None: the cores of this process."""

    def session(self, spec: ModelSpec) -> Session:
        """Return the network of ``spec`` as a session of its runtime. Raises ModelError at the first use."""
        return self.pool.session(spec.id, lambda: self._open(spec))

    def dlib_file(self, spec: ModelSpec, load: Callable[[Path], Native]) -> PooledResource[Native]:
        """Return the dlib object in the file of ``spec``. Raises ModelError at the first use."""
        return self.pool.resource(spec.id, lambda: load(self.store.path(spec.id)))

    def dlib_detector(self, spec: ModelSpec) -> PooledResource[Native]:
        """Return dlib's own detector, which has no file."""
        return self.pool.resource(spec.id, load_detector)

    def inspire_pack(self, spec: ModelSpec) -> PooledResource[InspirePack]:
        """Return the InspireFace pack of ``spec``, or of the model it requires: one for all that use it.

        Raises ModelError and InferenceError at the first use.
        """
        pack_id = spec.id if spec.requires == () else spec.requires[0]
        return self.pool.resource(pack_id, lambda: InspirePack(self.store.path(pack_id)))

    def usable(self, task: Task, architecture: str) -> tuple[ModelSpec, ...]:
        """Return the installed, permitted models of one architecture whose runtime is here, best first."""
        return tuple(
            spec
            for spec in self.store.catalog.auto(task)
            if spec.architecture == architecture and self.runs(spec) and self.store.usable(spec.id)
        )

    def runs(self, spec: ModelSpec) -> bool:
        """Whether the runtime of ``spec`` is installed."""
        runtime = RUNTIMES.get(spec.runtime)
        return runtime is not None and runtime.installed

    def _open(self, spec: ModelSpec) -> Session:
        path = self.store.path(spec.id)
        if spec.runtime is Runtime.LITERT:
            return LiteRtSession(path, threads=self.threads)
        if spec.runtime is Runtime.ONNXRUNTIME:
            return OnnxSession(path, device=self.device, threads=self.threads)
        raise ModelLoadError(f"{spec.id} runs on {spec.runtime}, which takes no tensors.")
