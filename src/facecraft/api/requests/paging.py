"""The parameters of every list."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

Cursor = Annotated[str | None, Query(max_length=200, description="From the page before; absent for the first.")]
Limit = Annotated[int, Query(ge=1, le=200, description="Most items of the page.")]
