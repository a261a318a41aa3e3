"""`PictureGalleries`: galleries that take pictures where :class:`Galleries` takes vectors."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from facecraft.db.database import Database
from facecraft.errors import InputError, InvalidOptionError
from facecraft.faces.alignment import FFHQ_512, align
from facecraft.faces.face import Face
from facecraft.galleries import rules
from facecraft.galleries.adding import Also, unsaid
from facecraft.galleries.choices import EnrollOptions, MatchOptions, SearchOptions
from facecraft.galleries.galleries import Galleries
from facecraft.galleries.records import Details, EnrolledFace, Gallery, Match, NewFace, Person
from facecraft.galleries.reports import ProbeRecord, SearchReport
from facecraft.imaging import codecs
from facecraft.imaging.image import Image
from facecraft.models.hub import ModelHub
from facecraft.pipelines.recognition import EmbedOptions, embed_faces
from facecraft.pipelines.report import FaceRecord, SourceRecord
from facecraft.pipelines.stages.detect import DetectOptions
from facecraft.progress import CancelToken
from facecraft.storage import BlobStore

PictureT = TypeVar("PictureT")

CROP_SIDE = 256
"""Side of the crop that is kept of a face, in pixels: the head with its hair, upright."""
_CROP_QUALITY = 90
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class _Limit:
    threshold: float | None
    false_match_rate: float | None


class PictureGalleries(Galleries, Generic[PictureT]):
    """Every gallery of one database, with the networks that turn pictures into vectors.

    The methods with pictures raise, beside what :class:`Galleries` raises, InputError for a picture that cannot be
    used and ModelNotInstalledError (with the command that helps) when the gallery's model is not here.
    """

    def __init__(
        self, database: Database, crops: BlobStore, *, hub: ModelHub, read: Callable[[PictureT], Image]
    ) -> None:
        super().__init__(database, crops)
        self._hub = hub
        self._read = read

    def create_for(
        self,
        name: str,
        model: str = "auto",
        *,
        owner: str | None = None,
        added: Callable[[Gallery], Also] = unsaid,
    ) -> Gallery:
        """Make an empty gallery for an installed model: a catalogue id, or ``auto`` for the best one."""
        name = rules.check_name(name)
        return self.create(name, self._hub.embedder(model).model_id, owner=owner, added=added)

    def enroll_pictures(
        self,
        gallery_id: str,
        name: str,
        pictures: Iterable[PictureT],
        options: EnrollOptions | None = None,
        *,
        names: Sequence[str | None] = (),
        details: Details | None = None,
        owner: str | None = None,
        cancel: CancelToken | None = None,
        added: Callable[[Person], Also] = unsaid,
    ) -> Person:
        """Enroll one person with the face that ``options`` choose in each picture; all pictures or none.

        ``names`` say where the pictures came from, in their order; errors name the picture with them.
        Raises NoFaceFoundError, AmbiguousFaceError, FaceIndexError.
        """
        gallery = self.get(gallery_id, owner=owner)
        name, details = rules.check_name(name), rules.check_details(details or {})
        faces = list(self._faces(gallery, pictures, options or EnrollOptions(), names, cancel or CancelToken()))
        return self.enroll(
            gallery.id, name, faces, model_id=gallery.model_id, details=details, owner=owner, added=added
        )

    def add_pictures(
        self,
        gallery_id: str,
        person_id: str,
        pictures: Iterable[PictureT],
        options: EnrollOptions | None = None,
        *,
        names: Sequence[str | None] = (),
        owner: str | None = None,
        cancel: CancelToken | None = None,
        added: Callable[[tuple[EnrolledFace, ...]], Also] = unsaid,
    ) -> tuple[EnrolledFace, ...]:
        """Add a face of each picture to a person, all or none. Raises PersonNotFoundError, and like enrolling."""
        gallery = self.get(gallery_id, owner=owner)
        person = self.person(gallery.id, person_id, owner=owner)
        faces = list(self._faces(gallery, pictures, options or EnrollOptions(), names, cancel or CancelToken()))
        return self.add_faces(gallery.id, person.id, faces, model_id=gallery.model_id, owner=owner, added=added)

    def search_picture(
        self,
        gallery_id: str,
        picture: PictureT,
        options: SearchOptions | None = None,
        *,
        name: str | None = None,
        owner: str | None = None,
        cancel: CancelToken | None = None,
    ) -> SearchReport:
        """Find the people whom the chosen faces of ``picture`` resemble. Raises NoFaceFoundError.

        The threshold is the one of the options, or the one that the model's authors state.
        """
        start = time.perf_counter()
        options = options or SearchOptions()
        gallery = self.get(gallery_id, owner=owner)
        image = self._read(picture)
        done = embed_faces(image, _with_model(options, gallery.model_id), self._hub, cancel=cancel)
        limit = _limit(options.threshold, done.threshold, done.false_match_rate)
        found = self.search(
            gallery.id,
            done.vectors,
            model_id=done.model_id,
            top_k=options.top_k,
            threshold=limit.threshold,
            owner=owner,
        )
        records = [
            FaceRecord.of(done.found.faces[index], index, done.found.size, chosen=True) for index in done.found.chosen
        ]
        return SearchReport(
            gallery_id=gallery.id,
            model=gallery.model_id,
            threshold=limit.threshold,
            false_match_rate=limit.false_match_rate,
            top_k=options.top_k,
            source=SourceRecord.of(image, name),
            probes=_probes(found, gallery.model_id, records),
            models=done.found.models,
            total_milliseconds=_since(start),
        )

    def search_vectors(
        self,
        gallery_id: str,
        vectors: NDArray[np.float64] | NDArray[np.float32],
        model_id: str,
        options: MatchOptions | None = None,
        *,
        owner: str | None = None,
    ) -> SearchReport:
        """Find the people whom N×D ``vectors`` of ``model_id`` resemble, with the threshold as in pictures.

        Raises EmbeddingMismatchError for vectors of another model than the gallery's, InvalidOptionError.
        """
        start = time.perf_counter()
        options = options or MatchOptions()
        gallery = self.get(gallery_id, owner=owner)
        limit = _limit(options.threshold, *self._hub.verdict(gallery.model_id))
        found = self.search(
            gallery.id,
            rules.unit(np.atleast_2d(np.asarray(vectors))),
            model_id=model_id,
            top_k=options.top_k,
            threshold=limit.threshold,
            owner=owner,
        )
        return SearchReport(
            gallery_id=gallery.id,
            model=gallery.model_id,
            threshold=limit.threshold,
            false_match_rate=limit.false_match_rate,
            top_k=options.top_k,
            source=None,
            probes=_probes(found, gallery.model_id, [None] * len(found)),
            models={},
            total_milliseconds=_since(start),
        )

    def _faces(
        self,
        gallery: Gallery,
        pictures: Iterable[PictureT],
        options: EnrollOptions,
        names: Sequence[str | None],
        cancel: CancelToken,
    ) -> Iterator[NewFace]:
        """Yield the chosen face of each picture; one picture is in memory at a time."""
        wanted = _with_model(options, gallery.model_id)
        for index, picture in enumerate(pictures):
            cancel.check()
            name = _note(names[index]) if index < len(names) else None
            try:
                image = self._read(picture)
                done = embed_faces(image, wanted, self._hub, cancel=cancel)
            except InputError as error:
                where = f"picture {index + 1}" + ("" if name is None else f" ({name[:_LONGEST_NAME]})")
                message = f"{error.message.rstrip('.')}: {where}."
                raise type(error)(message, hint=error.hint, detail=error.detail) from error
            (face,) = done.found.meant
            yield NewFace(done.vectors[0], _crop(image, face) if options.keep_crops else None, name)


def _with_model(options: DetectOptions, model_id: str) -> EmbedOptions:
    chosen = {name: getattr(options, name) for name in DetectOptions.model_fields}
    return EmbedOptions.model_validate({**chosen, "embedder": model_id})


def _limit(asked: float | None, stated: float | None, rate: float | None) -> _Limit:
    return _Limit(stated, rate) if asked is None else _Limit(asked, None)


def _probes(
    found: Sequence[Sequence[Match]], model_id: str, faces: Sequence[FaceRecord | None]
) -> tuple[ProbeRecord, ...]:
    return tuple(
        ProbeRecord.of(index, face, matches, model_id)
        for index, (face, matches) in enumerate(zip(faces, found, strict=True))
    )


def _crop(image: Image, face: Face) -> bytes:
    try:
        crop = align(image, face, FFHQ_512, CROP_SIDE)
    except ValueError as error:
        raise InvalidOptionError("The landmarks of the face coincide.") from error
    return codecs.encode_jpeg(crop.pixels, quality=_CROP_QUALITY)


def _note(name: str | None) -> str | None:
    """Return the last part of a file's name as a note: without folders and without what cannot be printed."""
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    kept = "".join(sign for sign in last if unicodedata.category(sign) not in ("Cc", "Cs")).strip()
    return kept[: rules.MAX_SOURCE].strip() or None


def _since(start: float) -> float:
    return round((time.perf_counter() - start) * 1000, 2)
