"""What the store says of files that somebody put there, without any network."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from facecraft.catalog import Catalog, InstallStatus, LicensePolicy, ModelSpec, ModelState, ModelStore, Task
from facecraft.errors import (
    LicenseNotAcceptedError,
    ModelError,
    ModelIntegrityError,
    ModelNotInstallableError,
    ModelNotInstalledError,
    OfflineError,
    StorageAccessError,
    UnknownModelError,
)

BODY = b"weights of a very small network " * 100


def spec(name: str, **changes: object) -> ModelSpec:
    entry: dict[str, object] = {
        "id": name, "task": "matting", "architecture": "toy", "file": f"{name}.onnx", "bytes": len(BODY),
        "sha256": hashlib.sha256(BODY).hexdigest(), "evidence": "local", "license": "MIT", "commercial": True,
        "risk": "low", "runtime": "onnxruntime", "sources": [f"https://models.invalid/{name}.onnx"],
    }  # fmt: skip
    return ModelSpec.model_validate({**entry, **changes})


CATALOG = Catalog(
    [
        spec("fine"),
        spec("plain"),
        spec("research", commercial=False, license="Lab terms 1.0"),
        spec("needy", requires=["research"]),
        spec("blank", sha256=None, evidence=None, bytes=None),
        spec("inside", file=None, sources=[], sha256=None, evidence=None, bytes=None, runtime="dlib"),
    ],
    auto={Task.MATTING: ("research", "fine", "plain", "inside")},
)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(CATALOG, tmp_path / "models", offline=True)


def put(store: ModelStore, name: str, body: bytes = BODY) -> Path:
    store.root.mkdir(exist_ok=True)
    path = store.root / f"{name}.onnx"
    path.write_bytes(body)
    return path


def test_a_missing_model_names_the_command_that_installs_it(store: ModelStore) -> None:
    with pytest.raises(ModelNotInstalledError) as caught:
        store.path("fine")
    assert caught.value.hint == "facecraft models install fine"
    assert store.state("fine") is ModelState.ABSENT
    assert not store.root.exists(), "asking must not write"


def test_a_file_put_by_hand_is_used_once_it_is_right(store: ModelStore) -> None:
    path = put(store, "fine")
    assert store.installed("fine")
    assert store.path("fine") == path


@pytest.mark.parametrize(
    "body", [BODY[:-1], BODY + b"x", b"y" * len(BODY), b""], ids=["short", "long", "other", "empty"]
)
def test_a_wrong_file_is_never_given_out(store: ModelStore, body: bytes) -> None:
    put(store, "fine", body)
    assert store.state("fine") is ModelState.CORRUPT
    with pytest.raises(ModelIntegrityError) as caught:
        store.path("fine")
    assert caught.value.hint == "facecraft models install fine"
    assert store.candidates(Task.MATTING) == (CATALOG.get("inside"),)


def test_a_changed_file_is_noticed(store: ModelStore) -> None:
    path = put(store, "fine")
    store.path("fine")
    path.write_bytes(b"z" * len(BODY))
    os.utime(path, ns=(1, 1))
    with pytest.raises(ModelIntegrityError):
        store.path("fine")


def test_a_second_start_does_not_hash_again(store: ModelStore) -> None:
    path = put(store, "fine")
    store.path("fine")
    status = path.stat()
    # The proof: bytes changed behind the back of size and time are seen by a full check only.
    path.write_bytes(b"z" * len(BODY))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    again = ModelStore(CATALOG, store.root, offline=True)
    assert again.path("fine") == path
    assert [result.state for result in again.verify(["fine"])] == [ModelState.CORRUPT]
    with pytest.raises(ModelIntegrityError):
        again.path("fine")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"fine.onnx": 3}', '{"fine.onnx": {"size": "many"}}', "\0"])
def test_a_damaged_memory_is_rebuilt(store: ModelStore, text: str) -> None:
    put(store, "fine")
    (store.root / ".verified.json").write_text(text, "utf-8")
    assert store.installed("fine")
    assert json.loads((store.root / ".verified.json").read_text("utf-8"))["fine.onnx"]["size"] == len(BODY)


def test_without_a_published_checksum_nothing_is_loaded_or_fetched(store: ModelStore) -> None:
    with pytest.raises(ModelNotInstallableError):
        store.path("blank")
    put(store, "blank")
    assert store.state("blank") is ModelState.UNVERIFIED
    with pytest.raises(ModelNotInstallableError) as caught:
        store.path("blank")
    assert "neither fetched nor loaded" in (caught.value.hint or "")
    with pytest.raises(ModelNotInstallableError):
        store.install(["blank"])


def test_a_model_inside_its_runtime_is_always_there(store: ModelStore) -> None:
    assert store.installed("inside")
    assert store.usable("inside")
    assert [result.status for result in store.install(["inside"])] == [InstallStatus.ALREADY]
    with pytest.raises(ModelError, match="has no file"):
        store.path("inside")
    assert not store.remove(["inside"])[0].removed


def test_unknown_names(store: ModelStore) -> None:
    for ask in (store.state, store.path, store.usable):
        with pytest.raises(UnknownModelError):
            ask("fien")
    with pytest.raises(UnknownModelError) as caught:
        store.install(["fien"])
    assert caught.value.hint == "Did you mean fine?"


def test_restricted_weights_need_an_acceptance_on_disk(store: ModelStore) -> None:
    path = put(store, "research")
    with pytest.raises(LicenseNotAcceptedError) as caught:
        store.path("research")
    assert "Lab terms 1.0" in caught.value.message
    assert caught.value.hint == "facecraft models install research --accept-license"
    with pytest.raises(LicenseNotAcceptedError):
        store.install(["research"])
    assert not store.usable("research")

    store.install(["research"], accept_license=True)

    assert store.path("research") == path
    entry = json.loads((store.root / "licenses.json").read_text("utf-8"))["research"]
    assert entry["license"] == "Lab terms 1.0"
    assert entry["accepted"][:2] == "20"
    assert ModelStore(CATALOG, store.root).usable("research")


def test_acceptance_ends_when_the_licence_changes(store: ModelStore) -> None:
    put(store, "research")
    store.accept(["research", "fine"])
    assert store.accepted() == {"research": "Lab terms 1.0"}
    changed = Catalog([spec("research", commercial=False, license="Lab terms 2.0")])
    with pytest.raises(LicenseNotAcceptedError):
        ModelStore(changed, store.root).path("research")


def test_commercial_policy_never_loads_restricted_weights(store: ModelStore) -> None:
    put(store, "research")
    put(store, "needy")
    store.accept(["research"])
    assert store.usable("needy")
    strict = ModelStore(CATALOG, store.root, policy=LicensePolicy.COMMERCIAL)
    for attempt in (strict.path, lambda name: strict.install([name], accept_license=True)):
        with pytest.raises(LicenseNotAcceptedError, match="commercial"):
            attempt("research")
    assert not strict.usable("needy"), "what it requires is not permitted"
    assert [one.id for one in strict.candidates(Task.MATTING)] == ["inside"]


def test_auto_takes_the_best_that_is_here(store: ModelStore) -> None:
    assert [one.id for one in store.candidates(Task.MATTING)] == ["inside"]
    put(store, "plain")
    put(store, "research")
    assert [one.id for one in store.candidates(Task.MATTING)] == ["plain", "inside"]
    store.accept(["research"])
    assert [one.id for one in store.candidates(Task.MATTING)] == ["research", "plain", "inside"]
    assert store.candidates(Task.UPSCALE) == ()


def test_offline_forbids_fetching_and_nothing_else(store: ModelStore) -> None:
    put(store, "fine")
    assert [result.status for result in store.install(["fine"])] == [InstallStatus.ALREADY]
    with pytest.raises(OfflineError) as caught:
        store.install(["fine", "plain"])
    assert "plain" in caught.value.message
    assert "fine" not in caught.value.message
    assert "FACECRAFT_OFFLINE" in (caught.value.hint or "")


def test_search_folders_are_read_and_never_written(tmp_path: Path) -> None:
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    (shipped / "fine.onnx").write_bytes(BODY)
    store = ModelStore(CATALOG, tmp_path / "own", offline=True, search=(shipped,))
    assert store.path("fine") == shipped / "fine.onnx"
    put(store, "fine", b"damaged")
    assert store.path("fine") == shipped / "fine.onnx", "a damaged own copy does not hide a good one"
    store.remove(["fine"])
    assert store.path("fine") == shipped / "fine.onnx"
    assert [path.name for path in shipped.iterdir()] == ["fine.onnx"]


def test_a_single_model_may_lie_elsewhere_under_any_name(tmp_path: Path) -> None:
    place = tmp_path / "my-net.bin"
    store = ModelStore(CATALOG, tmp_path / "models", offline=True, places={"fine": place})
    assert store.state("fine") is ModelState.ABSENT
    place.write_bytes(BODY)
    assert store.path("fine") == place
    place.write_bytes(b"damaged")
    with pytest.raises(ModelIntegrityError):
        store.path("fine")
    put(store, "fine")
    assert store.path("fine") == store.root / "fine.onnx"


def test_verify_without_names_checks_what_is_here(store: ModelStore) -> None:
    put(store, "fine")
    put(store, "plain", b"x" * len(BODY))
    put(store, "blank")
    assert {result.model_id: result.state for result in store.verify()} == {
        "fine": ModelState.INSTALLED,
        "plain": ModelState.CORRUPT,
        "blank": ModelState.UNVERIFIED,
    }
    assert [result.ok for result in store.verify(["fine"])] == [True]
    missing = store.verify(["research"])[0]
    assert (missing.state, missing.ok) == (ModelState.ABSENT, False)


def test_remove_frees_the_bytes(store: ModelStore) -> None:
    path = put(store, "fine")
    store.path("fine")
    result = store.remove(["fine"])[0]
    assert (result.removed, result.freed) == (True, len(BODY))
    assert not path.exists()
    assert store.state("fine") is ModelState.ABSENT
    assert not store.remove(["fine"])[0].removed


def test_a_folder_in_the_place_of_a_file_is_no_model(store: ModelStore) -> None:
    (store.root / "fine.onnx").mkdir(parents=True)
    assert store.state("fine") is ModelState.ABSENT


def test_a_models_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = ModelStore(CATALOG, tmp_path / "file" / "models")
    with pytest.raises(StorageAccessError) as caught:
        store.install(["fine"])
    assert "writable" in (caught.value.hint or "")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_a_read_only_models_folder_still_serves(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(store, "fine")
    if os.geteuid() == 0:
        # Root may write anywhere; say for it what the operating system would say for others.
        monkeypatch.setattr("facecraft.catalog.records.os.access", lambda *_: False)
    store.root.chmod(0o555)
    try:
        assert store.path("fine") == path
        assert not (store.root / ".verified.json").exists()
    finally:
        store.root.chmod(0o755)
