"""A reference face says who is replaced: the same over HTTP, from the terminal and from Python."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image as Pillow

from facecraft import Pipeline, SwapPresetOptions
from facecraft.catalog.catalog import Catalog
from facecraft.cli.app import EXIT_CODES, run
from facecraft.errors import InvalidOptionError, Kind, ReferenceNotFoundError
from facecraft.imaging import codecs
from facecraft.imaging.image import Image
from facecraft.studio import Studio
from services.pictures import BLUE, RED, beside, pale, tinted
from services.tiny_networks import tiny_studio

PATHS = ("/api/v1/swap", "/api/v1/faces/swap", "/api/v1/pipelines/run")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Studio]:
    with tiny_studio(tmp_path_factory.mktemp("tiny"), models_dir) as opened:
        yield opened


@pytest.fixture
def words(tiny: Studio, tmp_path: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A command without the name of its reference, over the rows of the tiny networks; the files lie beside it."""
    monkeypatch.setenv("FACECRAFT_MODELS_DIR", str(tiny.store.root))
    monkeypatch.setattr(Catalog, "load", lambda: tiny.store.catalog)
    for name, data in files.items():
        (tmp_path / f"{name}.png").write_bytes(data)
    target, source, out = (str(tmp_path / name) for name in ("people.png", "source.png", "out.png"))
    return ["swap", target, "--source", source, "--consent", "-o", out, "--reference"]


@pytest.fixture(scope="module")
def people(astronaut: Image) -> Image:
    """Somebody red on the left, somebody blue on the right."""
    return beside(tinted(astronaut, RED), tinted(astronaut, BLUE))


@pytest.fixture(scope="module")
def files(people: Image, astronaut: Image) -> dict[str, bytes]:
    """What a client sends, with references of the two and of somebody else."""
    references = {"red": tinted(astronaut, RED), "blue": tinted(astronaut, BLUE), "pale": pale(astronaut)}
    pictures = {"people": people, "source": astronaut, **references}
    return {name: codecs.encode_png(image.rgb) for name, image in pictures.items()}


def _halves(people: Image, made: np.ndarray) -> tuple[bool, bool]:
    changed = np.abs(made.astype(int) - people.rgb).max(axis=2) > 0
    return bool(changed[:, :512].any()), bool(changed[:, 512:].any())


def _pixels(data: bytes) -> np.ndarray:
    return np.asarray(Pillow.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize(("who", "halves"), [("red", (True, False)), ("blue", (False, True))])
def test_the_library_replaces_the_right_one(
    tiny: Studio, people: Image, files: dict[str, bytes], who: str, halves: tuple[bool, bool]
) -> None:
    done = tiny.swap(files["source"], files["people"], SwapPresetOptions(consent=True), reference=files[who])
    assert _halves(people, done.image.rgb) == halves
    assert tuple(face.chosen for face in done.report.faces) == halves


def test_the_restoration_after_it_is_of_the_replaced_face(tiny: Studio, people: Image, files: dict[str, bytes]) -> None:
    options = SwapPresetOptions(consent=True, restore=True)
    done = tiny.swap(files["source"], files["people"], options, reference=files["blue"])
    assert [(record.stage, record.face) for record in done.report.identity] == [("swap", 1), ("restore", 1)]
    assert not _halves(people, done.image.rgb)[0]


@pytest.mark.parametrize("path", PATHS)
def test_so_does_every_endpoint(
    open_door: Callable[..., object], tiny: Studio, people: Image, files: dict[str, bytes], path: str
) -> None:
    client: httpx.Client = open_door(tiny).client
    steps = {step.stage: step.options for step in SwapPresetOptions(consent=True).pipeline().steps}
    fields = {"pipeline": Pipeline.of(**steps).model_dump_json()} if "pipelines" in path else {"consent": "true"}

    def post(who: str) -> httpx.Response:
        sent = {"file": files["people"], "source": files["source"], "reference": files[who]}
        return client.post(path, files=sent, data=fields, headers={"Accept": "image/png"})

    for who, halves in (("red", (True, False)), ("blue", (False, True))):
        reply = post(who)
        assert reply.status_code == 200, reply.text
        assert _halves(people, _pixels(reply.content)) == halves
    problem = post("pale").json()
    assert (problem["status"], problem["code"]) == (422, "reference_not_found")
    assert "0.38 is needed" in problem["detail"]


def test_so_does_the_command(
    words: list[str], people: Image, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.png"
    assert run([*words, str(tmp_path / "blue.png")]) == 0
    assert _halves(people, _pixels(out.read_bytes())) == (False, True)
    assert run([*words, str(tmp_path / "pale.png")]) == EXIT_CODES[Kind.INVALID]
    assert "0.38 is needed" in capsys.readouterr().err
    assert run([*words, str(out)]) == 2
    assert "would overwrite" in capsys.readouterr().err
    assert run([*words, str(tmp_path / "nothing.png")]) == EXIT_CODES[Kind.NOT_FOUND]


def test_somebody_else_and_a_picture_that_no_preset_takes_are_refused(tiny: Studio, files: dict[str, bytes]) -> None:
    with pytest.raises(ReferenceNotFoundError):
        tiny.swap(files["source"], files["people"], SwapPresetOptions(consent=True), reference=files["pale"])
    with pytest.raises(InvalidOptionError, match="swap takes no picture named background_image"):
        tiny.make(files["people"], SwapPresetOptions(consent=True), companions={"background_image": files["red"]})
