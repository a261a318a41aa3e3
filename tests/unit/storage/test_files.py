"""Files that are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from facecraft.errors import StorageAccessError
from facecraft.storage import write_file


def test_a_file_is_written_with_its_folder_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.png"
    write_file(path, b"1")
    path.chmod(0o600)
    write_file(path, b"22")
    assert path.read_bytes() == b"22"
    assert path.stat().st_mode & 0o777 == 0o600  # what the operator chose stays
    assert [entry.name for entry in path.parent.iterdir()] == ["a.png"]


def test_what_cannot_be_written_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(StorageAccessError, match=r"a\.png cannot be written"):
        write_file(tmp_path / "a.png", b"1")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]
