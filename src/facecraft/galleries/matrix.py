"""All vectors of a gallery in one block of memory, and the people whose vectors come closest to a probe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Scores = NDArray[np.float32]

_FEWEST = 1024
_FEW_PROBES = 8


@dataclass(frozen=True, slots=True)
class Found:
    """People by falling similarity; three arrays of one length K."""

    people: Numbers
    faces: Numbers
    """The face of each person that is most similar."""
    similarities: Scores


class VectorMatrix:
    """N×D float32 unit vectors, contiguous, with the numbers of their faces and people.

    Not safe for changes while others read: :class:`facecraft.galleries.matrices.Matrices` sees to that.
    """

    def __init__(self, dimension: int, capacity: int = 0) -> None:
        self._count = 0
        # np.empty: the system hands out the pages when they are first written, spare capacity costs no memory.
        self._vectors = np.empty((capacity, dimension), np.float32)
        self._faces = np.empty(capacity, np.int64)
        self._people = np.empty(capacity, np.int64)

    def __len__(self) -> int:
        return self._count

    @property
    def dimension(self) -> int:
        return int(self._vectors.shape[1])

    @property
    def nbytes(self) -> int:
        """Bytes of memory; spare capacity has never been written and takes none."""
        return row_bytes(self.dimension) * self._count

    @property
    def faces(self) -> Numbers:
        """N face numbers, in the order of the vectors."""
        return self._faces[: self._count]

    @property
    def people(self) -> Numbers:
        """N person numbers, in the order of the vectors."""
        return self._people[: self._count]

    def append(self, vectors: NDArray[np.float32], faces: Numbers, people: Numbers) -> None:
        """Add M rows: M×D unit vectors and their M face and person numbers."""
        start, end = self._count, self._count + len(vectors)
        if end > len(self._vectors):
            self._grow(max(end, 2 * len(self._vectors), _FEWEST))
        self._vectors[start:end] = vectors
        self._faces[start:end] = faces
        self._people[start:end] = people
        self._count = end

    def remove(self, faces: Numbers) -> None:
        """Remove the rows of these faces and overwrite them with zeros. Faces that are not here are ignored."""
        gone = np.isin(self.faces, faces)
        if not (removed := int(np.count_nonzero(gone))):
            return
        kept = self._count - removed
        # The holes in front are filled with the rows that remain behind, so only as many rows move as go.
        holes = np.flatnonzero(gone[:kept])
        movers = kept + np.flatnonzero(~gone[kept:])
        for rows in (self._vectors, self._faces, self._people):
            rows[holes] = rows[movers]
            rows[kept : self._count] = 0
        self._count = kept

    def similarities(self, probes: NDArray[np.float32]) -> Scores:
        """Return the cosines of P×D unit probes with every row, P×N."""
        rows = self._vectors[: self._count]
        # Row by row the rows are read once, at the speed of the memory and on one core: faster than OpenBLAS's
        # matrix-vector product on two, and it does not stall when a core is taken by somebody else. A product of
        # matrices packs the rows first, which pays from about nine probes on (measured at 100,000 × 512).
        if len(probes) <= _FEW_PROBES:
            return np.stack([np.vecdot(rows, probe) for probe in probes])
        return probes @ rows.T

    def _grow(self, capacity: int) -> None:
        vectors = np.empty((capacity, self.dimension), np.float32)
        faces, people = np.empty(capacity, np.int64), np.empty(capacity, np.int64)
        vectors[: self._count] = self._vectors[: self._count]
        faces[: self._count], people[: self._count] = self.faces, self.people
        self._vectors, self._faces, self._people = vectors, faces, people


def row_bytes(dimension: int) -> int:
    """Return how many bytes one vector takes, with the numbers of its face and person."""
    return 4 * dimension + 16


def best_people(scores: Scores, faces: Numbers, people: Numbers, top_k: int, threshold: float | None) -> Found:
    """Return the ``top_k`` people whose best face scores highest, each once; ties go to the face enrolled first.

    ``scores``, ``faces`` and ``people`` have N entries each. Faces below ``threshold`` are left out. The result is
    exact: as many of the best faces are looked at as it takes to see ``top_k`` different people.
    """
    if threshold is not None:
        above = np.flatnonzero(scores >= threshold)
        scores, faces, people = scores[above], faces[above], people[above]
    look = max(64, 4 * top_k)
    while True:
        if look < len(scores):
            # All that score like the last of the best are taken along: no tie is cut in two.
            least = np.partition(scores, len(scores) - look)[len(scores) - look]
            near = np.flatnonzero(scores >= least)
        else:
            near = np.arange(len(scores))
        near = near[np.lexsort((faces[near], -scores[near]))]
        _, first = np.unique(people[near], return_index=True)
        if len(first) >= top_k or len(near) == len(scores):
            chosen = near[np.sort(first)[:top_k]]
            return Found(people[chosen], faces[chosen], scores[chosen])
        look = 8 * len(near)
