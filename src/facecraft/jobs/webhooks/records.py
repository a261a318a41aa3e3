"""What webhooks and their deliveries are, as records and as they are told."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from facecraft.jobs.webhooks.addresses import MAX_URL
from facecraft.options import Options


class EventType(StrEnum):
    """What a webhook can be told."""

    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"
    JOB_CANCELLED = "job.cancelled"


TEST = "webhook.test"
"""The type of a delivery that was asked for by hand; it cannot be chosen."""


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class NewWebhook(Options):
    """An address that wants to be told."""

    url: str = Field(max_length=MAX_URL)
    """Where to send to: https, on the public internet."""
    types: frozenset[EventType] = Field(default=frozenset(EventType), min_length=1)
    """What to tell it."""


class WebhookChange(Options):
    """What changes of a webhook; what is absent stays."""

    url: str | None = Field(default=None, max_length=MAX_URL)
    """The new address."""
    types: frozenset[EventType] | None = Field(default=None, min_length=1)
    """What to tell it from now on."""
    enabled: bool | None = None
    """False stops telling it, true begins again. What happened in between is not told."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Webhook(_Record):
    """An address that is told when jobs end."""

    id: str
    url: str
    types: tuple[EventType, ...]
    enabled: bool
    disabled_at: datetime | None
    disabled_why: str | None
    """Why nothing is sent to it any more."""
    old_secret_until: datetime | None
    """Until when the secret from before the last rotation signs, too."""
    created_at: datetime
    updated_at: datetime


class SecretWebhook(Webhook):
    """A webhook with its secret, which is shown this once."""

    secret: str
    """The key of the signatures: whsec_ and base64."""


class Delivery(_Record):
    """Something that a webhook is, was or could not be told."""

    id: str
    message_id: str
    """The header webhook-id, the same for every attempt: whoever saw it before may ignore it."""
    webhook_id: str
    job_id: str | None
    type: str
    state: DeliveryState
    attempts: int
    """How often it was sent, or tried to be, since it was made or redelivered."""
    next_attempt_at: datetime | None
    last_status: int | None
    """The HTTP status that the last attempt was answered with, if it was."""
    last_error: str | None
    created_at: datetime
    delivered_at: datetime | None
    payload: str
    """The body that is sent, exactly."""


class WebhooksPage(_Record):
    """Some webhooks."""

    items: tuple[Webhook, ...]
    cursor: str | None
    """What to send for the next page; null when this page is the last."""


class DeliveriesPage(_Record):
    """Some deliveries, the newest first."""

    items: tuple[Delivery, ...]
    cursor: str | None
    """What to send for the next page; null when this page is the last."""


def message_id(delivery_id: str) -> str:
    """Return the identifier under which receivers know a delivery."""
    return f"msg_{delivery_id}"
