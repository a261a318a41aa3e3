"""Stage ``detect``: find every face, choose the ones the work is about, mark their landmarks."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from facecraft.faces.search import find_faces
from facecraft.faces.selection import FacePolicy, choose
from facecraft.imaging.geometry import Size
from facecraft.models.hub import ModelHub
from facecraft.options import Options
from facecraft.pipelines.stage import Context, stage


class DetectOptions(Options):
    """How faces are found and which of them is meant."""

    detector: str = "auto"
    """Model that finds faces: a catalogue id, or auto for the best installed one."""
    landmarker: str = "auto"
    """Model that finds the landmarks of a face: a catalogue id, or auto for the best installed one."""
    faces: FacePolicy = FacePolicy.LARGEST
    """Which face is meant when there are several: largest, central, index (see face_index), only or all."""
    face_index: Annotated[int, Field(ge=0, le=1000)] = 0
    """The face to use with faces=index, counted from the left, from 0."""


@stage("detect", DetectOptions, needs=("face_detection",), weight=3.0)
def detect(context: Context, options: DetectOptions, models: ModelHub) -> Context:
    """Raises NoFaceFoundError (unless all faces are wanted), FaceIndexError, AmbiguousFaceError."""
    detectors = models.detectors(options.detector)
    landmarker = models.landmarker(options.landmarker)
    image = context.original
    faces = find_faces(
        image,
        [detector.detect for detector in detectors],
        locate=landmarker.locate if landmarker else None,
        reach=detectors[0].reach,
    )
    context = context.used("face_detection", ", ".join(dict.fromkeys(d.model_id for d in detectors)))
    if landmarker is not None:
        context = context.used("face_landmarks", landmarker.model_id)
    if not faces and options.faces is FacePolicy.ALL:
        return context
    chosen = choose(faces, options.faces, options.face_index, Size(image.width, image.height))
    return replace(context, faces=faces, chosen=chosen)
