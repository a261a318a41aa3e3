"""Folders that cannot be written and disks that are full, while the server runs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from facecraft.api.app import create_app
from facecraft.errors import StorageError
from facecraft.studio import Studio

MIB = 1024 * 1024


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "full"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)


def test_a_results_folder_that_became_a_file_is_a_problem(
    open_door: Callable[..., object], studio: Studio, portrait_jpeg: bytes
) -> None:
    door = open_door(studio)
    shutil.rmtree(door.settings.output_dir)
    door.settings.output_dir.write_text("in the way")
    reply = door.client.post("/api/v1/process", files={"file": portrait_jpeg})
    assert reply.status_code == 503
    assert reply.json()["code"] in ("storage_denied", "storage_error")
    assert str(door.settings.output_dir) not in reply.text
    quick = door.client.post("/api/v1/process/quick", files={"file": portrait_jpeg})
    assert quick.status_code == 200  # needs no folder
    door.settings.output_dir.unlink()
    door.settings.output_dir.mkdir()
    assert door.client.post("/api/v1/process", files={"file": portrait_jpeg}).status_code == 200


def test_a_full_results_disk_is_a_507_and_leaves_no_half_result(
    open_door: Callable[..., object], studio: Studio, portrait_jpeg: bytes, full_disk: Path
) -> None:
    door = open_door(studio, output_dir=full_disk)
    reply = door.client.post("/api/v1/process", files={"file": portrait_jpeg})
    assert (reply.status_code, reply.json()["code"]) == (507, "storage_full")
    assert reply.json()["success"] is False
    assert not [path for path in full_disk.rglob("*") if path.is_file()]
    batch = door.client.post("/api/v1/process/batch", files=[("files", ("a.jpg", portrait_jpeg))])
    assert batch.json()["results"][0]["error"] == "storage_full"
    assert door.client.get("/health").status_code == 200


def test_an_upload_folder_that_is_full_is_a_507(open_door: Callable[..., object], full_disk: Path) -> None:
    door = open_door(upload_dir=full_disk)
    reply = door.client.post("/api/v1/portrait", files={"file": b"x" * (3 * MIB)})
    assert (reply.status_code, reply.json()["code"]) == (507, "storage_full")
    assert not list(full_disk.iterdir())
    assert door.client.post("/api/v1/portrait", files={"file": b"x"}).status_code == 415


def test_an_upload_folder_that_is_gone_is_a_problem(open_door: Callable[..., object]) -> None:
    door = open_door()
    door.settings.upload_dir.rmdir()
    reply = door.client.post("/api/v1/portrait", files={"file": b"x" * (3 * MIB)})
    assert (reply.status_code, reply.json()["code"]) == (503, "storage_denied")
    assert str(door.settings.upload_dir) not in reply.text
    assert door.client.post("/api/v1/portrait", files={"file": b"x"}).status_code == 415


def test_leftovers_are_removed_at_the_start_and_nothing_else(open_door: Callable[..., object], tmp_path: Path) -> None:
    folder = tmp_path / "uploads"
    folder.mkdir()
    (folder / "facecraft-upload-old").write_bytes(b"x")
    (folder / "holiday.jpg").write_bytes(b"somebody's only copy")
    open_door(upload_dir=folder)
    assert [path.name for path in folder.iterdir()] == ["holiday.jpg"]


def test_folders_that_cannot_be_made_stop_the_start(open_door: Callable[..., object], tmp_path: Path) -> None:
    import asyncio

    from facecraft.settings import Settings

    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    app = create_app(Settings(models_dir=tmp_path, upload_dir=blocked / "up", output_dir=tmp_path / "out"))

    async def start() -> None:
        async with app.router.lifespan_context(app):
            pass

    with pytest.raises(StorageError):
        asyncio.run(start())
