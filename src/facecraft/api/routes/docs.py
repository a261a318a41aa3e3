"""The interactive documentation, from files of its own: a browser fetches nothing from anybody else."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, HTTPException, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, RedirectResponse, Response

router = APIRouter(include_in_schema=False)

PAGE = "/docs"
ASSETS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
"""What the page loads, from the package that ships Swagger UI."""
_ICON = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'/>"


@router.get("/")
async def index() -> RedirectResponse:
    """Lead to the documentation, wherever a proxy has mounted this server."""
    return RedirectResponse("docs")


@router.get(PAGE)
async def page(request: Request) -> HTMLResponse:
    """Return the page of Swagger UI."""
    root = request.scope.get("root_path", "").rstrip("/")
    return get_swagger_ui_html(
        openapi_url=f"{root}/openapi.json",
        title=request.app.title,
        swagger_js_url=f"{root}{PAGE}/swagger-ui-bundle.js",
        swagger_css_url=f"{root}{PAGE}/swagger-ui.css",
        swagger_favicon_url=_ICON,
    )


@router.get(PAGE + "/{name}")
def asset(name: str) -> Response:
    """Return one file of Swagger UI; anything else is not found."""
    kind = ASSETS.get(name)
    if kind is None:
        raise HTTPException(404)
    data = files("fastapi_swagger").joinpath("resources", name).read_bytes()
    return Response(data, media_type=kind, headers={"Cache-Control": "public, max-age=86400"})
