"""Whether a face still shows the same person after a network has redrawn it, and what is done when it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from facecraft.errors import LicenseNotAcceptedError, ModelNotInstalledError, RuntimeMissingError
from facecraft.faces.face import Face
from facecraft.imaging.image import Image, Pixels
from facecraft.models.hub import ModelHub, NamedEmbedder

STEPS = (1.0, 0.75, 0.5, 0.25)
"""The parts of the wanted strength that are tried, one after the other, before the original is kept."""


class IdentityGuard(StrEnum):
    """How alike a face must stay."""

    OFF = "off"
    SOFT = "soft"
    """As alike as two photos of one person are, at the limit of what the recogniser's author calls a match."""
    NORMAL = "normal"
    """As alike as two good photos of one person are."""
    STRICT = "strict"
    """As alike as one photo and the same photo, hardly changed."""


class Verdict(StrEnum):
    """What became of a redrawn face."""

    KEPT = "kept"
    """The person is the one who should be there: before and after, or after a swap the source."""
    REDUCED = "reduced"
    """It was laid back more weakly than asked for, because the person had changed."""
    ROLLED_BACK = "rolled_back"
    """Even the weakest step had changed the person: the original stayed."""
    MISSED = "missed"
    """After a swap: the result does not show the person of the source."""
    NOT_MEASURED = "not_measured"


_TYPICAL_MATCH = 0.38
"""Where recognisers of the ArcFace family begin to match, for one whose authors state no limit."""
_BEYOND = {IdentityGuard.SOFT: 0.0, IdentityGuard.NORMAL: 0.4, IdentityGuard.STRICT: 0.65}
"""The part of the way from the limit of a match to 1. Before and after are one photo, in one pose and one light, so more
than a match is asked. Measured with dlib's descriptor, whose limit is 0.911: two photos of one man 0.952-0.962,
different people up to 0.870, one photo and its JPEG of quality 10 from 0.971 on; normal is 0.947 and strict 0.969. For
the other recognisers the same parts are taken and not measured."""


def limit(match: float | None, guard: IdentityGuard) -> float:
    """Return the least cosine similarity that ``guard`` accepts from an embedder whose matches begin at ``match``."""
    start = _TYPICAL_MATCH if match is None else match
    return start + _BEYOND[guard] * (1 - start)


@dataclass(frozen=True, slots=True)
class Identity:
    """What was found about one redrawn face."""

    stage: str
    face: int
    """Its index among the faces of the picture."""
    verdict: Verdict
    strength: float
    """With what strength it was laid back, 0..1; 0 is the original."""
    wanted: float
    """With what strength it should have been."""
    similarity: float | None = None
    """Cosine similarity between before and after, as it was laid back (with rolled_back: of the weakest try)."""
    first_similarity: float | None = None
    """The same at the strength that was wanted."""
    threshold: float | None = None
    model: str | None = None
    """The embedder that compared."""
    reason: str | None = None
    """Why nothing was measured."""

    @classmethod
    def asked(cls, stage: str, face: int, strength: float) -> Self:
        """Return what is known before anything was compared."""
        return cls(stage, face, Verdict.NOT_MEASURED, strength, strength)


@dataclass(frozen=True, slots=True)
class IdentityCheck:
    """Compares a face before and after with ``embedder``; without one nothing is measured."""

    embedder: NamedEmbedder | None
    threshold: float
    reason: str | None = None

    @classmethod
    def open(cls, models: ModelHub, guard: IdentityGuard) -> Self:
        """Take the best embedder that is installed. Never fails for a missing one."""
        if guard is IdentityGuard.OFF:
            return cls(None, 0.0, "switched off")
        try:
            embedder = models.embedder()
        except (ModelNotInstalledError, LicenseNotAcceptedError, RuntimeMissingError) as error:
            return cls(None, 0.0, f"not measured: {error.message} {error.hint or ''}".strip())
        return cls(embedder, limit(embedder.threshold, guard))

    def settle(self, asked: Identity, before: Pixels, face: Face, draw: Callable[[float], Pixels]) -> Identity:
        """Find the greatest of the :data:`STEPS` at which ``face`` still shows the person of ``before``.

        ``asked`` says what was redrawn and how strongly (see :meth:`Identity.asked`). ``before`` is an H×W×3 RGB part of the
        picture, ``face`` lies in its pixels, and ``draw`` returns the same part with the redrawn face laid over it at a
        strength.
        """
        if self.embedder is None:
            return replace(asked, reason=self.reason)
        if asked.wanted == 0:
            return replace(asked, reason="nothing was laid back")
        known = self.embedder.embed(Image(before), [face])[0]
        likeness = [float(known @ self.embedder.embed(Image(draw(asked.wanted)), [face])[0])]
        for step in STEPS[1:]:
            if likeness[-1] >= self.threshold:
                break
            likeness.append(float(known @ self.embedder.embed(Image(draw(asked.wanted * step)), [face])[0]))
        measured = replace(
            asked,
            similarity=likeness[-1],
            first_similarity=likeness[0],
            threshold=self.threshold,
            model=self.embedder.model_id,
        )
        if likeness[-1] < self.threshold:
            return replace(measured, verdict=Verdict.ROLLED_BACK, strength=0.0)
        verdict = Verdict.KEPT if len(likeness) == 1 else Verdict.REDUCED
        return replace(measured, verdict=verdict, strength=asked.wanted * STEPS[len(likeness) - 1])


def remark(identity: Identity) -> str | None:
    """Return what a person should be told about ``identity``, or None when all went as asked."""
    match identity.verdict:
        case Verdict.REDUCED:
            what = f"was laid back at {identity.strength / identity.wanted:.0%} of the strength"
        case Verdict.ROLLED_BACK:
            what = "was taken back"
        case _:
            return None
    return (
        f"{identity.stage} changed the person of face {identity.face} "
        f"(similarity {identity.first_similarity:.2f}, {identity.threshold:.2f} wanted) and {what}."
    )
