"""Numbers for Prometheus."""

from __future__ import annotations

import anyio.to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from facecraft.api.callers.owners import OverseerOf
from facecraft.api.dependencies import ServicesOf

router = APIRouter(tags=["service"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"description": "Numbers, one on each line", "content": {"text/plain": {}}}},
)
async def metrics(request: Request, services: ServicesOf, _: OverseerOf) -> Response:
    """Tell Prometheus the numbers of this process, and of all jobs and workers over its database."""
    body, media_type = await anyio.to_thread.run_sync(services.metrics.text, request.headers.get("accept", ""))
    return Response(body, headers={"Content-Type": media_type})
