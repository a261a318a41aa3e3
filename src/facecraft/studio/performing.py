"""How a studio does the tasks of jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from facecraft.errors import InvalidOptionError, PipelineError
from facecraft.jobs.job import PICTURE
from facecraft.jobs.performing import REPORT, Product
from facecraft.jobs.tasks import FacesTask, PipelineTask
from facecraft.pipelines.recognition import CompareOptions, DescribeOptions, EmbedOptions
from facecraft.pipelines.stage import Watch
from facecraft.studio.result import Result
from facecraft.studio.studio import Studio

SECOND = "second"
"""The role of the picture that the first is compared with."""


def products_of(result: Result) -> tuple[Product, ...]:
    """Return the files of ``result``, and its report."""
    files = [Product(f"result{each.format.suffix}", each.format.media_type, each.data) for each in result.outputs]
    return (*files, _report(result.report))


def _report(report: BaseModel) -> Product:
    return Product(REPORT, "application/json", report.model_dump_json().encode())


@dataclass(frozen=True, slots=True)
class StudioPerformer:
    """Does tasks with a :class:`Studio`; a :class:`facecraft.jobs.performing.Performer`."""

    studio: Studio

    def __call__(
        self, task: PipelineTask | FacesTask, pictures: Mapping[str, bytes], *, name: str | None, watch: Watch
    ) -> tuple[Product, ...]:
        """Return the files and the report. Raises what the studio raises, InvalidOptionError without a picture."""
        if PICTURE not in pictures:
            raise InvalidOptionError("The job has no picture.")
        match task:
            case PipelineTask():
                return self._pipeline(task, pictures, name, watch)
            case FacesTask():
                return (_report(self._faces(task, pictures, name, watch)),)

    def _pipeline(
        self, task: PipelineTask, pictures: Mapping[str, bytes], name: str | None, watch: Watch
    ) -> tuple[Product, ...]:
        studio = self.studio
        references = {role: studio.read(data) for role, data in pictures.items() if role != PICTURE}
        return products_of(
            studio.run(
                task.pipeline,
                pictures[PICTURE],
                references=references,
                name=name,
                watch=watch,
                write=task.write,
            )
        )

    def _faces(self, task: FacesTask, pictures: Mapping[str, bytes], name: str | None, watch: Watch) -> BaseModel:
        studio, picture, options = self.studio, pictures[PICTURE], task.options
        match options:
            case CompareOptions():
                if SECOND not in pictures:
                    raise InvalidOptionError("A comparison needs a second picture.")
                return studio.compare(picture, pictures[SECOND], options, names=(name, None), cancel=watch.cancel)
            case EmbedOptions():
                return studio.embed(picture, options, name=name, cancel=watch.cancel)
            case DescribeOptions():
                return studio.attributes(picture, options, name=name, cancel=watch.cancel)
        raise PipelineError(f"There is no way to do {task.name!r}.")
