"""What is known about one network: the entry of the catalogue, validated as it is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from pathlib import PurePosixPath
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from facecraft.catalog.sources import PypiSource, Source, parse_source

Scalar = bool | int | float | str
"""A value of a model's parameters."""

_DEVICE_NAMES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
ModelId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]*$")]
PlainName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=120)]


class Task(StrEnum):
    """What a network does."""

    FACE_DETECTION = "face_detection"
    FACE_LANDMARKS = "face_landmarks"
    FACE_RECOGNITION = "face_recognition"
    FACE_QUALITY = "face_quality"
    FACE_ATTRIBUTES = "face_attributes"
    MATTING = "matting"
    FACE_PARSING = "face_parsing"
    FACE_OCCLUSION = "face_occlusion"
    FACE_RESTORATION = "face_restoration"
    UPSCALE = "upscale"
    FACE_SWAP = "face_swap"
    EMBEDDING_CONVERTER = "embedding_converter"
    BUNDLE = "bundle"


class Runtime(StrEnum):
    """What runs a network."""

    ONNXRUNTIME = "onnxruntime"
    LITERT = "litert"
    DLIB = "dlib"
    INSPIREFACE = "inspireface"
    MEDIAPIPE_ONLY = "mediapipe-only"
    """Listed for completeness: needs operators that no runtime of Facecraft has."""


class Risk(StrEnum):
    """What a careful owner should read before selling pictures made with the network."""

    LOW = "low"
    ATTRIBUTION = "attribution"
    TRAINING_DATA = "training-data"
    LICENCE_HISTORY = "licence-history"
    USE_RESTRICTIONS = "use-restrictions"
    COPYLEFT = "copyleft"
    REVIEW = "review"
    LICENCE = "licence"


class Evidence(StrEnum):
    """Where a checksum was learned, strongest first."""

    LOCAL = "local"
    """The bytes were hashed by us."""
    PUBLISHER = "publisher"
    """Stated by whoever publishes the file."""
    MIRROR = "mirror"
    """Stated by a project that hosts a copy."""
    PINS = "pins"
    """Stated by lock files of other projects."""


class ModelSpec(BaseModel):
    """One network of the catalogue. Equal ids are equal models."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    id: ModelId
    """The stable name, used in options, reports and commands."""
    task: Task
    architecture: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$")]
    """Which adapter can load it."""
    file: PlainName | None = None
    """The file's name in the models folder; None when the network is built into its runtime."""
    bytes: Annotated[int, Field(gt=0)] | None = None
    """The exact size, where known."""
    sha256: Sha256 | None = None
    """The checksum of the file; without one it is neither installed nor loaded."""
    evidence: Evidence | None = None
    """Where the checksum was learned."""
    license: Annotated[str, StringConstraints(min_length=2)]
    """SPDX name or the name of the licence text."""
    commercial: bool
    """Whether the stated licence of code and weights allows commercial use. Says nothing of training data."""
    risk: Risk
    attribution: str | None = None
    """Whom to name: paper and authors."""
    url: str | None = None
    """The project's page."""
    runtime: Runtime
    packs: tuple[str, ...] = ()
    """The packs it belongs to; ``X-extra`` is on demand inside pack X."""
    requires: tuple[ModelId, ...] = ()
    """Models without which this one cannot be used."""
    sources: tuple[str, ...] = ()
    """Where the bytes are, in order of preference; see :mod:`facecraft.catalog.sources`."""
    note: str | None = None
    parameters: Mapping[str, Scalar] = Field(default_factory=dict)
    """A small flat table of what the adapter must know: input size, variant, normalization."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.file is not None and _DEVICE_NAMES.fullmatch(self.file):
            raise ValueError(f"{self.id}: {self.file} is a device name on Windows")
        if self.file is None and (self.sources or self.sha256 or self.bytes):
            raise ValueError(f"{self.id}: sources, bytes and sha256 belong to a file")
        if (self.sha256 is None) != (self.evidence is None):
            raise ValueError(f"{self.id}: a checksum and its evidence go together")
        if self.file is not None and not self.sources:
            raise ValueError(f"{self.id}: a file needs at least one source")
        if self.id in self.requires:
            raise ValueError(f"{self.id}: requires itself")
        for source in self.parsed_sources:
            member = source.member
            if member is not None and not _is_plain_path(member):
                raise ValueError(f"{self.id}: {member} leaves the archive")
        return self

    @cached_property
    def parsed_sources(self) -> tuple[Source, ...]:
        """The sources, read."""
        return tuple(parse_source(text, self.file or "") for text in self.sources)

    @property
    def builtin(self) -> bool:
        """Whether the network is part of its runtime and has no file."""
        return self.file is None

    @property
    def installable(self) -> bool:
        """Whether it can be fetched unattended: it is known what the bytes must be."""
        return self.builtin or self.sha256 is not None

    def __hash__(self) -> int:
        return hash(self.id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModelSpec) and self.id == other.id and self.sha256 == other.sha256


class ArchivePin(BaseModel):
    """A package or zip that holds models: refused unless it has this checksum."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str | None = None
    file: PlainName
    bytes: Annotated[int, Field(gt=0)] | None = None
    sha256: Sha256
    license: str

    @property
    def origin(self) -> str:
        """The key that a :class:`PypiSource` of this package has."""
        return f"pypi:{self.name}=={self.version}"


def _is_plain_path(member: str) -> bool:
    path = PurePosixPath(member)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in member and ":" not in member


__all__ = ["ArchivePin", "Evidence", "ModelSpec", "PypiSource", "Risk", "Runtime", "Scalar", "Task"]
