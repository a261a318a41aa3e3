"""Fixtures that every test may use: real photos, installed models, synthetic pictures."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import platformdirs
import pytest

from facecraft.db.opening import open_database
from facecraft.imaging.image import Image
from facecraft.settings import Settings
from facecraft.studio import Studio

if TYPE_CHECKING:
    import httpx
    from fastapi import FastAPI

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
LOGGERS = ("facecraft", "uvicorn", "uvicorn.error", "celery", "python_multipart")

sys.path.append(str(ROOT / "tests"))  # for `services`: starters of real databases, brokers and stores

if TYPE_CHECKING:
    from services.postgres import PostgresServer
    from services.radosgw import RadosGateway
    from services.s3_quick import QuickS3


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    """Put the log back after every test: commands that run in this process write it to a stream that is then closed."""
    kept = [(logger, logger.handlers[:], logger.level, logger.propagate) for logger in map(logging.getLogger, LOGGERS)]
    yield
    for logger, handlers, level, propagate in kept:
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)


@pytest.fixture(scope="session")
def astronaut() -> Image:
    """The public-domain portrait that scikit-image ships: 512×512, one woman, upright."""
    from skimage import data

    return Image(np.ascontiguousarray(data.astronaut()))


@pytest.fixture(scope="session")
def shared_photos() -> Path:
    """The folder of real photos beside the checkout, where there is one."""
    folder = SHARED / "photos"
    if not folder.is_dir():
        pytest.skip("../shared/photos is not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The folder with installed models; `make models` fills it."""
    return Path(os.environ.get("FACECRAFT_MODELS_DIR") or Path(platformdirs.user_data_dir("facecraft")) / "models")


@pytest.fixture(scope="session")
def yunet_file(models_dir: Path) -> Path:
    """The real YuNet network, from the models folder or beside the checkout."""
    name = "face_detection_yunet_2023mar.onnx"
    for folder in (models_dir, SHARED / "models"):
        if (folder / name).is_file():
            return folder / name
    pytest.skip(f"{name} is neither installed nor in ../shared/models")


@pytest.fixture(scope="session")
def studio(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio over the installed starter models, with defaults and folders of its own."""
    folder = tmp_path_factory.mktemp("studio")
    settings = Settings(
        models_dir=models_dir,
        upload_dir=folder / "uploads",
        output_dir=folder / "results",
        crops_dir=folder / "crops",
        database_url=f"sqlite:///{folder / 'facecraft.db'}",
        device="cpu",
        offline=True,
    )
    with Studio.open(settings) as opened:
        missing = [spec.id for spec in opened.store.catalog.pack("starter") if not opened.store.usable(spec.id)]
        if missing:
            pytest.skip(f"the starter models are not installed (make models): {', '.join(missing)}")
        yield opened


@dataclass(frozen=True)
class Door:
    """A running server on the loopback address, the application in it and a client for it."""

    app: FastAPI
    settings: Settings
    client: httpx.Client
    port: int


@contextmanager
def _beside(studio: Studio, settings: Settings) -> Iterator[Studio]:
    """A studio with the networks of another, and folders and a database of its own."""
    own = Studio(settings, studio.store, studio.pool, studio.device)
    own.hub = studio.hub
    try:
        yield own
    finally:
        own.database.close()


@contextmanager
def _doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Door]]:
    import httpx
    import uvicorn

    from facecraft.api.app import create_app
    from facecraft.api.connections import Connection

    with ExitStack() as stack:

        def start(studio: Studio | None = None, **changes: object) -> Door:
            folder = tmp_path_factory.mktemp("door")
            own = {
                "models_dir": folder / "models",
                "upload_dir": folder / "uploads",
                "output_dir": folder / "results",
                "crops_dir": folder / "crops",
                "database_url": f"sqlite:///{folder / 'facecraft.db'}",
            }
            settings = Settings(**{"device": "cpu", "offline": True, **own, **changes})
            app = create_app(settings, None if studio is None else stack.enter_context(_beside(studio, settings)))
            server = uvicorn.Server(
                uvicorn.Config(
                    app,
                    port=0,
                    http=Connection,
                    log_config=None,
                    access_log=False,
                    timeout_graceful_shutdown=5,
                    proxy_headers=False,
                )
            )
            thread = threading.Thread(target=server.run, daemon=True)
            thread.start()
            deadline = time.monotonic() + 30
            while not server.started and thread.is_alive() and time.monotonic() < deadline:
                time.sleep(0.01)
            assert server.started, "the server did not start"
            port = server.servers[0].sockets[0].getsockname()[1]

            def stop() -> None:
                server.should_exit = True
                thread.join(timeout=30)

            stack.callback(stop)
            client = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60))
            return Door(app, settings, client, port)

        yield start


@pytest.fixture(scope="module")
def open_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Door]]:
    """Open real HTTP servers in this process; without a studio they have no models. Settings are given by name."""
    with _doors(tmp_path_factory) as start:
        yield start


@pytest.fixture
def open_own_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Door]]:
    """As ``open_door``, for servers on a database of one test: ask for it last, so that they end before it is gone."""
    with _doors(tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="module")
def door(open_door: Callable[..., Door]) -> Door:
    """A server without models, shared by the tests of a module."""
    return open_door()


@pytest.fixture(scope="session")
def portrait_jpeg(astronaut: Image) -> bytes:
    """The bytes of a photo as a client sends it."""
    from facecraft.imaging import codecs

    return codecs.encode_jpeg(astronaut.rgb, quality=92)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real Postgres server of this test run; skips where none is installed."""
    from services.postgres import run_postgres

    with run_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def quick_s3() -> Iterator[QuickS3]:
    """A quick S3 server of this test run, which checks no signatures; skips where moto is not installed."""
    from services.s3_quick import run_quick_s3

    with run_quick_s3() as server:
        yield server


@pytest.fixture(scope="session")
def ceph() -> Iterator[RadosGateway]:
    """A real S3 server of this test run, which checks signatures and expiry; skips where Ceph is not installed."""
    from services.radosgw import run_radosgw

    with run_radosgw() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables: every test runs on SQLite and on Postgres."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'facecraft.db'}"
    else:
        with request.getfixturevalue("postgres").database() as url:
            yield url


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with the tables of this version and nothing in them, to be copied."""
    file = tmp_path_factory.mktemp("migrated") / "facecraft.db"
    open_database(f"sqlite:///{file}", migrate=True).close()
    return file


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database with empty tables: every test runs on SQLite and on Postgres.

    It is a copy: migrating takes several times as long, and has tests of its own.
    """
    if request.param == "sqlite":
        file = tmp_path / "facecraft.db"
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), file)
        yield f"sqlite:///{file}"
    else:
        with request.getfixturevalue("postgres").database(migrated=True) as url:
            yield url
