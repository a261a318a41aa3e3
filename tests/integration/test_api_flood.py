"""Many callers at once: everybody gets the picture made of the own pixels, bit for bit."""

from __future__ import annotations

import colorsys
import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from facecraft.imaging import codecs
from facecraft.imaging.image import Image
from facecraft.studio import Studio
from services.tiny_networks import tiny_studio

CALLERS = 24
PATHS = ("swap", "restore", "portrait")


@dataclass(frozen=True)
class Call:
    """One caller: where it goes, with which pictures and what colour is its own."""

    path: str
    color: tuple[int, int, int]
    files: dict[str, tuple[str, bytes]]
    fields: dict[str, object]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Studio]:
    with tiny_studio(tmp_path_factory.mktemp("flood"), models_dir, max_queued_jobs=100) as opened:
        yield opened


def _colored(astronaut: Image, color: tuple[int, int, int]) -> bytes:
    """A face before a plain colour, and itself tinted with it."""
    picture = np.empty((320, 320, 3), np.uint8)
    picture[:] = color
    face = astronaut.rgb[20:230, 120:330].astype(np.float32) * 0.7 + np.array(color, np.float32) * 0.3
    picture[55:265, 55:265] = face.astype(np.uint8)
    return codecs.encode_png(picture)


@pytest.fixture(scope="module")
def calls(astronaut: Image) -> list[Call]:
    made = []
    for number in range(CALLERS):
        red, green, blue = colorsys.hsv_to_rgb(number / CALLERS, 0.9, 0.6 + 0.3 * (number % 2))
        color = (round(red * 255), round(green * 255), round(blue * 255))
        picture = _colored(astronaut, color)
        path = PATHS[number % len(PATHS)]
        files = {"file": (f"{number}.png", picture)}
        fields: dict[str, object] = {"formats": "png"}
        if path == "swap":
            files["source"] = (f"{number}.png", picture)
            fields["consent"] = True
        elif path == "restore":
            fields["identity"] = "off"
        else:
            fields |= {"background": "original", "shape": "none", "width": 160, "height": 160, "restore": False,
                       "white_balance": 0, "exposure": 0, "contrast": 0, "saturation": 0, "sharpen": 0}  # fmt: skip
        made.append(Call(path, color, files, fields))
    return made


def _pixels(client: httpx.Client, call: Call, *, kept: bool) -> NDArray[np.uint8]:
    """The picture that the caller gets: straight, or kept on the server and fetched."""
    headers = {} if kept else {"Accept": "image/png"}
    reply = client.post(f"/api/v1/{call.path}", files=call.files, data=call.fields, headers=headers)
    assert reply.status_code == 200, reply.text
    if kept:
        reply = client.get(reply.json()["artifacts"][0]["url"])
    return np.asarray(Pillow.open(io.BytesIO(reply.content)).convert("RGB"))


def test_nobody_receives_the_pixels_of_another(
    open_door: Callable[..., object], tiny: Studio, calls: list[Call]
) -> None:
    client = open_door(tiny, max_queued_jobs=100, max_concurrent_jobs=8).client
    alone = [_pixels(client, call, kept=False) for call in calls]
    for call, pixels in zip(calls, alone, strict=True):
        assert np.abs(pixels[2, 2].astype(int) - call.color).max() <= 3, call.path
    assert len({pixels.tobytes() for pixels in alone}) == CALLERS
    for call, pixels in zip(calls, alone, strict=True):
        if call.path != "portrait":  # the network has drawn: else the test would show nothing of it
            given = np.asarray(Pillow.open(io.BytesIO(call.files["file"][1])).convert("RGB"))
            assert (np.abs(pixels.astype(int) - given).max(axis=2) > 8).mean() > 0.01
    with ThreadPoolExecutor(CALLERS) as threads:
        for kept in (False, True):
            together = list(threads.map(lambda call, kept=kept: _pixels(client, call, kept=kept), calls))
            for call, expected, got in zip(calls, alone, together, strict=True):
                assert np.array_equal(got, expected), (call.path, call.color)
