"""Every stage there is. A new stage is one file here and one name in ``BUILTIN``."""

from facecraft.pipelines.stage import AnyStage
from facecraft.pipelines.stages.background import background
from facecraft.pipelines.stages.crop import crop
from facecraft.pipelines.stages.cutout import cutout
from facecraft.pipelines.stages.detect import detect
from facecraft.pipelines.stages.restore import restore
from facecraft.pipelines.stages.shape import shape
from facecraft.pipelines.stages.tone import tone

BUILTIN: dict[str, AnyStage] = {stage.name: stage for stage in (detect, restore, crop, cutout, background, tone, shape)}
"""The stages by name."""
