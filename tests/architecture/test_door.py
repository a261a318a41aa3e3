"""Rules of the HTTP door that no linter knows."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from facecraft.api.app import create_app
from facecraft.settings import Settings


def calls(dependant: Dependant) -> Iterator[object]:
    yield dependant.call
    for each in dependant.dependencies:
        yield from calls(each)


def test_nothing_of_a_request_waits_for_a_thread_unasked(tmp_path: Path) -> None:
    """The framework sends what is no coroutine to a thread; a route that needs one says so itself."""
    app = create_app(Settings(output_dir=tmp_path, upload_dir=tmp_path))
    routes = [route for route in walk(app.routes) if isinstance(route, APIRoute)]
    assert len(routes) > 60
    blocking = {
        f"{getattr(call, '__module__', '')}.{getattr(call, '__qualname__', call)}"
        for route in routes
        for call in calls(route.dependant)
        if not inspect.iscoroutinefunction(call)
    }
    assert blocking == {"facecraft.api.routes.docs.asset"}  # reads a file and waits for nothing else


def walk(routes: Sequence[object]) -> Iterator[object]:
    """Yield every route, of routers that are included, too: newer versions of the framework keep them whole."""
    for route in routes:
        yield route
        yield from walk(getattr(getattr(route, "original_router", route), "routes", ()))
