"""Telling one person from the people beside them."""

from __future__ import annotations

import numpy as np

from facecraft.imaging.geometry import Box, Size
from facecraft.imaging.isolation import share

SIZE = Size(200, 120)
LEFT, RIGHT = Box(40, 20, 70, 50), Box(130, 20, 160, 50)


def test_alone_a_person_has_everything() -> None:
    assert (share([LEFT], [], SIZE) == 1).all()


def test_each_keeps_their_own_head_and_chest_and_loses_the_neighbour() -> None:
    part = share([LEFT], [RIGHT], SIZE)
    assert part.dtype == np.float32
    assert part.shape == (120, 200)
    assert (part[20:110, 45:65] == 1).all()
    assert (part[20:110, 135:155] == 0).all()


def test_the_parts_of_two_people_fill_the_picture_once() -> None:
    together = share([LEFT], [RIGHT], SIZE) + share([RIGHT], [LEFT], SIZE)
    assert np.abs(together - 1).max() < 1e-5


def test_a_small_face_behind_takes_nothing_of_the_head_in_front() -> None:
    behind = Box(72, 15, 80, 23)
    part = share([LEFT], [behind], SIZE)
    assert (part[25:50, 42:66] == 1).all()


def test_several_chosen_people_stay_together() -> None:
    far = Box(180, 60, 190, 70)
    part = share([LEFT, RIGHT], [far], SIZE)
    assert (part[30:60, 45:65] == 1).all()
    assert (part[30:60, 135:155] == 1).all()
    assert part[65, 185] == 0
