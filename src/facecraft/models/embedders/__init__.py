"""Face embedders, one module for each kind of crop they see."""

from facecraft.models.embedders.aligned import ARCFACE, SFACE, AlignedEmbedder, EmbedderVariant, aligned_112
from facecraft.models.embedders.dlib_resnet import DlibDescriptor, dlib_chip

__all__ = ["ARCFACE", "SFACE", "AlignedEmbedder", "DlibDescriptor", "EmbedderVariant", "aligned_112", "dlib_chip"]
