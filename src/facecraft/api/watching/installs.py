"""Installing what a request lacks, in the background and one at a time, where the operator allows it."""

from __future__ import annotations

import threading
import time

from facecraft import telemetry
from facecraft.catalog.store import ModelStore
from facecraft.errors import FacecraftError, ModelError, ModelInstallingError, ModelNotInstalledError
from facecraft.progress import CancelToken

PAUSE_SECONDS = 60.0
"""After a failure the same models are not tried again sooner."""

log = telemetry.logger("api")


class Installs:
    """Starts at most one installation at a time; never inside a request, and never of what would need an acceptance."""

    def __init__(self, store: ModelStore, *, enabled: bool) -> None:
        self._store = store
        self._enabled = enabled
        self._lock = threading.Lock()
        self._cancel = CancelToken()
        self._thread: threading.Thread | None = None
        self._wanted: tuple[str, ...] = ()
        self._failed: dict[tuple[str, ...], tuple[float, FacecraftError]] = {}

    @property
    def under_way(self) -> tuple[str, ...]:
        """The models that are being installed at this moment."""
        with self._lock:
            return self._wanted if self._running() else ()

    def instead(self, error: ModelNotInstalledError) -> ModelError:
        """Start the installation that ``error`` calls for, where that is allowed; return what the client is told.

        That is ModelInstallingError while anything is being installed, and otherwise ``error``.
        """
        if not self._enabled or self._store.offline or not self._allowed(error.wanted):
            return error
        with self._lock:
            if not self._running():
                if self._cancel.cancelled:
                    return error
                failed = self._failed.get(error.wanted)
                if failed is not None and time.monotonic() - failed[0] < PAUSE_SECONDS:
                    return ModelNotInstalledError(
                        f"{error.message} Its installation failed: {failed[1].message}", hint=error.hint
                    )
                self._wanted = error.wanted
                self._thread = threading.Thread(target=self._install, name="facecraft-install", daemon=True)
                self._thread.start()
            return ModelInstallingError(f"{', '.join(self._wanted)} is being installed.")

    def close(self) -> None:
        """Stop what is under way and wait until it has ended."""
        self._cancel.cancel()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _allowed(self, wanted: tuple[str, ...]) -> bool:
        """Whether all of ``wanted`` and what they need may be fetched unattended, within policy and licences."""
        specs = self._store.catalog.with_requirements(self._store.catalog.resolve(wanted))
        return bool(specs) and all(spec.installable and self._store.permitted(spec.id) for spec in specs)

    def _install(self) -> None:
        wanted = self._wanted
        log.info("installing %s", ", ".join(wanted))
        try:
            self._store.install(wanted, cancel=self._cancel)
        except FacecraftError as error:
            log.warning(
                "%s could not be installed: %s", ", ".join(wanted), error.message, extra={"detail": error.detail}
            )
            with self._lock:
                self._failed[wanted] = (time.monotonic(), error)
        else:
            log.info("installed %s", ", ".join(wanted))
