"""Stage ``background``: what stands behind the subject."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from facecraft.errors import InvalidOptionError
from facecraft.imaging import compositing
from facecraft.models.hub import ModelHub
from facecraft.options import Fraction, Options, normalize_color, rgb
from facecraft.pipelines.stage import Context, stage

KEYWORDS = ("transparent", "original", "blur", "image")
"""Backgrounds that are not a colour."""


def _known(value: str) -> str:
    text = value.strip().lower()
    return text if text in KEYWORDS else normalize_color(text)


Background = Annotated[
    str,
    AfterValidator(_known),
    WithJsonSchema({"type": "string", "examples": ["transparent", "white", "#336699", "blur", "original", "image"]}),
]


class BackgroundOptions(Options):
    """What stands behind the subject."""

    background: Background = "transparent"
    """What stands behind the subject: transparent, a colour (#rrggbb, r,g,b or a name), blur (the picture's own
    background, out of focus), original (untouched) or image (a second picture, given beside the first)."""
    blur: Fraction = 0.5
    """Strength of background=blur, from 0 (hardly) to 1 (strongly)."""


@stage("background", BackgroundOptions)
def background(context: Context, options: BackgroundOptions, models: ModelHub) -> Context:  # noqa: ARG001
    """Prepares the backdrop. Raises InvalidOptionError for background=image without a picture."""
    size = context.canvas_size
    match options.background:
        case "transparent":
            return replace(context, backdrop=None)
        case "original":
            # The freed colours of the edge belong over another background; over their own they would mix twice.
            scene = context.canvas if context.scene is None else context.scene
            return replace(context, pixels=scene, backdrop=None, uncut=True)
        case "blur":
            scene = context.canvas if context.scene is None else context.scene
            if context.alpha is not None:
                scene = compositing.blurred(scene, context.alpha, strength=options.blur)
            return replace(context, backdrop=scene, backdrop_is_scene=True)
        case "image":
            picture = context.references.get("background")
            if picture is None:
                raise InvalidOptionError(
                    "background=image needs a second picture.",
                    hint="Give one (background_image, --background-image), or choose a colour, blur or transparent.",
                )
            return replace(context, backdrop=compositing.backdrop(picture.rgb, size), backdrop_is_scene=False)
        case color:
            return replace(context, backdrop=compositing.solid(size, rgb(color)), backdrop_is_scene=False)
