"""`Studio`: the engine of Facecraft, as programs use it."""

from facecraft.studio.opening import open_store
from facecraft.studio.result import ArrayLike, Picture, Result
from facecraft.studio.studio import Studio

__all__ = ["ArrayLike", "Picture", "Result", "Studio", "open_store"]
