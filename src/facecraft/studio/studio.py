"""`Studio`: opens the parts of Facecraft from the settings, runs pipelines through them and closes them again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from facecraft.catalog.store import ModelStore
from facecraft.errors import ConsentRequiredError, InvalidOptionError, NoFaceFoundError, SwapDisabledError
from facecraft.faces.selection import FacePolicy
from facecraft.imaging import codecs
from facecraft.imaging.image import Image
from facecraft.inference.devices import Resolution, resolve
from facecraft.inference.pool import SessionPool
from facecraft.jobs.opening import Jobs
from facecraft.models.hub import ModelHub
from facecraft.pipelines import recognition
from facecraft.pipelines.encode import compose, encode
from facecraft.pipelines.face_reports import CompareReport, EmbeddingsReport, FacesReport, compared
from facecraft.pipelines.pipeline import Pipeline, StageTime
from facecraft.pipelines.pipeline import run as run_pipeline
from facecraft.pipelines.presets import (
    BACKGROUND_IMAGE,
    SWAP_REFERENCE,
    SWAP_SOURCE,
    CutoutPresetOptions,
    PortraitOptions,
    Preset,
    RestorePresetOptions,
    SwapPresetOptions,
    UpscalePresetOptions,
)
from facecraft.pipelines.recognition import (
    AttributesOptions,
    CompareOptions,
    DescribeOptions,
    EmbedOptions,
    FaceEmbeddings,
)
from facecraft.pipelines.report import Report
from facecraft.pipelines.stage import Watch
from facecraft.pipelines.stages.detect import DetectOptions
from facecraft.pipelines.stages.swap import SwapOptions
from facecraft.progress import CancelToken, Progress, silent
from facecraft.settings import Settings
from facecraft.studio.opening import Keeping, open_store
from facecraft.studio.result import Picture, Result
from facecraft.telemetry.tally import Tally

if TYPE_CHECKING:
    from facecraft.db.database import Database
    from facecraft.galleries.pictures import PictureGalleries
    from facecraft.jobs.job import Job


class Studio:
    """One Facecraft: settings, installed models, loaded networks. Safe to use from several threads."""

    def __init__(
        self,
        settings: Settings,
        store: ModelStore,
        pool: SessionPool,
        device: Resolution,
        *,
        threads: int | None = None,
        tally: Tally | None = None,
    ) -> None:
        self.settings = settings
        self.store = store
        self.pool = pool
        self.device = device
        self.tally = tally or Tally()
        self.hub = ModelHub(store.catalog, store, pool, device, threads=threads)
        self._keeping = Keeping(settings, self.hub, self.read, self.tally)

    @classmethod
    def open(cls, settings: Settings | None = None, *, threads: int | None = None) -> Self:
        """Open the parts. Networks are loaded when they are first needed.

        ``threads`` is how many threads one network uses on the CPU (None: the cores of this process); whoever works
        on many pictures at once does best with 1.

        Raises ConfigurationError, and ProviderUnavailableError when the device asked for is not there.
        """
        settings = settings or Settings.load()
        store = open_store(settings)
        tally = Tally()
        pool = SessionPool(
            budget_bytes=settings.model_memory_mb * 1024 * 1024,
            idle_seconds=settings.model_idle_seconds,
            observe=tally.heard,
        )
        return cls(settings, store, pool, resolve(settings.device), threads=threads, tally=tally)

    def close(self) -> None:
        """Close every network, and the database."""
        self.pool.close()
        self._keeping.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def database(self) -> Database:
        """The database, opened with the first use; on SQLite its tables are brought to this version then.

        Raises ConfigurationError (hint: ``facecraft migrate``), StorageError, RuntimeMissingError.
        """
        return self._keeping.database

    @property
    def galleries(self) -> PictureGalleries[Picture]:
        """People enrolled with their faces, and the search among them. The database is opened with the first use.

        Raises ConfigurationError (hint: ``facecraft migrate``), StorageError, RuntimeMissingError.
        """
        return self._keeping.galleries

    @property
    def jobs(self) -> Jobs:
        """Work that outlives a request, with its files. The database is opened with the first use.

        Raises ConfigurationError (hint: ``facecraft migrate``), StorageError, RuntimeMissingError.
        """
        return self._keeping.jobs

    def read(self, picture: Picture) -> Image:
        """Return ``picture`` decoded, upright and in sRGB, within the limits of the settings.

        Raises InputError for what is not a picture, StorageError for a path that cannot be read.
        """
        match picture:
            case Image():
                return picture
            case bytes():
                return codecs.decode(picture, self.settings.file_limits)
            case str() | Path():
                return codecs.decode_file(Path(picture), self.settings.file_limits)
        return codecs.from_array(picture)

    def portrait(
        self,
        picture: Picture,
        options: PortraitOptions | None = None,
        *,
        background: Picture | None = None,
        progress: Progress = silent,
        cancel: CancelToken | None = None,
    ) -> Result:
        """Turn a photo into a finished portrait. Raises NoFaceFoundError among others."""
        return self.make(
            picture, options or self.settings.portrait, background=background, progress=progress, cancel=cancel
        )

    def cutout(
        self,
        picture: Picture,
        options: CutoutPresetOptions | None = None,
        *,
        background: Picture | None = None,
        progress: Progress = silent,
        cancel: CancelToken | None = None,
    ) -> Result:
        """Cut the people out of a photo, at its own size."""
        return self.make(
            picture, options or CutoutPresetOptions(), background=background, progress=progress, cancel=cancel
        )

    def restore(self, picture: Picture, options: RestorePresetOptions | None = None) -> Result:
        """Restore the faces of a photo. Raises ModelNotInstalledError without a model for it."""
        return self.make(picture, options or RestorePresetOptions())

    def upscale(self, picture: Picture, options: UpscalePresetOptions | None = None) -> Result:
        """Enlarge a photo."""
        return self.make(picture, options or UpscalePresetOptions())

    def swap(
        self, source: Picture, target: Picture, options: SwapPresetOptions, *, reference: Picture | None = None
    ) -> Result:
        """Put the face of ``source`` onto faces of ``target``; ``options`` carry the consent of who is shown.

        With a ``reference`` only the face of ``target`` that is most like the one it shows is replaced.

        Raises ConsentRequiredError, SwapDisabledError, NoFaceFoundError and ReferenceNotFoundError among others.
        """
        pictures = {SWAP_SOURCE.field: source}
        if reference is not None:
            pictures[SWAP_REFERENCE.field] = reference
        return self.make(target, options, companions=pictures)

    def detect(self, picture: Picture, options: DetectOptions | None = None, *, name: str | None = None) -> Report:
        """Find every face; the report has no outputs. A picture without faces is not an error here."""
        options = options or DetectOptions(faces=FacePolicy.ALL)
        return self.run(Pipeline.of(detect=options), picture, name=name, write=False).report

    def attributes(
        self,
        picture: Picture,
        options: DescribeOptions | None = None,
        *,
        name: str | None = None,
        cancel: CancelToken | None = None,
    ) -> FacesReport:
        """Find every face and guess what the options ask for: apparent age and sex unless they say otherwise."""
        start = time.perf_counter()
        image = self.read(picture)
        done = recognition.describe(image, options or AttributesOptions(), self.hub, cancel=cancel)
        spent = self._counted("attributes", start)
        return FacesReport.of(image, name, done, str(self.device.device), spent)

    def embed(
        self,
        picture: Picture,
        options: EmbedOptions | None = None,
        *,
        name: str | None = None,
        cancel: CancelToken | None = None,
    ) -> EmbeddingsReport:
        """Turn every face into a vector of length 1. Raises NoFaceFoundError."""
        start = time.perf_counter()
        image = self.read(picture)
        done = recognition.embed_faces(image, options or EmbedOptions(), self.hub, cancel=cancel)
        spent = self._counted("embed", start)
        return EmbeddingsReport.of(image, name, done, str(self.device.device), spent)

    def compare(
        self,
        first: Picture,
        second: Picture,
        options: CompareOptions | None = None,
        *,
        names: tuple[str | None, str | None] = (None, None),
        cancel: CancelToken | None = None,
    ) -> CompareReport:
        """Tell whether two pictures show the same person. Raises NoFaceFoundError, naming the picture."""
        start = time.perf_counter()
        options = options or CompareOptions()
        known: list[FaceEmbeddings] = []
        images = [self.read(first), self.read(second)]
        for image, which in zip(images, ("first", "second"), strict=True):
            try:
                known.append(recognition.embed_faces(image, options, self.hub, cancel=cancel))
            except NoFaceFoundError as error:
                raise NoFaceFoundError(f"No face could be detected in the {which} picture.") from error
        done = recognition.compare(known[0], known[1], options.threshold)
        pictures = (compared(images[0], names[0], known[0]), compared(images[1], names[1], known[1]))
        spent = self._counted("compare", start)
        return CompareReport.of(pictures, known[0].found.models, done, str(self.device.device), spent)

    def make(
        self,
        picture: Picture,
        options: Preset,
        *,
        background: Picture | None = None,
        companions: Mapping[str, Picture] | None = None,
        name: str | None = None,
        progress: Progress = silent,
        cancel: CancelToken | None = None,
    ) -> Result:
        """Run the preset that ``options`` stand for; ``companions`` are its further pictures by field name.

        Raises InvalidOptionError for a further picture that the preset does not take.
        """
        references = {} if background is None else {BACKGROUND_IMAGE.role: self.read(background)}
        roles = {companion.field: companion.role for companion in options.companions}
        for field_name, further in (companions or {}).items():
            if field_name not in roles:
                raise InvalidOptionError(f"{options.name} takes no picture named {field_name}.")
            references[roles[field_name]] = self.read(further)
        watch = Watch(progress, cancel or CancelToken())
        return self.run(options.pipeline(), picture, references=references, name=name, watch=watch)

    def run(
        self,
        pipeline: Pipeline,
        picture: Picture,
        *,
        references: Mapping[str, Image] | None = None,
        name: str | None = None,
        watch: Watch | None = None,
        write: bool = True,
    ) -> Result:
        """Run ``pipeline`` on ``picture`` and encode the result; with ``write=False`` nothing is encoded.

        Raises SwapDisabledError and ConsentRequiredError before anything is done.
        """
        self.permit(pipeline)
        start = time.perf_counter()
        image = self.read(picture)
        decoded = time.perf_counter()
        done = run_pipeline(pipeline, image, self.hub, references=references, watch=watch)
        before = time.perf_counter()
        composition = compose(done.context)
        outputs = encode(composition, pipeline.output) if write else ()
        end = time.perf_counter()
        times = [StageTime("decode", (decoded - start) * 1000), *done.times]
        if write:
            times.append(StageTime("encode", (end - before) * 1000))
        self.tally.ran(times)
        report = Report.of(
            done.context, times, outputs, name=name, device=str(self.device.device), milliseconds=(end - start) * 1000
        )
        return Result(outputs, report, composition)

    def _counted(self, work: str, start: float) -> float:
        """Count ``work`` that began at ``start`` and return how many milliseconds it took."""
        spent = (time.perf_counter() - start) * 1000
        self.tally.ran([StageTime(work, spent)])
        return spent

    def when_a_job_ends(self, call: Callable[[Job], object]) -> Callable[[], None]:
        """Do ``call`` with each job that ends here, from any thread; it must be quick. Return what undoes this wish.

        Jobs that end in other processes are not heard of.
        """
        return self._keeping.when_a_job_ends(call)

    def permit(self, pipeline: Pipeline) -> None:
        """Make sure that ``pipeline`` may be run here. Raises SwapDisabledError and ConsentRequiredError."""
        for step in pipeline.steps:
            if isinstance(step.options, SwapOptions):
                if not self.settings.swap_enabled:
                    raise SwapDisabledError
                if not step.options.consent:
                    raise ConsentRequiredError
