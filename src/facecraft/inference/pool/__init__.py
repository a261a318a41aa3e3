"""Loaded networks, shared: loaded once when first needed, lent to who runs them, closed when unused or too many."""

from facecraft.inference.pool.handles import Closable, PooledResource, PooledSession
from facecraft.inference.pool.pool import SessionPool
from facecraft.inference.pool.states import LoadState, PoolEvent, PoolEventKind, PoolObserver, ResourceState

__all__ = [
    "Closable",
    "LoadState",
    "PoolEvent",
    "PoolEventKind",
    "PoolObserver",
    "PooledResource",
    "PooledSession",
    "ResourceState",
    "SessionPool",
]
