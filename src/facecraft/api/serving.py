"""The server around the application: this process prepared, the address asked for, and everything said at the start."""

from __future__ import annotations

import logging
import sys
from functools import partial

import uvicorn
from fastapi import FastAPI

from facecraft import telemetry
from facecraft.accounts.config import NOBODY, AuthMode
from facecraft.api.app import create_app
from facecraft.api.connections import Connection
from facecraft.api.listening import check_address
from facecraft.api.requests.uploads import clean
from facecraft.memory import keep_freed_memory
from facecraft.settings import Settings
from facecraft.storage import open_store
from facecraft.studio import Studio
from facecraft.studio.accounts import accounts_for
from facecraft.telemetry.serving import is_loopback

log = telemetry.logger("api")

GRACE_SECONDS = 20
"""How long a stopping server waits for requests that are under way."""
SWITCH_SECONDS = 0.0005
"""How soon a thread that computes in Python makes way for the event loop; Python's own 5 ms add up over threads."""


def from_environment() -> FastAPI:
    """Return the application with the settings of the environment: how every one of several processes starts."""
    settings = Settings.load()
    _prepare(settings)
    return create_app(settings)


def _prepare(settings: Settings) -> None:
    """Set up this process: the log, and threads that make way for the event loop, memory that is used again."""
    telemetry.configure(level="DEBUG" if settings.debug else settings.log_level, json=settings.log_json)
    for name in ("uvicorn", "uvicorn.error"):
        server = logging.getLogger(name)
        server.handlers[:] = logging.getLogger("facecraft").handlers if name == "uvicorn" else []
        server.propagate = name != "uvicorn"
        server.setLevel(settings.log_level)
    # What it warns of is said to whoever sent the form.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    sys.setswitchinterval(SWITCH_SECONDS)
    keep_freed_memory()


def serve(settings: Settings) -> None:
    """Listen until the process is told to stop. Several workers find ``settings`` in their environment.

    Raises ConfigurationError (also for an address that cannot be had and for a database that was not migrated),
    ProviderUnavailableError and StorageError before it listens.
    """
    _prepare(settings)
    for line in Settings.misspelled():
        log.warning("%s", line)
    check_address(settings.host, settings.port)
    open_store(settings, settings.output_dir).check()
    clean(settings.upload_dir)
    run = partial(
        uvicorn.run,
        host=settings.host,
        port=settings.port,
        http=Connection,
        log_config=None,
        access_log=False,
        proxy_headers=False,  # who may tell the caller's address is decided by FACECRAFT_TRUSTED_PROXIES
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    with Studio.open(settings) as studio:
        studio.database.check()
        with studio.database.write():
            pass  # a database that can only be read is said now, not with the first job
        _warn(settings, studio)
        if settings.workers == 1:
            run(create_app(settings, studio))
            return
    settings.hand_down()
    run("facecraft.api.serving:from_environment", factory=True, workers=settings.workers)


def _warn(settings: Settings, studio: Studio) -> None:
    """Say loudly that everybody may use a server that is not for this machine alone, and that nobody may use one."""
    accounts = accounts_for(settings, studio)
    try:
        known = accounts.exist()
        keyed = settings.api_key is not None
        closed = settings.auth is AuthMode.REQUIRED or (
            settings.auth is AuthMode.AUTO and (keyed or (known and accounts.open().callers.anybody()))
        )
        somebody = keyed or (known and accounts.open().callers.present())
    finally:
        accounts.close()
    if closed and not somebody:
        log.warning(NOBODY)
    elif not closed and not is_loopback(settings.host):
        log.warning(
            "ANYBODY WHO REACHES %s:%s MAY USE THIS SERVER: no API key is set and there are no users. Set "
            "FACECRAFT_API_KEY (openssl rand -hex 32), make a user (facecraft users create), or listen on 127.0.0.1.",
            settings.host,
            settings.port,
        )
