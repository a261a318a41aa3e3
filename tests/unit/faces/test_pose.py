"""Which way a head is turned: known turns are found again."""

from __future__ import annotations

import math

import numpy as np
import pytest

from facecraft.faces.face import DenseLandmarks, Face
from facecraft.faces.landmarks import MESH_LEFT_EYE, MESH_MOUTH_CORNERS, MESH_NOSE_TIP, MESH_RIGHT_EYE
from facecraft.faces.pose import pose
from facecraft.imaging.geometry import Box

HEAD = np.array(
    [[-3.15, -2.65, -3.6], [3.15, -2.65, -3.6], [0.0, 0.46, -7.59], [-2.46, 4.34, -4.28], [2.46, 4.34, -4.28]]
)


def _turned(yaw: float, pitch: float, roll: float, *, mesh: bool) -> Face:
    """A head that is raised, then turned, then tilted, seen from far away."""
    y, p, r = (math.radians(angle) for angle in (yaw, pitch, roll))
    up = np.array([[1, 0, 0], [0, math.cos(p), math.sin(p)], [0, -math.sin(p), math.cos(p)]])
    right = np.array([[math.cos(y), 0, -math.sin(y)], [0, 1, 0], [math.sin(y), 0, math.cos(y)]])
    tilt = np.array([[math.cos(r), -math.sin(r), 0], [math.sin(r), math.cos(r), 0], [0, 0, 1]])
    points = HEAD @ (tilt @ right @ up).T * 12 + [200, 150, 0]
    dense = None
    if mesh:
        full = np.zeros((468, 3))
        full[list(MESH_LEFT_EYE)], full[list(MESH_RIGHT_EYE)], full[MESH_NOSE_TIP] = points[0], points[1], points[2]
        full[list(MESH_MOUTH_CORNERS)] = points[3:]
        dense = DenseLandmarks("mesh468", full, 1.0)
    return Face(Box(100, 50, 300, 250), 1.0, np.ascontiguousarray(points[:, :2]), dense)


@pytest.mark.parametrize("mesh", [True, False])
@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (30, 0), (-30, 0), (0, 20), (0, -20), (25, -15)])
def test_a_known_turn_is_found_again(yaw: float, pitch: float, mesh: bool) -> None:
    found = pose(_turned(yaw, pitch, 0, mesh=mesh))
    assert found.yaw == pytest.approx(yaw, abs=0.5)
    assert found.pitch == pytest.approx(pitch, abs=0.5)


@pytest.mark.parametrize("mesh", [True, False])
@pytest.mark.parametrize("roll", [-170, -90, -20, 0, 35, 120])
def test_a_tilt_is_the_tilt_of_the_eyes_and_no_turn(roll: float, mesh: bool) -> None:
    face = _turned(0, 0, roll, mesh=mesh)
    found = pose(face)
    assert found.roll == pytest.approx(roll, abs=0.5)
    assert found.roll == pytest.approx(face.roll, abs=0.5)
    assert found.yaw == pytest.approx(0, abs=0.5)


def test_points_on_one_spot_break_nothing() -> None:
    found = pose(Face(Box(0, 0, 1, 1), 1.0, np.zeros((5, 2))))
    assert all(map(math.isfinite, (found.yaw, found.pitch, found.roll)))
