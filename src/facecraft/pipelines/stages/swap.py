"""Stage ``swap``: put the face of a second picture onto faces of the first, with the consent of who is shown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator

from facecraft.errors import (
    ConsentRequiredError,
    FaceIndexError,
    InvalidOptionError,
    NoFaceFoundError,
    ReferenceNotFoundError,
)
from facecraft.faces.face import Face
from facecraft.faces.search import find_faces
from facecraft.imaging import codecs
from facecraft.imaging.image import Image, Pixels
from facecraft.models.hub import ModelHub, NamedEmbedder, NamedSwapper
from facecraft.models.hub.hub import AUTO
from facecraft.options import Fraction, Options
from facecraft.pipelines.identity import Identity, IdentityGuard, Verdict, limit
from facecraft.pipelines.occlusion import SWAPPED, Cover, Occlusion
from facecraft.pipelines.redraw import FacePart, moved
from facecraft.pipelines.stage import Context, stage

SOURCE = "source"
"""The role of the picture whose face is taken."""
REFERENCE = "reference"
"""The role of the picture that shows who is to be replaced."""


def _pairs(text: str) -> tuple[tuple[int, int], ...]:
    try:
        return tuple((int(a), int(b)) for a, b in (part.split(":") for part in text.split(",") if part.strip()))
    except ValueError:
        raise ValueError("give pairs source:target counted from 0, such as 0:1,1:0") from None


def _readable(text: str) -> str:
    pairs = _pairs(text)
    if len({target for _, target in pairs}) != len(pairs) or any(min(pair) < 0 for pair in pairs):
        raise ValueError("every target stands once, and faces are counted from 0")
    return text


class SwapFaces(StrEnum):
    """Which faces are replaced."""

    CHOSEN = "chosen"
    ALL = "all"


class SwapOptions(Options):
    """How faces are swapped."""

    consent: bool = False
    """The people shown in both pictures, or those who may speak for them, agree to this. Required."""
    swapper: str = AUTO
    """Model that swaps faces: a catalogue id, or auto for the best installed one."""
    swap_faces: SwapFaces = SwapFaces.CHOSEN
    """Which faces get the largest face of the source: chosen (those that the face policy means) or all."""
    swap_map: Annotated[str, AfterValidator(_readable)] = ""
    """Which face of the source goes where: pairs source:target, both counted from the left from 0, such as 0:1,1:0.
    Replaces faces and swap_faces, and contradicts a reference picture."""
    swap_strength: Fraction = 1.0
    """How strongly the new face is laid over the old one: 0 not at all, 1 completely."""
    swap_occlusion: Occlusion = Occlusion.AUTO
    """Whether hair, hats, glasses and hands in front of a face stay as they are: auto, where a model that finds them is
    installed (face_parsing, face_occlusion), or off: the new face is laid over them."""
    provenance: bool = True
    """Write into the file (XMP, IPTC digital source type) that a part of it was drawn by a network."""


@stage("swap", SwapOptions, needs=("face_swap",), weight=5.0)
def swap(context: Context, options: SwapOptions, models: ModelHub) -> Context:
    """Replaces faces in the picture being made; the identity block then compares each result with its source.

    Who is replaced: the pairs of ``swap_map``, or else the one face that shows the person of the reference picture, or
    else what ``swap_faces`` says. Those faces are the chosen ones afterwards.

    Raises ConsentRequiredError, InvalidOptionError without a source picture and for a reference beside a map,
    NoFaceFoundError, FaceIndexError, ReferenceNotFoundError.
    """
    if not options.consent:
        raise ConsentRequiredError
    picture = context.references.get(SOURCE)
    if picture is None:
        raise InvalidOptionError("A swap needs a second picture, the source.", hint="Give one (source, --source).")
    swapper = models.swapper(options.swapper)
    embedder = models.embedder(swapper.embedder_id)
    reference = context.references.get(REFERENCE)
    if reference is not None and options.swap_map:
        raise InvalidOptionError("Both a reference and swap_map say who is replaced.", hint="Give one of them.")
    found = _faces(picture, models, SOURCE)
    if reference is not None:
        target, context = _referred(context, reference, models, embedder)
        pairs: tuple[tuple[int, int], ...] = ((_largest(found), target),)
    else:
        pairs = _plan(context, options, found)
    vectors = embedder.embed(picture, [found[source] for source, _ in pairs])
    work = _Swapping(swapper, embedder, Cover.open(models, options.swap_occlusion), options.swap_strength)
    canvas = np.array(context.canvas)
    identities = []
    for (_, target), vector in zip(pairs, vectors, strict=True):
        context.watch.cancel.check()
        face = moved(context.faces[target], context.transform)
        likeness = work.lay(canvas, face, vector)
        threshold = limit(embedder.threshold, IdentityGuard.SOFT)
        identities.append(
            replace(
                Identity.asked("swap", target, options.swap_strength),
                verdict=Verdict.KEPT if likeness >= threshold else Verdict.MISSED,
                similarity=likeness,
                first_similarity=likeness,
                threshold=threshold,
                model=embedder.model_id,
            )
        )
    done = context.used("face_swap", swapper.model_id).used("identity", embedder.model_id)
    done = work.cover.noted(done)
    note = codecs.TRAINED_COMPOSITE if options.provenance else context.provenance
    targets = [target for _, target in pairs]
    kept = [index for index in context.chosen if index in targets]
    return replace(
        done,
        pixels=canvas,
        # What follows, such as the restoration, is about the faces that were replaced.
        chosen=tuple(dict.fromkeys([*kept, *targets])),
        identity=(*context.identity, *identities),
        provenance=note,
    )


def _faces(picture: Image, models: ModelHub, role: str) -> tuple[Face, ...]:
    found = find_faces(picture, [detector.detect for detector in models.detectors()])
    if not found:
        raise NoFaceFoundError(f"No face could be detected in the {role} picture.")
    return found


def _largest(faces: tuple[Face, ...]) -> int:
    return max(range(len(faces)), key=lambda index: faces[index].box.area)


def _referred(context: Context, reference: Image, models: ModelHub, embedder: NamedEmbedder) -> tuple[int, Context]:
    """Return the index of the face that is most like the largest one of ``reference``, and the context with remarks."""
    shown = _faces(reference, models, REFERENCE)
    if not context.faces:
        raise NoFaceFoundError
    wanted = embedder.embed(reference, [shown[_largest(shown)]])[0]
    similarity = embedder.embed(context.original, context.faces) @ wanted
    best, threshold = int(similarity.argmax()), limit(embedder.threshold, IdentityGuard.SOFT)
    if similarity[best] < threshold:
        raise ReferenceNotFoundError(
            f"No face of the picture shows the person of the reference: the most alike of {len(context.faces)} has a "
            f"similarity of {similarity[best]:.2f}, and {threshold:.2f} is needed ({embedder.model_id})."
        )
    if len(shown) > 1:
        context = context.warn(f"The reference picture shows {len(shown)} faces: the largest was looked for.")
    return best, context


def _plan(context: Context, options: SwapOptions, found: tuple[Face, ...]) -> tuple[tuple[int, int], ...]:
    if not options.swap_map:
        targets = range(len(context.faces)) if options.swap_faces is SwapFaces.ALL else context.chosen
        if not targets:
            raise NoFaceFoundError
        return tuple((_largest(found), target) for target in targets)
    pairs = _pairs(options.swap_map)
    for source, target in pairs:
        if source >= len(found) or target >= len(context.faces):
            raise FaceIndexError(
                f"The pair {source}:{target} is out of range: the source shows {len(found)} faces, "
                f"the picture {len(context.faces)}."
            )
    return pairs


@dataclass(frozen=True, slots=True)
class _Swapping:
    """The networks of one run."""

    swapper: NamedSwapper
    embedder: NamedEmbedder
    cover: Cover
    strength: float

    def lay(self, canvas: Pixels, face: Face, vector: NDArray[np.float32]) -> float:
        """Lay the new face of ``vector`` into ``canvas`` and return how alike it is to its source."""
        picture = Image(canvas)
        part = FacePart.cut(picture, face, self.swapper.template, self.swapper.size)
        drawn = self.swapper.swap(part.crop.pixels, vector)
        mask = self.cover.mask(picture, face, part.crop, SWAPPED)
        if drawn.mask is not None:
            mask = np.minimum(mask, drawn.mask)
        after = part.replaced(drawn.pixels, mask, self.strength)
        part.put(after, canvas)
        return float(vector @ self.embedder.embed(Image(after), [part.face])[0])
