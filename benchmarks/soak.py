"""Thousands of mixed pictures through one Studio: does the memory stay flat?

    python benchmarks/soak.py [--images 2000] [--threads 2] [--photos FOLDER]

Portraits, cut-outs and detections of the sample and of your own photos in many sizes and in every format that is
read, one in a hundred with 12 megapixels, and every tenth input a bad one, all made in memory. The resident memory is
sampled between groups, when nothing is in flight. The first fifth is warm-up: networks load, arenas and caches fill.
The run fails (exit 1) when the median of the last tenth is more than 5 % above that of the tenth after the warm-up;
slope and largest value are printed beside it.
"""

from __future__ import annotations

import argparse
import gc
import io
import os
import random
import resource
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image

from facecraft import CutoutPresetOptions, FacecraftError, PortraitOptions, Studio
from facecraft.cli.sample import sample
from facecraft.memory import keep_freed_memory

WARM_UP = 0.2
TOLERANCE = 0.05
SIDES = (96, 200, 320, 512, 700, 900, 1200, 1600)
FORMATS: dict[str, dict[str, Any]] = {
    "JPEG": {}, "PNG": {}, "WEBP": {}, "BMP": {}, "TIFF": {}, "GIF": {},
    # Written as fast as can be: what is looked at is the reading.
    "HEIF": {"enc_params": {"preset": "ultrafast"}}, "AVIF": {"speed": 10},
}  # fmt: skip
LARGEST = 1600
"""The longest side that is kept of a photo in memory."""
LARGE = (3000, 4000)
"""The size of a picture of a phone, 12 megapixels; one in ``EVERY`` has it."""
EVERY = 100


def resident_mb() -> float:
    """Resident memory of this process in MB; its peak where the system tells no more."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def reduced(data: bytes) -> Image.Image:
    """Return the photo in ``data``, no larger than it is needed."""
    photo = Image.open(io.BytesIO(data)).convert("RGB")
    photo.thumbnail((LARGEST, LARGEST))
    return photo


def bad_input(rng: random.Random) -> bytes:
    """Return something that is not a whole picture."""
    return rng.choice(
        [b"", b"<svg/>" * 50, sample()[: rng.randrange(200, 40_000)], rng.randbytes(5000), b"%PDF-1.7\n" * 9]
    )


def pictures(count: int, photos: Sequence[Image.Image]) -> Iterator[tuple[str, bytes]]:
    """Yield what to do and the bytes to do it with, made of ``photos``; the same ones in every run."""
    rng = random.Random(20)  # noqa: S311 - pictures, not secrets
    for index in range(count):
        if index % 10 == 9:
            yield "portrait", bad_input(rng)
            continue
        portrait = rng.choice(photos)
        if index % EVERY == EVERY // 2:
            out = io.BytesIO()
            kind = rng.choice(("JPEG", "HEIF"))
            portrait.resize(LARGE).save(out, kind, **FORMATS[kind])
            yield "portrait", out.getvalue()
            continue
        width = rng.choice(SIDES)
        picture = portrait.resize((width, max(64, round(width * rng.uniform(0.8, 1.3)))))
        if index % 13 == 0:
            picture = picture.rotate(rng.choice((90, 180, 270)), expand=True)
        if index % 17 == 0:
            picture = Image.fromarray(np.full((picture.height, picture.width, 3), 120, np.uint8))
        out = io.BytesIO()
        kind = rng.choice(tuple(FORMATS))
        picture.save(out, kind, **FORMATS[kind])
        yield rng.choice(("portrait", "portrait", "cutout", "detect")), out.getvalue()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=2, help="pictures at once")
    parser.add_argument("--photos", type=Path, help="a folder of JPEG photos to use beside the sample")
    arguments = parser.parse_args()
    keep_freed_memory()  # as the server does
    own = sorted(arguments.photos.glob("*.jpg")) if arguments.photos else []
    photos = [reduced(data) for data in (sample(), *(path.read_bytes() for path in own))]
    pillow_heif.register_heif_opener()
    counts: Counter[str] = Counter()
    memory: list[float] = []
    start = time.perf_counter()
    with Studio.open() as studio, ThreadPoolExecutor(arguments.threads) as pool:
        work: dict[str, Callable[[bytes], object]] = {
            "portrait": lambda data: studio.portrait(data, PortraitOptions(formats=("png", "jpeg", "webp"))),
            "cutout": lambda data: studio.cutout(data, CutoutPresetOptions()),
            "detect": studio.detect,
        }

        def one(item: tuple[str, bytes]) -> str:
            kind, data = item
            try:
                work[kind](data)
            except FacecraftError as error:
                return error.code
            return kind

        items = pictures(arguments.images, photos)
        # In small groups, so that no more than one group of files waits in memory.
        while group := [item for _, item in zip(range(arguments.threads * 2), items, strict=False)]:
            counts.update(pool.map(one, group))
            # Nothing is in flight now: what is resident is what stays.
            memory.append(resident_mb())
            done = counts.total()
            if done // 100 != (done - len(group)) // 100:
                print(f"{done:6d} pictures  {memory[-1]:7.1f} MB  {time.perf_counter() - start:7.1f} s", flush=True)
        gc.collect()
    return verdict(memory, counts, time.perf_counter() - start)


def verdict(memory: list[float], counts: Counter[str], seconds: float) -> int:
    """Print what was seen and return the exit code."""
    print(", ".join(f"{name} {number}" for name, number in counts.most_common()))
    settled = memory[round(WARM_UP * len(memory)) :]
    tenth = max(1, len(memory) // 10)
    first, last = statistics.median(settled[:tenth]), statistics.median(settled[-tenth:])
    done = counts.total()
    per_sample = float(np.polyfit(np.arange(len(settled)), settled, 1)[0]) if len(settled) > 1 else 0.0
    slope = per_sample * 1000 * len(memory) / max(1, done)
    growth = last / first - 1
    print(
        f"{done} pictures in {seconds:.0f} s · {first:.1f} MB after the warm-up, {last:.1f} MB at the end: "
        f"{growth:+.1%} · slope {slope:+.2f} MB per 1000 · largest {max(memory):.1f} MB"
    )
    if growth > TOLERANCE:
        print(f"FAILED: the memory grew by more than {TOLERANCE:.0%}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
