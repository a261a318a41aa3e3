"""A runtime that is not installed is named, with the command that installs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT = """
import sys
sys.modules[sys.argv[1]] = None  # Python's own way to say: not importable
from facecraft.errors import RuntimeMissingError
from facecraft.inference.litert import LiteRtSession
from facecraft.inference.onnx import OnnxSession
from facecraft.inference.dlib import DlibDetector, DlibShapePredictor
from facecraft.inference.devices import resolve
try:
    {call}
except RuntimeMissingError as error:
    print(error.message, error.hint, sep="|")
"""


def said(module: str, call: str, folder: Path) -> str:
    (folder / "net.bin").write_bytes(b"x")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(call=call), module],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("module", "call", "name", "command"),
    [
        (
            "ai_edge_litert.interpreter",
            "LiteRtSession('net.bin')",
            "net.bin needs LiteRT",
            "pip install ai-edge-litert",
        ),
        ("onnxruntime", "OnnxSession('net.bin')", "net.bin needs ONNX Runtime", "pip install 'facecraft[cpu]'"),
        ("dlib", "DlibDetector()", "needs dlib", "pip install 'facecraft[dlib]'"),
        ("dlib", "DlibShapePredictor('net.bin')", "needs dlib", "pip install 'facecraft[dlib]'"),
    ],
)
def test_a_missing_runtime_is_named(tmp_path: Path, module: str, call: str, name: str, command: str) -> None:
    message, hint = said(module, call, tmp_path).split("|")
    assert name in message
    assert command in hint


def test_auto_says_that_there_is_no_onnxruntime(tmp_path: Path) -> None:
    assert said("onnxruntime", "print(resolve('auto').reason)", tmp_path) == "onnxruntime is not installed"
