"""What a job needs of the engine: somebody who does a task on pictures, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from facecraft.jobs.tasks import FacesTask, PipelineTask
from facecraft.pipelines.stage import Watch

REPORT = "result.json"
"""The name of the report, which every item has."""


@dataclass(frozen=True, slots=True)
class Product:
    """One finished file."""

    name: str
    """Such as ``result.png``; the same for every item that ends well."""
    media_type: str
    data: bytes = field(repr=False)


class Performer(Protocol):
    """Does one task on the pictures of one item. Called from several threads at once."""

    def __call__(
        self, task: PipelineTask | FacesTask, pictures: Mapping[str, bytes], *, name: str | None, watch: Watch
    ) -> tuple[Product, ...]:
        """Return what was made; the report is the last.

        ``pictures`` are the bytes of files by role, ``name`` is what the sender called the first. Raises
        FacecraftError: InputError for what is wrong with the pictures, CancelledError when ``watch`` says so.
        """
        ...


def artifact_name(product: str, position: int, total: int) -> str:
    """Return the name under which a product of the item ``position`` (from 0) of ``total`` is kept."""
    return product if total == 1 else f"{position + 1:04d}-{product}"
