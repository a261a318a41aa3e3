"""Which models exist, which are here, and under which licence."""

from __future__ import annotations

from collections.abc import Mapping

import anyio.to_thread
from fastapi import APIRouter
from pydantic import BaseModel

from facecraft.api.dependencies import ServicesOf
from facecraft.api.watching.conditions import Condition
from facecraft.studio import Studio

router = APIRouter(prefix="/api/v1", tags=["models"])


class ModelRecord(BaseModel):
    """One model of the catalogue."""

    id: str
    task: str
    architecture: str
    condition: Condition
    """absent, installed, loading, ready or failed: state and loaded in one word."""
    state: str
    """absent, installed, corrupt or unverified: what the disk holds."""
    loaded: str
    """unloaded, loading, loaded or failed: what the memory holds."""
    usable: bool
    """Installed, with all it needs, and permitted by licence policy and accepted licences."""
    license: str
    commercial: bool
    bytes: int | None
    memory_bytes: int
    runs: int
    packs: tuple[str, ...]
    url: str | None
    install: str
    """The command that installs it."""


def describe(studio: Studio, conditions: Mapping[str, Condition]) -> list[ModelRecord]:
    """Return every model of the catalogue with its state. Reads the disk."""
    pool = studio.pool.states()
    records = []
    for spec in studio.store.catalog:
        held = pool.get(spec.id)
        flag = "" if spec.commercial else " --accept-license"
        records.append(
            ModelRecord(
                id=spec.id,
                task=spec.task,
                architecture=spec.architecture,
                condition=conditions[spec.id],
                state=studio.store.state(spec.id),
                loaded="unloaded" if held is None else held.state,
                usable=studio.store.usable(spec.id),
                license=spec.license,
                commercial=spec.commercial,
                bytes=spec.bytes,
                memory_bytes=0 if held is None else held.size_bytes,
                runs=0 if held is None else held.runs,
                packs=spec.packs,
                url=spec.url,
                install=f"facecraft models install {spec.id}{flag}",
            )
        )
    return records


@router.get("/models")
async def models(services: ServicesOf) -> list[ModelRecord]:
    """List every model: state, size, licence."""
    return await anyio.to_thread.run_sync(lambda: describe(services.studio, services.conditions.now()))
