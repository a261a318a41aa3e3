"""Numbers for Prometheus."""

from __future__ import annotations

from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Header
from starlette.responses import Response

from facecraft.api.dependencies import ServicesOf
from facecraft.api.owners import OverseerOf

router = APIRouter(tags=["service"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"description": "Numbers, one on each line", "content": {"text/plain": {}}}},
)
async def metrics(services: ServicesOf, _: OverseerOf, accept: Annotated[str, Header()] = "") -> Response:
    """Tell Prometheus the numbers of this process, and of all jobs and workers over its database."""
    body, media_type = await anyio.to_thread.run_sync(services.metrics.text, accept)
    return Response(body, headers={"Content-Type": media_type})
