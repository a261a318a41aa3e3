"""The search for people in a gallery: exact, over every face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecraft.db.database import Database
from facecraft.errors import GalleryNotFoundError
from facecraft.galleries import rows
from facecraft.galleries.matrices import Matrices, stored_vectors
from facecraft.galleries.matrix import Found, best_people
from facecraft.galleries.records import Match, Person

_PROBES_AT_ONCE = 16  # their similarities with 100,000 faces take 6 MB
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for."""

    probes: NDArray[np.float32]
    """P×D unit vectors."""
    model_id: str
    top_k: int
    threshold: float | None


class Search:
    """Finds the people whose faces are most like a probe."""

    def __init__(self, database: Database, matrices: Matrices) -> None:
        self._database = database
        self._matrices = matrices

    def people(self, gallery_id: str, owner: str | None, query: Query) -> tuple[tuple[Match, ...], ...]:
        """Return the best matches of each probe.

        Raises GalleryNotFoundError, EmbeddingMismatchError, StorageError.
        """
        gallery_id = rows.known(gallery_id, GalleryNotFoundError)
        found: list[Found] = []
        winners: dict[int, tuple[str, Person]] = {}
        for _ in range(_ATTEMPTS):
            found = self._found(gallery_id, owner, query)
            numbers = {int(face) for one in found for face in one.faces}
            if not numbers:
                break
            with self._database.read() as connection:
                winners = rows.select_winners(connection, gallery_id, owner, numbers)
            if len(winners) == len(numbers):
                break
            # Somebody was deleted after the similarities were computed: the next best takes the place; or the
            # gallery was: then it is not found.
        return tuple(
            tuple(
                Match(winners[face][1], winners[face][0], max(-1.0, min(1.0, float(similarity))))
                for face, similarity in zip(one.faces.tolist(), one.similarities, strict=True)
                if face in winners
            )
            for one in found
        )

    def _found(self, gallery_id: str, owner: str | None, query: Query) -> list[Found]:
        with self._database.read() as connection:
            gallery = rows.require_gallery(connection, gallery_id, owner)
            rows.check_match(gallery, query.model_id, query.probes.shape[1])
            if gallery.dimension is None:
                nobody = np.empty(0, np.int64)
                return [Found(nobody, nobody, np.empty(0, np.float32)) for _ in query.probes]
            held = self._matrices.holds(connection, gallery.id, gallery.dimension)
        if not held:
            return self._found_in_rows(gallery.id, gallery.dimension, query)
        found: list[Found] = []
        with self._matrices.current(gallery.id, gallery.revision) as matrix:
            for start in range(0, len(query.probes), _PROBES_AT_ONCE):
                scores = matrix.similarities(query.probes[start : start + _PROBES_AT_ONCE])
                found += [best_people(one, matrix.faces, matrix.people, query.top_k, query.threshold) for one in scores]
        return found

    def _found_in_rows(self, gallery_id: str, dimension: int, query: Query) -> list[Found]:
        """Search a gallery that is too large for the memory: slower, and as exact."""
        numbers, people, scores = [np.empty(0, np.int64)], [np.empty(0, np.int64)], []
        scores.append(np.empty((len(query.probes), 0), np.float32))
        with self._database.read() as connection:
            for more_numbers, more_people, vectors in stored_vectors(connection, gallery_id, dimension):
                numbers.append(more_numbers)
                people.append(more_people)
                scores.append(query.probes @ vectors.T)
        faces, owners = np.concatenate(numbers), np.concatenate(people)
        return [best_people(one, faces, owners, query.top_k, query.threshold) for one in np.concatenate(scores, axis=1)]
