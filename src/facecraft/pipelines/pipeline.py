"""A pipeline is data: a version, steps and an output encoding. It is stored, sent and run, never subclassed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, model_validator

from facecraft.errors import PipelineError
from facecraft.imaging import compositing
from facecraft.imaging.image import Image
from facecraft.models.hub import ModelHub
from facecraft.options import Options
from facecraft.pipelines.encode import EncodeOptions
from facecraft.pipelines.stage import AnyStage, Context, Watch
from facecraft.pipelines.stages import BUILTIN
from facecraft.progress import ProgressEvent


class Step(BaseModel):
    """One step of a pipeline: which stage, with which options."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    options: SerializeAsAny[Options] = Field(default_factory=Options)

    @model_validator(mode="before")
    @classmethod
    def _typed_options(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        known = BUILTIN.get(str(data.get("stage")))
        if known is None:
            raise ValueError(f"unknown stage {data.get('stage')!r}; known: {', '.join(BUILTIN)}")
        options = data.get("options", {})
        if not isinstance(options, known.options):
            options = known.options.model_validate(options)
        return {**data, "options": options}

    @property
    def definition(self) -> AnyStage:
        """The stage this step runs."""
        return BUILTIN[self.stage]


class Pipeline(BaseModel):
    """Steps in the order in which they run, and how the result is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    """Version of the stored form. A reader refuses versions it does not know."""
    steps: Annotated[tuple[Step, ...], Field(max_length=32)] = ()
    output: EncodeOptions = Field(default_factory=EncodeOptions)

    @model_validator(mode="after")
    def _stages_once(self) -> Self:
        names = [step.stage for step in self.steps]
        if len(set(names)) != len(names):
            raise ValueError("a stage stands at most once in a pipeline")
        return self

    @classmethod
    def of(cls, output: EncodeOptions | None = None, /, **steps: Options) -> Pipeline:
        """Build a pipeline from options by stage name, in the order given.

        Raises PipelineError when a stage is unknown or gets options of another stage.
        """
        for name, options in steps.items():
            if name not in BUILTIN:
                raise PipelineError(f"There is no stage named {name!r}.")
            if not isinstance(options, BUILTIN[name].options):
                raise PipelineError(f"The stage {name!r} takes {BUILTIN[name].options.__name__}.")
        return cls(
            steps=tuple(Step(stage=name, options=options) for name, options in steps.items()),
            output=output or EncodeOptions(),
        )


@dataclass(frozen=True, slots=True)
class StageTime:
    """How long one stage took."""

    stage: str
    milliseconds: float
    skipped: str | None = None
    """Why the stage did nothing, when it did nothing."""


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run: the last context and how long each stage took."""

    context: Context
    times: tuple[StageTime, ...]


def _share(watch: Watch, stage: str, start: float, width: float) -> Watch:
    """Return a watch that a stage tells its own progress from 0 to 1."""

    def hear(event: ProgressEvent) -> None:
        watch.progress(ProgressEvent(stage, start + width * event.fraction, event.message))

    return Watch(hear, watch.cancel)


def run(
    pipeline: Pipeline,
    image: Image,
    models: ModelHub,
    *,
    references: Mapping[str, Image] | None = None,
    watch: Watch | None = None,
) -> Run:
    """Run the steps one after the other; between steps a wish to stop is honoured and progress told.

    Raises whatever a stage raises, and CancelledError.
    """
    watch = watch or Watch()
    # What the sender made invisible is neither looked at nor shown.
    original = Image(compositing.without_hidden(image.pixels), image.source) if image.has_alpha else image
    context = Context(original=original, coverage=original.alpha, references=references or {}, watch=watch)
    total = sum(step.definition.weight for step in pipeline.steps) or 1.0
    done = 0.0
    times: list[StageTime] = []
    for step in pipeline.steps:
        watch.cancel.check()
        watch.progress(ProgressEvent(step.stage, done / total))
        start = time.perf_counter()
        context = replace(context, watch=_share(watch, step.stage, done / total, step.definition.weight / total))
        context = step.definition.run(context, step.options, models)
        spent = (time.perf_counter() - start) * 1000
        times.append(StageTime(step.stage, spent, context.skipped.get(step.stage)))
        done += step.definition.weight
    watch.cancel.check()
    watch.progress(ProgressEvent("encode", 1.0))
    return Run(replace(context, watch=Watch()), tuple(times))
