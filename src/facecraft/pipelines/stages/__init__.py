"""Every stage there is. A new stage is one file here and one name in ``BUILTIN``."""

from facecraft.pipelines.stage import AnyStage
from facecraft.pipelines.stages import background, crop, cutout, detect, restore, shape, swap, tone, upscale

BUILTIN: dict[str, AnyStage] = {
    stage.name: stage
    for stage in (
        detect.detect,
        upscale.upscale,
        swap.swap,
        restore.restore,
        crop.crop,
        cutout.cutout,
        background.background,
        tone.tone,
        shape.shape,
    )
}
"""The stages by name."""
