"""The secret that is made once and kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from facecraft.accounts.config import check_secret
from facecraft.accounts.signing import kept_secret
from facecraft.errors import ConfigurationError, StorageAccessError


def test_it_is_made_once_for_this_user_only(tmp_path: Path) -> None:
    path = tmp_path / "data" / "jwt-secret"
    secret = kept_secret(path)
    check_secret(secret)
    assert kept_secret(path) == secret
    assert path.stat().st_mode & 0o777 == 0o600
    assert {file.name for file in path.parent.iterdir()} <= {"jwt-secret", "jwt-secret.lock"}


def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from facecraft.accounts.signing import kept_secret; "
    code += "sys.stdin.readline(); print(kept_secret(Path(sys.argv[1])))"
    command = [sys.executable, "-c", code, str(tmp_path / "jwt-secret")]
    started = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    try:
        for process in started:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        found = {process.communicate(timeout=60)[0].strip() for process in started}
    finally:
        for process in started:
            process.kill()
            process.wait(10)
    assert len(found) == 1
    assert found == {kept_secret(tmp_path / "jwt-secret")}


def test_a_file_without_a_secret_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "jwt-secret"
    path.write_text("short\n")
    with pytest.raises(ConfigurationError, match="holds no secret"):
        kept_secret(path)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_others_who_may_read_it_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "jwt-secret"
    secret = kept_secret(path)
    path.chmod(0o644)
    assert kept_secret(path) == secret
    assert "can be read by others" in caplog.text
    assert secret not in caplog.text


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageAccessError):
        kept_secret(tmp_path / "file" / "jwt-secret")
