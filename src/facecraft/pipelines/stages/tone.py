"""Stage ``tone``: light, colour and sharpness, judged by the subject alone."""

from __future__ import annotations

from dataclasses import replace

from facecraft.imaging.tone import ToneOptions
from facecraft.imaging.tone import tone as apply_tone
from facecraft.models.hub import ModelHub
from facecraft.pipelines.stage import Context, stage


@stage("tone", ToneOptions)
def tone(context: Context, options: ToneOptions, models: ModelHub) -> Context:  # noqa: ARG001 - the stage protocol
    """Changes the subject; a backdrop made from the picture itself changes with it, any other stays as it is."""
    weight = context.alpha
    face = context.transform.box(context.face.box) if context.chosen else None
    toned = apply_tone(context.canvas, weight, options, face=face)
    backdrop = context.backdrop
    if backdrop is not None and context.backdrop_is_scene:
        backdrop = apply_tone(backdrop, weight, options, face=face)
    return replace(context, pixels=toned, backdrop=backdrop)
