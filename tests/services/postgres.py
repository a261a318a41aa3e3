"""A real Postgres for tests: Debian's binaries, run as a child process on a free loopback port."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from facecraft.db.opening import open_database
from services.folders import passing_folder
from services.ports import free_port

MISSING = "Postgres is not installed: apt-get install postgresql"
_ROOT = Path("/usr/lib/postgresql")


def binaries() -> Path | None:
    """The folder of the newest installed Postgres, or None."""
    found = [path.parent for path in _ROOT.glob("*/bin/postgres") if (path.parent / "initdb").is_file()]
    return max(found, key=lambda path: float(path.parent.name), default=None)


class PostgresServer:
    """One running server. `stop` and `start` keep the data and the port, for tests of restarts."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self._folder = folder
        self._programs = programs
        self._process: subprocess.Popen[bytes] | None = None
        self._template: str | None = None
        self.port = free_port()
        # Postgres refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(folder, self._user)
        self._run(
            "initdb", "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"
        )

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "HOME": str(self._folder)}

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        done = subprocess.run(
            command,
            user=self._user,
            cwd=self._folder,
            env=self._environment(),
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")

    def start(self) -> None:
        settings = (
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={self._folder}",
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
            "shared_buffers=64MB",
            "max_connections=100",
            "timezone=Asia/Kolkata",
        )  # fmt: skip - a zone that is not UTC finds a datetime that is not
        log = (self._folder / "log").open("ab")
        self._process = subprocess.Popen(
            [str(self._programs / "postgres"), "-D", str(self._folder / "data"), "-p", str(self.port)]
            + [part for setting in settings for part in ("-c", setting)],
            user=self._user, cwd=self._folder, env=self._environment(), stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        log.close()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            assert self._process.poll() is None, (self._folder / "log").read_text()
            ready = subprocess.run(
                [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)],
                env=self._environment(), timeout=10, check=False,
            )  # fmt: skip
            if ready.returncode == 0:
                return
            time.sleep(0.05)
        raise AssertionError("Postgres did not start")

    def stop(self) -> None:
        """Stop at once; connections are cut."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)  # "fast shutdown"
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._process = None

    def _migrated(self) -> str:
        """Return the name of a database with the tables of this version, which nobody is connected to."""
        if self._template is None:
            import psycopg

            with psycopg.connect(self.url(), autocommit=True) as connection:
                connection.execute("CREATE DATABASE migrated")
            open_database(self.url("migrated"), migrate=True).close()
            self._template = "migrated"
        return self._template

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    @contextlib.contextmanager
    def database(self, encoding: str = "UTF8", *, migrated: bool = False) -> Iterator[str]:
        """Make an empty database, or one with the tables of this version; yield its URL; drop it."""
        import psycopg

        name = f"t{uuid.uuid4().hex}"
        template = self._migrated() if migrated else "template0"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE \"{name}\" ENCODING '{encoding}' TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            with psycopg.connect(self.url(), autocommit=True) as connection:
                connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@contextlib.contextmanager
def run_postgres() -> Iterator[PostgresServer]:
    """Run a server until the block ends; skip the test with one line where Postgres is not installed."""
    programs = binaries()
    if programs is None:
        pytest.skip(MISSING)
    if os.geteuid() == 0:
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("Postgres does not run as root and there is no user `postgres`")
    # Not pytest's folder: another user must be able to reach it.
    folder = passing_folder("postgres")
    server = PostgresServer(folder, programs)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
