"""Face landmarkers, one module for each family."""

from facecraft.models.landmarkers.facemesh import FaceMesh
from facecraft.models.landmarkers.shape_predictor import DlibPredictor

__all__ = ["DlibPredictor", "FaceMesh"]
