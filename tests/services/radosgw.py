"""A real S3 server for tests: Ceph's monitor, one store in memory and the gateway, as child processes.

It checks signatures and expiry, which a quick fake does not.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from services.folders import passing_folder
from services.ports import free_port
from services.s3_quick import S3Account

_PROGRAMS = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
MISSING = "Ceph's gateway is not installed: apt-get install radosgw ceph-mon ceph-osd ceph-mgr ceph-common"

_CONFIG = """
[global]
fsid = {fsid}
mon_host = v2:127.0.0.1:{port}
keyring = {folder}/keyring
public_network = 127.0.0.0/8
ms_bind_ipv6 = false
run_dir = {folder}
admin_socket =
log_file = {folder}/$name.log
crash_dir = {folder}/crash
pid_file =
mon_data = {folder}/mon
mon_data_avail_warn = 1
mon_data_avail_crit = 0
mon_allow_pool_size_one = true
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
osd_data = {folder}/osd
osd_objectstore = memstore
memstore_device_bytes = 1073741824
osd_crush_chooseleaf_type = 0
osd_max_object_name_len = 256
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pg_autoscale_mode = off
rgw_data = {folder}/rgw
rgw_enable_usage_log = false
"""
_DAEMONS = {
    "mon.": ("mon", "allow *"),
    "client.admin": ("mon", "allow *", "osd", "allow *", "mgr", "allow *"),
    "osd.0": ("mon", "allow profile osd", "osd", "allow *"),
}


class RadosGateway:
    """One running gateway with one account and no buckets."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._config = folder / "ceph.conf"
        self._daemons: list[subprocess.Popen[bytes]] = []
        self.account = S3Account(f"http://127.0.0.1:{free_port()}", "facecraft-test", uuid.uuid4().hex)

    def start(self) -> None:
        """Start the monitor, the store and the gateway, and wait until it answers."""
        fsid, monitor = str(uuid.uuid4()), free_port()
        self._config.write_text(_CONFIG.format(fsid=fsid, port=monitor, folder=self._folder))
        for name in ("mon", "osd", "rgw"):
            (self._folder / name).mkdir()
        keyring = str(self._folder / "keyring")
        for number, (name, rights) in enumerate(_DAEMONS.items()):
            caps = [part for who, what in zip(rights[::2], rights[1::2], strict=True) for part in ("--cap", who, what)]
            self._run("ceph-authtool", *(["-C"] if number == 0 else []), keyring, "--gen-key", "-n", name, *caps)
        address = f"[v2:127.0.0.1:{monitor}/0]"
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", address, str(self._folder / "map"))
        self._run("ceph-mon", "-i", "a", "--mkfs", "--monmap", str(self._folder / "map"), "--keyring", keyring)
        self._spawn("ceph-mon", "-i", "a")
        identity = str(uuid.uuid4())
        self._run("ceph", "--connect-timeout", "30", "osd", "new", identity)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", identity)
        self._run("ceph", "--connect-timeout", "30", "osd", "crush", "add", "osd.0", "1", "root=default", "host=test")
        self._spawn("ceph-osd", "-i", "0")
        self._run(
            "radosgw-admin", "user", "create", "--uid=test", "--display-name=test",
            f"--access-key={self.account.access_key}", f"--secret={self.account.secret_key}",
        )  # fmt: skip
        port = httpx.URL(self.account.endpoint).port
        self._spawn("radosgw", "-n", "client.admin", f"--rgw-frontends=beast endpoint=127.0.0.1:{port}")
        self._wait()

    def limit(self, bucket: str, size: int) -> None:
        """Let a bucket hold ``size`` bytes at most."""
        self._run(
            "radosgw-admin", "quota", "set", "--quota-scope=bucket", f"--bucket={bucket}", "--uid=test",
            f"--max-size={size}",
        )  # fmt: skip
        self._run("radosgw-admin", "quota", "enable", "--quota-scope=bucket", f"--bucket={bucket}", "--uid=test")

    def _run(self, program: str, *arguments: str) -> None:
        configured = [] if program in ("monmaptool", "ceph-authtool") else ["-c", str(self._config)]
        command = [program, *configured, *arguments]
        done = subprocess.run(command, cwd=self._folder, capture_output=True, timeout=90, check=False)
        assert done.returncode == 0, f"{program}: {done.stderr.decode(errors='replace')[-2000:]}"

    def _spawn(self, program: str, *arguments: str) -> None:
        with (self._folder / "output").open("ab") as output:
            self._daemons.append(
                subprocess.Popen(
                    [program, "-c", str(self._config), *arguments, "-f"],
                    cwd=self._folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                )
            )  # fmt: skip

    def _wait(self) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            for daemon in self._daemons:
                assert daemon.poll() is None, (self._folder / "output").read_text(errors="replace")[-2000:]
            with contextlib.suppress(httpx.TransportError):
                httpx.get(self.account.endpoint, timeout=5, trust_env=False)
                return
            time.sleep(0.05)
        raise AssertionError("Ceph's gateway did not start")

    def stop(self) -> None:
        """Stop all daemons at once: nothing of theirs is kept."""
        for daemon in self._daemons:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(daemon.pid, signal.SIGKILL)
        for daemon in self._daemons:
            daemon.wait(10)
        self._daemons.clear()


@contextlib.contextmanager
def run_radosgw() -> Iterator[RadosGateway]:
    """Run a gateway until the block ends; skip the test with one line where Ceph is not installed."""
    if any(shutil.which(program) is None for program in _PROGRAMS):
        pytest.skip(MISSING)
    # Not pytest's folder: paths of sockets have to be short.
    folder = passing_folder("ceph")
    gateway = RadosGateway(folder)
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.stop()
        shutil.rmtree(folder, ignore_errors=True)
