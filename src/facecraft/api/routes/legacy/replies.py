"""What the endpoints of Facecraft 1.0 answer, field by field."""

from __future__ import annotations

from pydantic import BaseModel


class Position(BaseModel):
    """A box in pixels of the input."""

    x: int
    y: int
    width: int
    height: int


class OutputSize(BaseModel):
    """The size of the portrait in pixels."""

    width: int
    height: int


class ProcessResult(BaseModel):
    """What was found and made."""

    face_detected: bool
    face_count: int
    """Every face in the picture, not only the one that was used."""
    face_position: Position
    output_size: OutputSize
    file_size_bytes: int
    """Of the PNG with an oval, of the JPEG otherwise."""


class Links(BaseModel):
    """Where the files of one picture are."""

    download_url: str | None = None
    png_url: str | None = None
    jpg_url: str | None = None
    png_base64: str | None = None
    jpg_base64: str | None = None
    error: str | None = None
    error_message: str | None = None


class ProcessReply(Links):
    """One processed picture."""

    success: bool
    job_id: str
    processing_time_ms: int
    result: ProcessResult | None = None


class BatchItem(Links):
    """One picture of a batch."""

    filename: str
    success: bool
    job_id: str | None = None
    base64_omitted: bool = False
    """Base64 was asked for and the files of this picture did not fit any more: fetch them by their links."""


class BatchReply(BaseModel):
    """A processed batch. ``job_id`` deletes all of it."""

    job_id: str
    total: int
    successful: int
    failed: int
    processing_time_ms: int
    results: list[BatchItem]


def without_files(item: BatchItem) -> BatchItem:
    """Return what is said of a picture a second time: its files are fetched by their links then."""
    omitted = item.base64_omitted or item.png_base64 is not None
    return item.model_copy(update={"png_base64": None, "jpg_base64": None, "base64_omitted": omitted})
