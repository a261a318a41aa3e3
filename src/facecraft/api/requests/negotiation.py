"""Which form of reply a client asks for in its Accept header."""

from __future__ import annotations

from starlette.exceptions import HTTPException

from facecraft.imaging.codecs import OutputFormat

JSON = "application/json"


def wanted_format(accept: str, preferred: tuple[OutputFormat, ...]) -> OutputFormat | None:
    """Return the picture format that ``accept`` asks for before JSON, or None for JSON.

    ``image/*`` means the first of ``preferred``; ``*/*`` and nothing mean JSON. Of two types with the same weight the
    first one named wins. Raises HTTPException (406) when types are named and none of them can be given.
    """
    media = {JSON: None, "*/*": None, "application/*": None, "image/*": preferred[0]}
    media |= {kind.media_type: kind for kind in OutputFormat}
    best: tuple[float, OutputFormat | None] = (0.0, None)
    unknown = False
    for part in accept.lower().split(",")[:32]:
        name, *parameters = (piece.strip() for piece in part.split(";"))
        weight = _weight(parameters)
        if name in media and weight > best[0]:
            best = (weight, media[name])
        unknown = unknown or (name not in media and "/" in name and weight > 0)
    if unknown and not best[0]:
        raise HTTPException(406)
    return best[1]


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0
