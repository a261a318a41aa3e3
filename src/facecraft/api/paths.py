"""Paths of routes by their names, for links."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI, Request


class Paths:
    """The paths of an application. Each route is looked up once.

    The framework goes through all routes for each link; with a hundred of them that takes longer than all else that
    is told of a job.
    """

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._templates: dict[str, str] = {}

    def of(self, route: str, parts: dict[str, str]) -> str:
        """Return the path of ``route`` with ``parts`` in it."""
        template = self._templates.get(route)
        if template is None:
            template = self._templates[route] = self._template(route, tuple(parts))
        return template.format_map(parts)

    def _template(self, route: str, names: Sequence[str]) -> str:
        return str(self._app.url_path_for(route, **{name: f"{{{name}}}" for name in names}))


def path_of(request: Request, route: str, **parts: str) -> str:
    """Return the path of a route, on whatever host and below whatever prefix we are served."""
    paths: Paths = request.app.state.paths
    return f"{request.scope.get('root_path', '').rstrip('/')}{paths.of(route, parts)}"
