from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from facecraft.errors import ModelLoadError
from facecraft.inference.litert import LiteRtSession


@pytest.fixture(scope="module")
def selfie(models_dir: Path) -> Path:
    path = models_dir / "selfie_segmentation.tflite"
    if not path.is_file():
        pytest.skip(f"{path.name} is not installed")
    return path


@pytest.mark.parametrize("content", [b"", b"not a network", b"\x1c\x00\x00\x00TFL3" + b"\x00" * 64])
def test_a_broken_file_is_a_load_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelLoadError, match=r"broken\.tflite"):
        LiteRtSession(path)


def test_a_truncated_file_is_a_load_error(tmp_path: Path, selfie: Path) -> None:
    path = tmp_path / "half.tflite"
    path.write_bytes(selfie.read_bytes()[:100_000])
    with pytest.raises(ModelLoadError, match="damaged"):
        LiteRtSession(path)


def test_a_missing_file_is_a_load_error(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"none\.tflite cannot be read"):
        LiteRtSession(tmp_path / "none.tflite")


def test_interpreters_are_made_as_callers_come_and_no_more_than_allowed(selfie: Path) -> None:
    session = LiteRtSession(selfie, threads=1, callers=3)
    alone = session.size_bytes
    picture = {"input_1": np.zeros((1, 256, 256, 3), np.float32)}
    for _ in range(3):
        session.run(picture)
    assert session.size_bytes == alone, "one caller needs one interpreter"
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        for _ in range(5):
            session.run(picture)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    one = (alone - selfie.stat().st_size) // 1
    assert alone < session.size_bytes <= selfie.stat().st_size + 3 * one


def test_the_number_of_threads_does_not_change_the_result(selfie: Path) -> None:
    picture = {"input_1": np.random.default_rng(0).random((1, 256, 256, 3), np.float32)}
    one, two = (LiteRtSession(selfie, threads=threads).run(picture)["activation_10"] for threads in (1, 2))
    assert np.array_equal(one, two)


def test_stderr_stays_clean_and_other_writers_are_not_lost(selfie: Path) -> None:
    code = (
        "import os, sys, threading\n"
        "from facecraft.inference.litert import LiteRtSession, _without_chatter\n"
        "with _without_chatter():\n"
        "    os.write(2, b'from elsewhere\\n')\n"
        f"LiteRtSession({str(selfie)!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "from elsewhere\n")


def test_it_loads_where_stderr_is_closed(selfie: Path) -> None:
    code = (
        f"import os; os.close(2)\nfrom facecraft.inference.litert import LiteRtSession\nLiteRtSession({str(selfie)!r})"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.DEVNULL).returncode == 0
