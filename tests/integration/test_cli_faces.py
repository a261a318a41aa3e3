"""The face commands with the real starter models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from facecraft.cli.app import EXIT_CODES, run
from facecraft.errors import Kind
from facecraft.pipelines.face_reports import EmbeddingsReport
from facecraft.studio import Studio


@pytest.fixture(autouse=True)
def _models(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    if not studio.store.usable("dlib_resnet"):
        pytest.skip("dlib_resnet is not installed")
    monkeypatch.setenv("FACECRAFT_MODELS_DIR", str(studio.store.root))


def test_compare_ends_with_0_for_one_man_and_with_1_for_two(
    shared_photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    obama, again, group = (str(shared_photos / f"{name}.jpg") for name in ("obama", "obama2", "obama_and_biden"))
    assert run(["compare", obama, again]) == 0
    assert "the same person: similarity 0.9" in capsys.readouterr().out
    assert run(["compare", obama, again, "--threshold", "0.99"]) == 1
    assert "different people" in capsys.readouterr().out
    assert run(["compare", obama, group, "--faces", "all", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["matches"]
    other = row.index(False)
    assert run(["compare", group, obama, "--faces", "index", "--face-index", str(other)]) in (1, 3)


def test_embed_prints_vectors_that_the_library_compares(
    studio: Studio, shared_photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["embed", str(shared_photos / "obama.jpg"), "--json"]) == 0
    known = EmbeddingsReport.model_validate_json(capsys.readouterr().out)
    assert np.linalg.norm(known.vectors, axis=1) == pytest.approx(1, abs=1e-5)
    done = known.compare(studio.embed(shared_photos / "obama2.jpg"))
    assert done.matches is not None
    assert done.matches.all()
    assert run(["embed", str(shared_photos / "obama.jpg"), str(shared_photos / "obama2.jpg"), "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["model"] for line in lines] == ["dlib_resnet"] * 2


def test_attributes_without_a_model_name_the_command(shared_photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["attributes", str(shared_photos / "obama.jpg")]) == EXIT_CODES[Kind.UNAVAILABLE]
    assert "facecraft models install" in capsys.readouterr().err
    assert run(["attributes", str(shared_photos / "obama.jpg"), "--no-attributes"]) == 0
    assert "1 face" in capsys.readouterr().out


def test_swap_asks_for_a_source_and_consent(
    shared_photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, out = str(shared_photos / "obama.jpg"), str(tmp_path / "out.png")
    assert run(["swap", photo, "-o", out]) == 2
    assert "--source" in capsys.readouterr().err
    assert run(["swap", photo, "--source", photo, "-o", out]) == EXIT_CODES[Kind.FORBIDDEN]
    assert "consent" in capsys.readouterr().err
    assert run(["swap", photo, "--source", photo, "--consent", "-o", out]) == EXIT_CODES[Kind.UNAVAILABLE]
    monkeypatch.setenv("FACECRAFT_SWAP_ENABLED", "false")
    assert run(["swap", photo, "--source", photo, "--consent", "-o", out]) == EXIT_CODES[Kind.FORBIDDEN]
    assert "switched off" in capsys.readouterr().err
    assert not (tmp_path / "out.png").exists()


def test_upscale_writes_a_larger_picture(shared_photos: Path, tmp_path: Path) -> None:
    from PIL import Image as Pillow

    out = tmp_path / "large.jpg"
    assert (
        run(["upscale", str(shared_photos / "obama.jpg"), "-o", str(out), "--upscaler", "none", "--upscale", "1.5"])
        == 0
    )
    with Pillow.open(out) as large, Pillow.open(shared_photos / "obama.jpg") as small:
        assert large.width == pytest.approx(small.width * 1.5, abs=1)
