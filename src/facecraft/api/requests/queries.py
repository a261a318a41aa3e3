"""Refuses parameters of the query that nobody reads: a misspelled one would be left out without a word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.responses import Response

ACCESS_TOKEN = "access_token"  # noqa: S105 - a name
"""Read by the gate, of every GET."""
_SHOWN = 40


async def known_query(request: Request) -> None:
    """Refuse a GET of JSON with a parameter that its route does not read. Raises RequestValidationError.

    Links to files stay lenient: whoever passes them on adds marks of their own. To be given to a router as a dependency.
    """
    route = request.scope.get("route")
    if not request.query_params or request.method != "GET" or not isinstance(route, APIRoute) or _is_file(route):
        return
    known = list(_read(route.dependant))
    strange = [name for name in request.query_params if name not in (*known, ACCESS_TOKEN)]
    if strange:
        raise RequestValidationError([_refusal(name, known) for name in strange])


def _is_file(route: APIRoute) -> bool:
    return isinstance(route.response_class, type) and route.response_class is Response


def _read(dependant: Dependant) -> Iterator[str]:
    """Yield the parameters of the query that an endpoint reads, itself or through what it depends on."""
    yield from (field.alias for field in dependant.query_params)
    for each in dependant.dependencies:
        yield from _read(each)


def _refusal(name: str, known: Iterable[str]) -> dict[str, Any]:
    near = get_close_matches(name.lower()[:_SHOWN], known, 1)
    names = ", ".join(known)
    told = f"Did you mean {near[0]}?" if near else f"It takes {names}." if names else "It takes none."
    message = f"There is no such parameter. {told}"
    return {"type": "unexpected", "loc": ("query", name[:_SHOWN]), "msg": message}
