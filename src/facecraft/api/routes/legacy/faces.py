"""The endpoints of the InsightFace REST API and of its example, over today's engine and without their faults."""

from __future__ import annotations

from fastapi import APIRouter, UploadFile
from pydantic import BaseModel, Field
from starlette.responses import Response

from facecraft.api.jobs.making import MakingOf
from facecraft.api.requests.forms import FileForm, takes
from facecraft.api.requests.uploads import UploadRoute, read_upload
from facecraft.api.routes.presets import IMAGES
from facecraft.errors import NoFaceFoundError
from facecraft.faces.selection import FacePolicy
from facecraft.options import Options
from facecraft.pipelines.presets import SWAP_SOURCE, SwapPresetOptions
from facecraft.pipelines.recognition import DescribeOptions, EmbedOptions

router = APIRouter(tags=["InsightFace REST API"], route_class=UploadRoute)


class SwapForm(Options):
    """Two pictures: the face of ``source`` is put onto the face of ``target``."""

    source: UploadFile = Field(description="The picture whose face is taken.")
    target: UploadFile = Field(description="The picture that gets it.")
    consent: bool = Field(
        default=False,
        description="The people shown in both pictures, or those who may speak for them, agree to this. Required.",
    )


class EmbeddingReply(BaseModel):
    """The largest face of a picture as a vector."""

    embedding: tuple[float, ...]
    """Of length 1. The original answered it unscaled, and computed it with red and blue exchanged."""
    model: str
    """The recogniser: vectors of different models are never compared."""
    dimensions: int


class FoundFace(BaseModel):
    """One face: its box in pixels."""

    id: int
    x: int
    y: int
    width: int
    height: int
    confidence: float


class PixelSize(BaseModel):
    """The size of a picture in pixels."""

    width: int
    height: int


class DetectFacesReply(BaseModel):
    """Every face of a picture."""

    success: bool
    faces_count: int
    faces: list[FoundFace]
    image_size: PixelSize


@router.post("/recognition/embedding", summary="Turn the largest face into a vector", response_model=EmbeddingReply)
@takes(FileForm)
async def embedding(form: FileForm, making: MakingOf) -> Response:
    """Answer the vector and the model that made it; a picture without a face is an error (422)."""

    def work() -> bytes:
        options = EmbedOptions(faces=FacePolicy.LARGEST)
        report = making.services.studio.embed(read_upload(form.file), options, cancel=making.ticket.cancel)
        reply = EmbeddingReply(embedding=report.faces[0].embedding, model=report.model, dimensions=report.dimensions)
        return reply.model_dump_json().encode()

    return Response(await making.run(lambda: making.counted(work)), media_type="application/json")


@router.post(
    "/swap",
    summary="Put the face of one picture onto another",
    response_class=Response,
    responses={200: {"content": {"image/png": IMAGES["image/png"]}}},
)
@takes(SwapForm)
async def swap(form: SwapForm, making: MakingOf) -> Response:
    """Answer a PNG. The largest face of the source replaces the largest of the target; both need to have agreed."""
    options = SwapPresetOptions(consent=form.consent)

    def work() -> bytes:
        try:
            made = making.make(options.pipeline(), form.target, references={SWAP_SOURCE.role: form.source})
        except NoFaceFoundError as error:
            which = "source" if "source" in error.message else "target"
            raise NoFaceFoundError(f"No face could be detected in the {which} picture.") from error
        return made["png"]

    return Response(await making.run(work), media_type="image/png")


@router.post("/api/detect-faces", summary="Find every face", response_model=DetectFacesReply)
@takes(FileForm)
async def detect_faces(form: FileForm, making: MakingOf) -> Response:
    """Answer the boxes of all faces from left to right; none is not an error."""

    def work() -> bytes:
        studio = making.services.studio
        report = studio.attributes(read_upload(form.file), DescribeOptions(), cancel=making.ticket.cancel)
        faces = [
            FoundFace(
                id=face.index,
                x=round(face.box.x),
                y=round(face.box.y),
                width=round(face.box.width),
                height=round(face.box.height),
                confidence=face.score,
            )
            for face in report.faces
        ]
        size = PixelSize(width=report.source.width, height=report.source.height)
        reply = DetectFacesReply(success=True, faces_count=len(faces), faces=faces, image_size=size)
        return reply.model_dump_json().encode()

    return Response(await making.run(lambda: making.counted(work)), media_type="application/json")
