"""What an operator decides about jobs; part of :class:`facecraft.settings.Settings`."""

from __future__ import annotations

from typing import Annotated

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr


class JobConfig(BaseModel):
    """How jobs wait, run, end and are forgotten."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True, populate_by_name=True)

    # --- jobs
    celery_broker_url: Annotated[
        SecretStr | None, Field(validation_alias=AliasChoices("FACECRAFT_CELERY_BROKER_URL", "CELERY_BROKER_URL"))
    ] = None
    """Redis that hands jobs to ``facecraft worker`` processes, such as redis://redis:6379/0 (also read from
    ``CELERY_BROKER_URL``). Unset: the server runs jobs itself."""
    job_queue_limit: Annotated[int, Field(ge=1, le=10_000_000)] = 10_000
    """Jobs that may wait; beyond it new ones are answered 429 with Retry-After."""
    job_queue_limit_per_owner: Annotated[int, Field(ge=1, le=10_000_000)] = 1_000
    """Jobs of one user that may wait among them. Anonymous callers and the operator's key together may fill the queue."""
    event_streams_limit: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Open streams of events of one server process, a tenth of them at most for one user; beyond it new ones are answered
    429. Anonymous callers share all of them."""
    job_timeout_seconds: Annotated[float, Field(gt=0)] = 3600.0
    """Longest time one attempt of a job may take; it then fails with ``deadline_exceeded``."""
    job_max_attempts: Annotated[int, Field(ge=1, le=20)] = 3
    """How often a job is taken up when its worker died or its device had no memory left; errors of its pictures fail at
    once."""
    job_patience_seconds: Annotated[float, Field(ge=0)] = 21_600.0
    """How long a job waits for something that it needs and that is away or full: the store, the database, a model that is
    being installed. Nothing of it fails meanwhile; it is tried again and again, every five minutes in the end."""
    job_lease_seconds: Annotated[float, Field(ge=1, le=600)] = 30.0
    """A worker that was not heard of for so long is taken for dead, and its job goes to another."""
    worker_metrics_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Port on which a ``facecraft worker`` answers ``/metrics``; 0: on none. Servers answer it on their own port."""
    worker_metrics_host: str = "127.0.0.1"
    """Address for that port. Others reach it only where callers have to say who they are: they send the operator's key, or
    an API key of an admin."""
    delete_on_download: bool = False
    """Delete a result as soon as it was downloaded completely."""
    webhooks_enabled: bool = True
    """Let callers register addresses that are told when their jobs end."""
    webhook_private_addresses: bool = False
    """Allow webhooks to addresses of private networks and of this machine. For closed networks only."""
