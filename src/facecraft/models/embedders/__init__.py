"""Face embedders, one module for each kind of crop they see."""

from facecraft.models.embedders.dlib_resnet import DlibDescriptor, dlib_chip

__all__ = ["DlibDescriptor", "dlib_chip"]
