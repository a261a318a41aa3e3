"""The parts of a studio: the folder of models, and what lies over the database and is opened with its first use."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from threading import RLock
from typing import TYPE_CHECKING

from facecraft.catalog.catalog import Catalog
from facecraft.catalog.store import ModelStore
from facecraft.db.opening import open_database
from facecraft.galleries.opening import open_galleries
from facecraft.imaging.image import Image
from facecraft.jobs.job import Job
from facecraft.jobs.opening import Jobs, open_jobs
from facecraft.models.hub import ModelHub
from facecraft.settings import Settings
from facecraft.storage.opening import open_store as open_blob_store
from facecraft.studio.result import Picture
from facecraft.telemetry.tally import Tally

if TYPE_CHECKING:
    from facecraft.db.database import Database
    from facecraft.galleries.pictures import PictureGalleries


def open_store(settings: Settings) -> ModelStore:
    """Open the folder of models that ``settings`` name; needs no inference runtime."""
    return ModelStore(
        Catalog.load(),
        settings.models_dir,
        offline=settings.offline,
        policy=settings.license_policy,
        places={
            model_id: path
            for model_id, path in (("dlib_68", settings.predictor_path), ("ff_codeformer", settings.codeformer_path))
            if path is not None
        },
    )


class Keeping:
    """The database of a studio, its galleries and its jobs. Safe to use from several threads.

    ``read`` decodes a picture as callers have it; jobs that end are counted in ``tally``. All three properties raise
    ConfigurationError (hint: ``facecraft migrate``), StorageError and RuntimeMissingError with their first use.
    """

    def __init__(self, settings: Settings, hub: ModelHub, read: Callable[[Picture], Image], tally: Tally) -> None:
        self._settings = settings
        self._hub = hub
        self._read = read
        self._tally = tally
        self._database: Database | None = None
        self._galleries: PictureGalleries[Picture] | None = None
        self._jobs: Jobs | None = None
        self._listeners: list[Callable[[Job], object]] = []
        self._opening = RLock()

    @property
    def database(self) -> Database:
        """The database; on SQLite its tables are brought to this version when it is opened."""
        with self._opening:
            if self._database is None:
                self._database = open_database(self._settings.database, migrate=self._settings.migrates)
            return self._database

    @property
    def galleries(self) -> PictureGalleries[Picture]:
        """People enrolled with their faces, and the search among them."""
        with self._opening:
            if self._galleries is None:
                self._galleries = open_galleries(self.database, self._settings.crops_dir, self._hub, self._read)
            return self._galleries

    @property
    def jobs(self) -> Jobs:
        """Work that outlives a request, with its files."""
        with self._opening:
            if self._jobs is None:
                settings = self._settings
                hours = settings.cleanup_age_hours
                store = open_blob_store(settings, settings.output_dir)
                retention = timedelta(hours=hours) if hours else None
                quota = settings.quota_bytes
                self._jobs = open_jobs(
                    self.database, store, settings, retention=retention, quota_bytes=quota, ended=self._ended
                )
            return self._jobs

    def when_a_job_ends(self, call: Callable[[Job], object]) -> Callable[[], None]:
        """Do ``call`` with each job that ends here, from any thread. Return what undoes this wish."""
        self._listeners.append(call)
        return lambda: self._listeners.remove(call)

    def close(self) -> None:
        """Close the database, if it was opened."""
        if self._database is not None:
            self._database.close()

    def _ended(self, job: Job) -> None:
        """Count a job that has ended, and tell whoever wants to know."""
        self._tally.ended(job.task.label, job.state.value)
        for call in tuple(self._listeners):
            call(job)
