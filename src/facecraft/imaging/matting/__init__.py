"""From a coarse mask to a soft edge: :func:`refine`, :func:`upsample`, :func:`foreground`, :func:`keep_touching`."""

from facecraft.imaging.matting.edge_color import foreground
from facecraft.imaging.matting.guided import upsample
from facecraft.imaging.matting.refinement import Refine, refine
from facecraft.imaging.matting.trimap import keep_touching

__all__ = ["Refine", "foreground", "keep_touching", "refine", "upsample"]
