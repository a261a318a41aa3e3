"""A quick S3 server for tests: moto in a process of its own. It checks neither keys nor expiry."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace

import httpx
import pytest

from facecraft.storage.config import StorageConfig
from services.ports import free_port

MISSING = "moto is not installed: pip install 'facecraft[dev]'"


@dataclass(frozen=True)
class S3Account:
    """Somebody who may make buckets."""

    endpoint: str
    access_key: str
    secret_key: str

    def bucket(self) -> str:
        """Make an empty bucket and return its name."""
        import boto3
        from botocore.config import Config

        name = f"t{uuid.uuid4().hex}"
        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(s3={"addressing_style": "path"}, proxies={}, retries={"max_attempts": 2}),
        )
        with contextlib.closing(client):
            client.create_bucket(Bucket=name)
        return name

    def config(self, bucket: str) -> StorageConfig:
        """Return the settings for a bucket."""
        return StorageConfig(
            s3_bucket=bucket, s3_endpoint=self.endpoint, s3_access_key=self.access_key, s3_secret_key=self.secret_key
        )

    def with_secret(self, secret_key: str) -> S3Account:
        """Return the account as somebody sees it who has another secret."""
        return replace(self, secret_key=secret_key)


class QuickS3:
    """One running server. What it keeps is lost with it; `freeze` lets it take connections and answer none."""

    def __init__(self) -> None:
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.account = S3Account(f"http://127.0.0.1:{self._port}", "quick", "not-checked")

    def start(self) -> None:
        """Start, and wait until it answers."""
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self._port)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self._process.poll() is None, "moto ended by itself"
            with contextlib.suppress(httpx.TransportError):
                httpx.get(self.account.endpoint, timeout=5, trust_env=False)
                return
            time.sleep(0.05)
        raise AssertionError("moto did not start")

    def freeze(self) -> None:
        """Stop answering without closing the port."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def stop(self) -> None:
        """Stop at once."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        self._process = None


@contextlib.contextmanager
def run_quick_s3() -> Iterator[QuickS3]:
    """Run a server until the block ends; skip the test with one line where moto is not installed."""
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask") is None:
        pytest.skip(MISSING)
    server = QuickS3()
    try:
        server.start()
        yield server
    finally:
        server.stop()
