"""Face detectors, one module for each architecture.

Each makes one pass over the picture at its own input size; scales, tiles and turns are the work of
:func:`facecraft.faces.search.find_faces`.
"""

from facecraft.models.detectors.blazeface import FULL_RANGE, SHORT_RANGE, BlazeFace, BlazeFaceVariant
from facecraft.models.detectors.hog import DlibHog
from facecraft.models.detectors.retinaface import RetinaFace
from facecraft.models.detectors.scrfd import Scrfd
from facecraft.models.detectors.yunet import YuNet

__all__ = ["FULL_RANGE", "SHORT_RANGE", "BlazeFace", "BlazeFaceVariant", "DlibHog", "RetinaFace", "Scrfd", "YuNet"]
