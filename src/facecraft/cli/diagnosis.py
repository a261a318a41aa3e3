"""What ``facecraft doctor`` finds: versions, runtimes, device, models by task, folders, policies."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from facecraft.catalog.spec import Task
from facecraft.errors import FacecraftError
from facecraft.inference.devices import cpu_count, resolve
from facecraft.inference.runtimes import DLIB, LITERT, ONNX
from facecraft.models.hub import ModelHub
from facecraft.models.hub.hub import PORTRAIT_TASKS
from facecraft.settings import Settings
from facecraft.studio import Studio

_PACKAGES = (
    "facecraft", "numpy", "opencv-python-headless", "pillow", "pillow-heif", "scipy", "pydantic", "ai-edge-litert",
    "onnxruntime", "onnxruntime-gpu", "dlib-bin", "fastapi", "uvicorn",
)  # fmt: skip
_OPTIONAL_TASKS = (Task.FACE_LANDMARKS, Task.FACE_RESTORATION, Task.FACE_RECOGNITION)
_LEAST_FREE_MB = 200
"""Below this much free space a model download or a batch of results is likely to fail."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RuntimeRecord(_Record):
    """A library that runs networks."""

    title: str
    installed: bool
    install: str | None
    """The command that installs it, where it is missing."""


class DeviceRecord(_Record):
    """Where networks run."""

    requested: str
    device: str | None
    """None when the device asked for is not there."""
    reason: str


class TaskRecord(_Record):
    """What does a task."""

    task: str
    needed: bool
    """Whether a portrait cannot be made without it."""
    models: tuple[str, ...]
    """The models that ``auto`` takes; each was really run once."""
    milliseconds: float
    problem: str | None = None
    fix: str | None = None


class FolderRecord(_Record):
    """A folder that Facecraft writes to."""

    purpose: str
    path: str
    writable: bool
    free_mb: int


class Diagnosis(_Record):
    """Everything that decides whether portraits can be made here, and how fast."""

    python: str
    system: str
    cores: int
    packages: dict[str, str]
    runtimes: tuple[RuntimeRecord, ...]
    device: DeviceRecord
    tasks: tuple[TaskRecord, ...]
    folders: tuple[FolderRecord, ...]
    license_policy: str
    offline: bool
    problems: tuple[str, ...]
    """What keeps portraits from being made, each with its remedy. Empty: all is well."""


def examine(settings: Settings) -> Diagnosis:
    """Look at everything; what is missing becomes part of the answer instead of an error."""
    device, tasks = _engine(settings)
    folders = tuple(
        _folder(purpose, path)
        for purpose, path in (
            ("models", settings.models_dir),
            ("uploads", settings.upload_dir),
            ("results", settings.output_dir),
        )
    )
    problems = [
        f"{task.task}: {task.problem} {task.fix or ''}".strip() for task in tasks if task.needed and task.problem
    ]
    if device.device is None:
        problems.insert(0, device.reason)
    for folder in folders:
        if not folder.writable:
            problems.append(f"The folder for {folder.purpose} cannot be written: {folder.path}")
        elif folder.free_mb < _LEAST_FREE_MB:
            problems.append(f"Only {folder.free_mb} MB are free for {folder.purpose} in {folder.path}")
    return Diagnosis(
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        cores=cpu_count(),
        packages={name: found for name in _PACKAGES if (found := _version(name)) is not None},
        runtimes=tuple(
            RuntimeRecord(title=it.title, installed=it.installed, install=None if it.installed else it.install)
            for it in (LITERT, ONNX, DLIB)
        ),
        device=device,
        tasks=tasks,
        folders=folders,
        license_policy=settings.license_policy.value,
        offline=settings.offline,
        problems=tuple(problems),
    )


def _engine(settings: Settings) -> tuple[DeviceRecord, tuple[TaskRecord, ...]]:
    try:
        found = resolve(settings.device)
        record = DeviceRecord(requested=found.requested, device=str(found.device), reason=found.reason)
    except FacecraftError as error:
        reason = f"{error.message} {error.hint or ''}".strip()
        record = DeviceRecord(requested=settings.device, device=None, reason=reason)
        settings = settings.model_copy(update={"device": "cpu"})
    with Studio.open(settings) as studio:
        needed = tuple(_task(studio.hub, task, needed=True) for task in PORTRAIT_TASKS)
        return record, needed + tuple(_task(studio.hub, task, needed=False) for task in _OPTIONAL_TASKS)


def _task(hub: ModelHub, task: Task, *, needed: bool) -> TaskRecord:
    probes = hub.probe((task,))
    failures = [probe.error for probe in probes if probe.error is not None]
    return TaskRecord(
        task=task.value,
        needed=needed,
        models=tuple(probe.model_id for probe in probes if probe.error is None),
        milliseconds=round(sum(probe.milliseconds for probe in probes), 1),
        problem=failures[0].message if failures else None,
        fix=failures[0].hint if failures else None,
    )


def _folder(purpose: str, path: Path) -> FolderRecord:
    """Look at ``path``, or at the nearest folder above it that exists: it is made when it is first needed."""
    path = path.expanduser().absolute()
    there = next((folder for folder in (path, *path.parents) if folder.exists()), path)
    writable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    free = shutil.disk_usage(there).free // 1_000_000 if there.exists() else 0
    return FolderRecord(purpose=purpose, path=str(path), writable=writable, free_mb=free)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
