"""What was done to a picture, for programs and people: ``report.json`` and ``--json``."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from facecraft.faces.face import Face
from facecraft.faces.pose import pose
from facecraft.imaging.codecs import Encoded
from facecraft.imaging.geometry import Size, Transform
from facecraft.imaging.image import Image
from facecraft.pipelines.identity import Identity, Verdict
from facecraft.pipelines.pipeline import StageTime
from facecraft.pipelines.stage import Context


class Record(BaseModel):
    """Something that is told: its fields are fixed, and an unknown one is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class BoxRecord(Record):
    """A box in pixels of the input, origin at the top left; and the same as fractions of its sides."""

    x: float
    y: float
    width: float
    height: float
    normalized: tuple[float, float, float, float]
    """x1, y1, x2, y2 divided by the picture's width and height."""


class FaceRecord(Record):
    """One face of the input."""

    index: int
    """Counted from the left, from 0: what ``face_index`` takes."""
    chosen: bool
    box: BoxRecord
    score: float
    landmarks: tuple[tuple[float, float], ...]
    """Left eye, right eye, nose, left and right mouth corner, as seen in the picture; pixels."""
    roll: float
    """Degrees by which the eye line is turned, clockwise."""
    yaw: float
    """Degrees by which the head is turned, positive towards the right of the picture; estimated from the landmarks."""
    pitch: float
    """Degrees by which the head is raised, positive upwards; estimated from the landmarks."""

    @classmethod
    def of(cls, face: Face, index: int, size: Size, *, chosen: bool) -> FaceRecord:
        """Describe ``face`` of a picture of ``size``."""
        box, turned = face.box, pose(face)
        return cls(
            index=index,
            chosen=chosen,
            box=BoxRecord(
                x=round(box.x1, 2),
                y=round(box.y1, 2),
                width=round(box.width, 2),
                height=round(box.height, 2),
                normalized=(
                    round(box.x1 / size.width, 5),
                    round(box.y1 / size.height, 5),
                    round(box.x2 / size.width, 5),
                    round(box.y2 / size.height, 5),
                ),
            ),
            score=round(face.score, 4),
            landmarks=tuple((round(float(x), 2), round(float(y), 2)) for x, y in face.landmarks),
            roll=round(face.roll, 2),
            yaw=round(turned.yaw, 1),
            pitch=round(turned.pitch, 1),
        )


class SourceRecord(Record):
    """The input as it was read."""

    name: str | None
    format: str
    width: int
    height: int
    bytes: int
    orientation: int
    """EXIF orientation that was undone."""
    profile_converted: bool
    frames: int

    @classmethod
    def of(cls, image: Image, name: str | None) -> SourceRecord:
        """Describe ``image``."""
        info = image.source
        return cls(
            name=name,
            format=info.format,
            width=image.width,
            height=image.height,
            bytes=info.size_bytes,
            orientation=info.orientation,
            profile_converted=info.had_profile,
            frames=info.frames,
        )


class TransformRecord(Record):
    """The one map from pixels of the input to pixels of the output."""

    matrix: tuple[tuple[float, float, float], tuple[float, float, float]]
    scale: float
    degrees: float

    @classmethod
    def of(cls, transform: Transform) -> TransformRecord:
        """Describe ``transform``."""
        (a, b, c), (d, e, f) = transform.matrix.tolist()
        return cls(matrix=((a, b, c), (d, e, f)), scale=round(transform.scale, 6), degrees=round(transform.degrees, 3))


class IdentityRecord(Record):
    """Whether a face that was redrawn still shows the same person."""

    stage: str
    """What redrew it."""
    face: int
    """Index of the face, counted from the left."""
    verdict: Verdict
    """kept, reduced (laid back more weakly, because the person had changed), rolled_back (the original stayed),
    missed (a swap does not show the person of its source) or not_measured."""
    similarity: float | None
    """Cosine similarity between before and after, or between the source and a swap, -1..1."""
    first_similarity: float | None
    """The same at the strength that was asked for."""
    threshold: float | None
    """What it had to reach."""
    strength: float
    """With what strength the face was laid back."""
    wanted: float
    """With what strength it should have been."""
    model: str | None
    """The recogniser."""
    reason: str | None
    """Why nothing was measured."""

    @classmethod
    def of(cls, identity: Identity) -> IdentityRecord:
        """Describe ``identity``."""

        def short(value: float | None) -> float | None:
            return None if value is None else round(value, 4)

        return cls(
            stage=identity.stage,
            face=identity.face,
            verdict=identity.verdict,
            similarity=short(identity.similarity),
            first_similarity=short(identity.first_similarity),
            threshold=short(identity.threshold),
            strength=round(identity.strength, 4),
            wanted=round(identity.wanted, 4),
            model=identity.model,
            reason=identity.reason,
        )


class StageRecord(Record):
    """How long a stage took, and why it did nothing if it did nothing."""

    stage: str
    milliseconds: float
    skipped: str | None = None


class OutputRecord(Record):
    """One file that was written."""

    format: str
    path: str | None
    width: int
    height: int
    bytes: int
    quality: int | None
    within_limit: bool
    """False when the JPEG is larger than was asked for."""

    @classmethod
    def of(cls, output: Encoded) -> OutputRecord:
        """Describe ``output``, which is in memory."""
        return cls(
            format=output.format.value,
            path=None,
            width=output.size.width,
            height=output.size.height,
            bytes=len(output.data),
            quality=output.quality,
            within_limit=output.fits,
        )


class Report(Record):
    """Everything a person or program may want to know about one run."""

    source: SourceRecord
    faces: tuple[FaceRecord, ...]
    transform: TransformRecord | None
    identity: tuple[IdentityRecord, ...] = ()
    """One record for each face that was restored or swapped."""
    models: dict[str, str]
    """Which model did which task."""
    device: str
    stages: tuple[StageRecord, ...]
    total_milliseconds: float
    outputs: tuple[OutputRecord, ...]
    warnings: tuple[str, ...]

    @classmethod
    def of(
        cls,
        context: Context,
        times: Sequence[StageTime],
        outputs: Sequence[Encoded],
        *,
        name: str | None,
        device: str,
        milliseconds: float,
    ) -> Report:
        """Describe a finished run: its last ``context``, how long its stages took and what was written."""
        size = Size(context.original.width, context.original.height)
        missed = [
            f"The {o.format.upper()} has {len(o.data)} bytes: more than asked for." for o in outputs if not o.fits
        ]
        return cls(
            source=SourceRecord.of(context.original, name),
            faces=tuple(
                FaceRecord.of(face, index, size, chosen=index in context.chosen)
                for index, face in enumerate(context.faces)
            ),
            transform=None if context.size is None else TransformRecord.of(context.transform),
            identity=tuple(map(IdentityRecord.of, context.identity)),
            models=dict(context.models),
            device=device,
            stages=tuple(
                StageRecord(stage=t.stage, milliseconds=round(t.milliseconds, 2), skipped=t.skipped) for t in times
            ),
            total_milliseconds=round(milliseconds, 2),
            outputs=tuple(map(OutputRecord.of, outputs)),
            warnings=(*context.warnings, *missed),
        )

    @property
    def skipped(self) -> dict[str, str]:
        """Stages that did nothing, with the reason."""
        return {record.stage: record.skipped for record in self.stages if record.skipped}
