"""The parts of a face that a parsing network tells apart."""

from __future__ import annotations

from enum import IntEnum


class FacePart(IntEnum):
    """Labels of CelebAMask-HQ in the order of BiSeNet's face parsing; left and right are the person's."""

    BACKGROUND = 0
    SKIN = 1
    LEFT_BROW = 2
    RIGHT_BROW = 3
    LEFT_EYE = 4
    RIGHT_EYE = 5
    GLASSES = 6
    LEFT_EAR = 7
    RIGHT_EAR = 8
    EARRING = 9
    NOSE = 10
    MOUTH = 11
    UPPER_LIP = 12
    LOWER_LIP = 13
    NECK = 14
    NECKLACE = 15
    CLOTH = 16
    HAIR = 17
    HAT = 18


FACE_PARTS = (
    FacePart.SKIN, FacePart.LEFT_BROW, FacePart.RIGHT_BROW, FacePart.LEFT_EYE, FacePart.RIGHT_EYE, FacePart.GLASSES,
    FacePart.NOSE, FacePart.MOUTH, FacePart.UPPER_LIP, FacePart.LOWER_LIP,
)  # fmt: skip
"""What makes a face without hair, ears and neck."""
