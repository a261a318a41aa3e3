"""Face landmarkers, one module for each family."""

from facecraft.models.landmarkers.facemesh import FaceMesh
from facecraft.models.landmarkers.fan import FaceAlignmentNetwork, FivePointGuess
from facecraft.models.landmarkers.insightface import POINTS_68, POINTS_106, InsightLandmarker, PointsVariant
from facecraft.models.landmarkers.shape_predictor import DlibPredictor

__all__ = [
    "POINTS_68",
    "POINTS_106",
    "DlibPredictor",
    "FaceAlignmentNetwork",
    "FaceMesh",
    "FivePointGuess",
    "InsightLandmarker",
    "PointsVariant",
]
