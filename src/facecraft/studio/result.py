"""A picture as a caller has it, and a finished one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from facecraft.imaging import codecs
from facecraft.imaging.codecs import Encoded, OutputFormat
from facecraft.imaging.image import Image
from facecraft.pipelines.encode import Composition
from facecraft.pipelines.report import Report
from facecraft.storage import write_file


@runtime_checkable
class ArrayLike(Protocol):
    """Whatever NumPy can look at: an array, a Pillow picture."""

    @property
    def __array_interface__(self) -> dict[str, Any]: ...


Picture: TypeAlias = Image | bytes | str | Path | NDArray[np.uint8] | ArrayLike
"""A picture as a caller has it: decoded, as the bytes of a file, as a path, as an array (H×W, H×W×3 or H×W×4, uint8) or
as a Pillow picture of any mode."""


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """A finished picture: its files in memory and the report of how they came about."""

    outputs: tuple[Encoded, ...] = field(repr=False)
    report: Report = field(repr=False)
    composition: Composition = field(repr=False)

    @property
    def image(self) -> Image:
        """The finished picture in memory, RGBA where it is transparent."""
        return self.composition.image()

    def __getitem__(self, name: str) -> bytes:
        """Return the file of format ``name`` (png, jpeg, jpg, webp, avif). Raises KeyError."""
        wanted = "jpeg" if name == "jpg" else name
        for output in self.outputs:
            if output.format == wanted:
                return output.data
        raise KeyError(name)

    def save(self, stem: str | Path) -> Result:
        """Write every file as ``stem`` plus its ending and return the result with the paths in its report.

        Raises StorageError when a file cannot be written.
        """
        base = Path(stem)
        records = []
        for output, record in zip(self.outputs, self.report.outputs, strict=True):
            path = base.with_name(f"{base.name}{output.format.suffix}")
            write_file(path, output.data)
            records.append(record.model_copy(update={"path": str(path)}))
        return replace(self, report=self.report.model_copy(update={"outputs": tuple(records)}))

    def _repr_png_(self) -> bytes:
        return (
            self["png"]
            if any(o.format is OutputFormat.PNG for o in self.outputs)
            else codecs.encode_png(self.image.pixels, provenance=self.composition.provenance)
        )
