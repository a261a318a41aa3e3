"""In what condition every model is, in one word that joins disk, memory and installation."""

from __future__ import annotations

import threading
import time
from enum import StrEnum

from facecraft.api.watching.installs import Installs
from facecraft.catalog.results import ModelState
from facecraft.inference.pool.states import LoadState
from facecraft.studio import Studio

FRESH_SECONDS = 2.0
"""For so long the disk is not asked again."""


class Condition(StrEnum):
    """What can be expected of a model."""

    ABSENT = "absent"
    INSTALLED = "installed"
    """Its file is here; it is loaded when it is first used."""
    LOADING = "loading"
    """It is being fetched or loaded at this moment."""
    READY = "ready"
    """It is in memory."""
    FAILED = "failed"
    """It could not be loaded, or its file is damaged or of unknown origin."""


class Conditions:
    """The condition of every model of the catalogue; the disk is asked now and then, the memory always."""

    def __init__(self, studio: Studio, installs: Installs) -> None:
        self._studio = studio
        self._installs = installs
        self._lock = threading.Lock()
        self._disk: dict[str, ModelState] = {}
        self._asked = -FRESH_SECONDS

    def now(self) -> dict[str, Condition]:
        """Return the condition of every model by its id. May read the disk: call it in a worker."""
        with self._lock:
            if time.monotonic() - self._asked >= FRESH_SECONDS:
                store = self._studio.store
                self._disk = {spec.id: store.state(spec.id) for spec in store.catalog}
                self._asked = time.monotonic()
            disk = self._disk
        held, coming = self._studio.pool.states(), self._installs.under_way
        return {
            model_id: _condition(state, held[model_id].state if model_id in held else None, coming=model_id in coming)
            for model_id, state in disk.items()
        }


def _condition(disk: ModelState, memory: LoadState | None, *, coming: bool) -> Condition:
    if memory is LoadState.LOADED:
        return Condition.READY
    if memory is LoadState.LOADING or (coming and disk is not ModelState.INSTALLED):
        return Condition.LOADING
    if memory is LoadState.FAILED or disk in (ModelState.CORRUPT, ModelState.UNVERIFIED):
        return Condition.FAILED
    return Condition.INSTALLED if disk is ModelState.INSTALLED else Condition.ABSENT
