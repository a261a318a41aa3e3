"""Results of jobs count for the quota: a picture that was sent once cannot fill the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from services.jobs import send, settled


@pytest.fixture
def noise(tmp_path: Any) -> bytes:
    """About half a megabyte that no codec makes smaller."""
    pixels = np.random.default_rng(1).integers(0, 256, (420, 420, 3), dtype=np.uint8)
    Pillow.fromarray(pixels).save(tmp_path / "noise.png")
    data: bytes = (tmp_path / "noise.png").read_bytes()
    return data


def test_a_blob_that_is_used_again_and_again_fills_no_more_than_the_quota(
    open_door: Callable[..., Any], noise: bytes
) -> None:
    door = open_door(quota_mb=2)
    blob = door.client.post("/api/v1/blobs", files={"file": ("n.png", noise)}).json()["id"]
    job = settled(door.client, send(door.client, blobs=",".join([blob] * 6)).json())
    codes = [(item["failure"] or {}).get("code") for item in job["items"]]
    assert codes[0] is None
    assert codes[-1] == "quota_exceeded"
    assert door.app.state.services.studio.jobs.blobs.used_bytes(None) <= 2 * 1024 * 1024
