"""Making pictures for one request: the upload read, the pipeline run in a worker, the attempt counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from starlette.datastructures import UploadFile
from starlette.responses import Response

from facecraft.api.callers.owners import OwnerOf
from facecraft.api.dependencies import Services, services_of
from facecraft.api.jobs.artifacts import Kept, link, record
from facecraft.api.requests.idempotency import Idempotent, IdempotentOf
from facecraft.api.requests.preferences import preference_of
from facecraft.api.requests.uploads import read_upload
from facecraft.api.workbench import Ticket
from facecraft.errors import FacecraftError, ModelNotInstalledError
from facecraft.jobs.tasks import Task
from facecraft.pipelines.pipeline import Pipeline
from facecraft.pipelines.stage import Watch
from facecraft.studio import Result
from facecraft.studio.performing import products_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Making:
    """Makes pictures for one request. Every method but :meth:`run` blocks: call it in a worker."""

    request: Request
    services: Services
    ticket: Ticket
    owner: str | None
    """To whom belongs what is kept."""
    idempotent: Idempotent

    @property
    def prefers_job(self) -> bool:
        """Whether the caller would rather have a job than wait."""
        return preference_of(self.request.headers).asynchronous

    async def run(self, work: Callable[[], T]) -> T:
        """Run ``work`` in a worker. Raises what it raises, DeadlineError and CancelledError."""
        return await self.services.bench.run(lambda: self._equipped(work), self.ticket)

    def _equipped(self, work: Callable[[], T]) -> T:
        """Do ``work``; where it lacks a model, let that be installed if the operator allows it."""
        try:
            return work()
        except ModelNotInstalledError as error:
            told = self.services.installs.instead(error)
            if told is error:
                raise
            raise told from error

    def make(
        self,
        pipeline: Pipeline,
        upload: UploadFile,
        *,
        references: Mapping[str, UploadFile | None] | None = None,
        write: bool = True,
    ) -> Result:
        """Run ``pipeline`` on ``upload``; ``references`` are further pictures by role. Raises what the engine raises."""
        studio = self.services.studio
        given = {role: file for role, file in (references or {}).items() if file is not None}

        def work() -> Result:
            return studio.run(
                pipeline,
                read_upload(upload),
                references={role: studio.read(read_upload(file)) for role, file in given.items()},
                name=upload.filename,
                watch=Watch(cancel=self.ticket.cancel),
                write=write,
            )

        return self.counted(work)

    def counted(self, work: Callable[[], T]) -> T:
        """Do ``work`` on one picture and count it, as a success or a failure. Raises what it raises."""
        start = time.perf_counter()
        statistics = self.services.statistics
        try:
            result = work()
        except FacecraftError:
            statistics.record(success=False)
            raise
        statistics.record(success=True, milliseconds=(time.perf_counter() - start) * 1000)
        return result

    def keep(self, job_id: str, task: Task, result: Result, *, name: str | None, reply: Response) -> None:
        """Keep the files of ``result`` to be fetched, as a job that is done; with an Idempotency-Key ``reply``, too.

        Links in ``reply`` stand for the files, which must not be in it. Raises StorageError, QuotaExceededError, and CancelledError when nobody waits.
        """
        self.ticket.cancel.check()
        blobs = self.services.studio.jobs.blobs
        files = blobs.save(self.owner, job_id, products_of(result), position=0, total=1)
        also = self.idempotent.keeping(reply)
        record(self.services, self.owner, job_id, task, [Kept(name, files)], also=also)

    def link(self, job_id: str, suffix: str, item: int = 0) -> str:
        """Return where a kept file is fetched. Does not block."""
        return link(self.request, job_id, suffix, item)


async def making_of(request: Request, owner: OwnerOf, idempotent: IdempotentOf) -> Making:
    """Return the maker for ``request``."""
    ticket: Ticket = request.state.ticket
    return Making(request, services_of(request), ticket, owner, idempotent)


MakingOf = Annotated[Making, Depends(making_of)]
