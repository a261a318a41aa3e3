"""Which device networks run on: asked for once, decided once, said aloud."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from facecraft.errors import ConfigurationError, ProviderUnavailableError
from facecraft.inference.ort import cuda_problem

_CUDA = re.compile(r"cuda(?::(\d{1,2}))?")
_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True, slots=True)
class Device:
    """A place where networks run. ``str(device)`` is ``cpu`` or ``cuda:N``."""

    kind: Literal["cpu", "cuda"] = "cpu"
    index: int = 0

    def __str__(self) -> str:
        return self.kind if self.kind == "cpu" else f"{self.kind}:{self.index}"

    @classmethod
    def parse(cls, text: str) -> Device | None:
        """Read ``cpu``, ``cuda`` or ``cuda:N``; ``auto`` gives None. Raises ConfigurationError for anything else."""
        word = text.strip().lower()
        if word == "auto":
            return None
        if word == "cpu":
            return cls()
        if match := _CUDA.fullmatch(word):
            return cls("cuda", int(match[1] or 0))
        raise ConfigurationError(f"{text!r} is not a device.", hint="Use auto, cpu, cuda or cuda:N.")


@dataclass(frozen=True, slots=True)
class Resolution:
    """The device that every network of this process uses, and why."""

    device: Device
    requested: str
    reason: str
    """One clause for people, for instance ``no CUDA provider in onnxruntime 1.31.1``."""


def resolve(request: str) -> Resolution:
    """Decide where networks run: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    ``auto`` takes the first GPU that really works and says why when it does not. LiteRT and dlib networks run on the
    CPU in every case. Raises ConfigurationError for another word and ProviderUnavailableError when a GPU was asked
    for by name and cannot be used.
    """
    asked = Device.parse(request)
    if asked is not None and asked.kind == "cpu":
        return Resolution(asked, request, "asked for")
    wanted = asked or Device("cuda", 0)
    problem = cuda_problem(wanted.index)
    if problem is None:
        return Resolution(wanted, request, "asked for" if asked else "CUDA works")
    if asked is not None:
        raise ProviderUnavailableError(f"{asked} is not available: {problem}.")
    return Resolution(Device(), request, problem)


def cpu_count() -> int:
    """How many cores this process may use: the machine's, less by affinity and by a container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _CPU_MAX.read_text().split()
        if quota != "max":
            cores = min(cores, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        return cores  # not a container with control groups of version 2
    return max(1, cores)
