"""What a job does, as data: one type for each kind of work, told apart by ``kind``, stored with the job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, TypeAdapter, model_validator

from facecraft.options import Options
from facecraft.pipelines.pipeline import Pipeline
from facecraft.pipelines.presets import PRESETS
from facecraft.pipelines.recognition import FACES

GPU = "gpu"
"""Queue of work for networks."""
RENDER = "render"
"""Queue of work for the processor: text, pages, documents."""
FALLBACK = "celery"
"""Queue that every worker serves besides its own."""
QUEUES = (GPU, RENDER, FALLBACK)
"""Every queue."""

LONGEST_NAME = 60
DETECT = "detect"
"""The preset that finds faces and makes no picture."""
UNNAMED = "pipeline"
"""What a pipeline of a caller's own is called by default, and counted by whatever they call it."""
FACES_PREFIX = "faces-"
"""What a preset begins with that looks at faces."""


class PipelineTask(BaseModel):
    """Run a pipeline on each picture."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["pipeline"] = "pipeline"
    """Always said: it tells tasks apart."""
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=LONGEST_NAME)] = UNNAMED
    """The word for it in lists: the preset that it came from."""
    pipeline: Pipeline
    """The steps and how the result is written."""
    write: bool = True
    """Whether pictures are written; otherwise the report is all there is."""

    @property
    def word(self) -> str:
        """The word for it in lists."""
        return self.name

    @property
    def label(self) -> str:
        """The word to count it by: one of this program, however its caller named it."""
        return _label(self.name)

    @property
    def queue(self) -> str:
        """The queue it waits in."""
        return GPU


class FacesTask(BaseModel):
    """Look at the faces of each picture."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["faces"] = "faces"
    """Always said: it tells tasks apart."""
    name: str = Field(description=f"How: {', '.join(FACES)}.")
    options: SerializeAsAny[Options] = Field(
        default_factory=Options, description=f"Those of the preset `{FACES_PREFIX}` and this name."
    )

    @property
    def word(self) -> str:
        """The word for it in lists: the preset."""
        return f"{FACES_PREFIX}{self.name}"

    @property
    def label(self) -> str:
        """The word to count it by."""
        return self.word

    @model_validator(mode="before")
    @classmethod
    def _typed_options(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        known = FACES.get(str(data.get("name")))
        if known is None:
            raise ValueError(f"unknown name {data.get('name')!r}; known: {', '.join(FACES)}")
        options = data.get("options", {})
        return {**data, "options": options if isinstance(options, known) else known.model_validate(options)}

    @property
    def queue(self) -> str:
        """The queue it waits in."""
        return GPU


Task: TypeAlias = Annotated[PipelineTask | FacesTask, Field(discriminator="kind")]
"""What a job does."""


class UnknownTask(BaseModel):
    """What a job was sent to do, when another version of Facecraft wrote it down and this one cannot read it."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["unknown"] = "unknown"
    name: str
    queue: str

    @property
    def label(self) -> str:
        """The word to count it by."""
        return _label(self.name)


TASK: TypeAdapter[PipelineTask | FacesTask] = TypeAdapter(Task)
"""Reads and writes the stored form of a task."""


def _label(name: str) -> str:
    return name if name in PRESETS or name == DETECT else UNNAMED
