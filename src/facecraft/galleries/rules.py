"""What may be enrolled: the bounds of names, details, crops and vectors."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facecraft.errors import EmbeddingMismatchError, InvalidOptionError
from facecraft.galleries.records import Details, NewFace, Vector

MAX_NAME = 300
"""Most characters of a name."""
MAX_SOURCE = 500
"""Most characters of a source note."""
MAX_DETAILS_BYTES = 4096
"""Most bytes of a person's details as JSON."""
MAX_CROP_BYTES = 2 * 1024 * 1024
"""Most bytes of a crop."""
MAX_DIMENSION = 4096
"""Longest vector; today's face networks have 128 to 512 numbers."""
MAX_FACES_PER_CALL = 10_000
"""Most faces that are enrolled in one transaction."""
MAX_TOP_K = 1000
"""Most people that a search returns for one probe."""
MAX_PROBES = 256
"""Most probes of one search."""


def check_name(name: str) -> str:
    """Return ``name`` without blanks around it. Any script and any sign may stand in it, except control characters.

    Raises InvalidOptionError.
    """
    return _line(name, "The name", MAX_NAME)


def check_source(source: str | None) -> str | None:
    """Return the note about where a face came from. Raises InvalidOptionError."""
    return None if source is None else _line(source, "The source", MAX_SOURCE)


def check_model_id(model_id: str) -> str:
    """Return the id of a model as it is in the catalogue. Raises InvalidOptionError."""
    return _line(model_id, "The model", 100)


def _line(text: str, what: str, longest: int) -> str:
    kept = text.strip()
    if not kept:
        raise InvalidOptionError(f"{what} is empty.")
    if len(kept) > longest:
        raise InvalidOptionError(f"{what} is longer than {longest} characters.")
    # Cc: control characters, which Postgres partly refuses; Cs: half of a surrogate pair, which is no text.
    if any(unicodedata.category(sign) in ("Cc", "Cs") for sign in kept):
        raise InvalidOptionError(f"{what} holds control characters.")
    return kept


def check_details(details: Details) -> Details:
    """Return ``details`` when they are a small JSON object. Raises InvalidOptionError."""
    try:
        text = json.dumps(dict(details), allow_nan=False, ensure_ascii=False)
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidOptionError("The details are not a JSON object.", detail=str(error)) from error
    if size > MAX_DETAILS_BYTES:
        raise InvalidOptionError(f"The details are larger than {MAX_DETAILS_BYTES} bytes.")
    if "\\u0000" in text:
        raise InvalidOptionError("The details hold a null character.")
    parsed: Details = json.loads(text)
    return parsed


def check_faces(faces: Sequence[NewFace]) -> NDArray[np.float32]:
    """Return the vectors of ``faces`` as N×D float32 of unit length (0×0 for none).

    Raises InvalidOptionError, and EmbeddingMismatchError when their lengths differ.
    """
    if len(faces) > MAX_FACES_PER_CALL:
        raise InvalidOptionError(f"At most {MAX_FACES_PER_CALL} faces can be enrolled at once.")
    if any(face.crop is not None and not 0 < len(face.crop) <= MAX_CROP_BYTES for face in faces):
        raise InvalidOptionError(f"A crop must have between 1 and {MAX_CROP_BYTES} bytes.")
    if not faces:
        return np.empty((0, 0), np.float32)
    vectors = [np.asarray(face.vector) for face in faces]
    if any(vector.ndim != 1 for vector in vectors):
        raise InvalidOptionError("An embedding is one row of numbers.")
    if len({vector.size for vector in vectors}) > 1:
        raise EmbeddingMismatchError("The embeddings have different lengths.")
    return unit(np.stack(vectors))


def check_probes(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probes as N×D float32 of unit length; one vector may be given alone. Raises InvalidOptionError."""
    probes = np.atleast_2d(np.asarray(vectors))
    if probes.ndim != 2 or not 1 <= len(probes) <= MAX_PROBES:
        raise InvalidOptionError(f"Give between 1 and {MAX_PROBES} embeddings to search for.")
    return unit(probes)


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ``rows`` (N×D) scaled to unit length. Raises InvalidOptionError for rows without a direction."""
    if not 1 <= rows.shape[1] <= MAX_DIMENSION:
        raise InvalidOptionError(f"An embedding has between 1 and {MAX_DIMENSION} numbers.")
    if rows.dtype.kind not in "fiu":
        raise InvalidOptionError("An embedding is a row of numbers.")
    exact = rows.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.sqrt(np.einsum("ij,ij->i", exact, exact))
    if not np.isfinite(lengths).all() or not (lengths > 1e-12).all():
        raise InvalidOptionError("An embedding is zero or not finite.")
    return np.ascontiguousarray(exact / lengths[:, None], np.float32)


def to_bytes(vector: Vector) -> bytes:
    """Return a vector as it is kept: little-endian float32."""
    return vector.astype("<f4", copy=False).tobytes()


def from_bytes(rows: Sequence[bytes], dimension: int) -> NDArray[np.float32]:
    """Return kept vectors as N×D float32, read-only."""
    return np.frombuffer(b"".join(rows), "<f4").reshape(len(rows), dimension).astype(np.float32, copy=False)
