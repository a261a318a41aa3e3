"""Addresses that are told when jobs end, and what they were told."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread
from fastapi import APIRouter, Depends
from starlette.responses import Response

from facecraft.api.callers.owners import OwnerOf
from facecraft.api.dependencies import Services, ServicesOf
from facecraft.api.requests.idempotency import IdempotentOf
from facecraft.api.requests.paging import Cursor, Limit
from facecraft.errors import WebhooksOffError
from facecraft.jobs.webhooks.records import (
    DeliveriesPage,
    Delivery,
    NewWebhook,
    SecretWebhook,
    Webhook,
    WebhookChange,
    WebhooksPage,
)
from facecraft.jobs.webhooks.webhooks import Webhooks

T = TypeVar("T")

PREFIX = "/api/v1/webhooks"
NAMES_AT_ONCE = 4
"""How many names of callers are resolved at once: whoever names a slow one holds up nothing but others like it."""


async def require_webhooks(services: ServicesOf) -> None:
    """Raise WebhooksOffError where the operator allows none."""
    if not services.settings.webhooks_enabled:
        raise WebhooksOffError


def router() -> APIRouter:
    """Return the endpoints of webhooks."""
    routes = APIRouter(prefix=PREFIX, tags=["webhooks"], dependencies=[Depends(require_webhooks)])
    _add_changes(routes, anyio.CapacityLimiter(NAMES_AT_ONCE))
    _add_webhooks(routes)
    _add_deliveries(routes)
    return routes


async def _kept(
    services: Services, work: Callable[[Webhooks], T], *, limiter: anyio.CapacityLimiter | None = None
) -> T:
    """Do ``work`` in a thread of its own."""

    return await anyio.to_thread.run_sync(lambda: work(_webhooks(services)), limiter=limiter)


def _webhooks(services: Services) -> Webhooks:
    private, jobs = services.settings.webhook_private_addresses, services.studio.jobs
    return Webhooks(jobs.database, services.seal, private=private, clock=jobs.repository.clock)


def _add_changes(routes: APIRouter, names: anyio.CapacityLimiter) -> None:
    @routes.post("", status_code=201, summary="Add a webhook", response_model=SecretWebhook)
    async def create_webhook(
        body: NewWebhook, services: ServicesOf, owner: OwnerOf, idempotent: IdempotentOf
    ) -> Response:
        """Have an https address told when your jobs end. The secret that checks the signatures is shown now, and
        never again, but to the same request with the same Idempotency-Key. There may be at most 20."""

        def make(webhooks: Webhooks) -> Response:
            return reply(webhooks.create(body, owner=owner, added=lambda made: idempotent.noting(made.id)))

        def reply(webhook: SecretWebhook) -> Response:
            return Response(webhook.model_dump_json(), 201, media_type="application/json")

        return await idempotent.noted(
            lambda: _kept(services, make, limiter=names),
            lambda ids: reply(_webhooks(services).reveal(ids[0], owner=owner)),
        )

    @routes.patch("/{webhook_id}", summary="Change a webhook")
    async def change_webhook(webhook_id: str, body: WebhookChange, services: ServicesOf, owner: OwnerOf) -> Webhook:
        """Change what is sent and leave the rest. Disabling gives up what waits; enabling begins anew."""
        return await _kept(services, lambda webhooks: webhooks.change(webhook_id, body, owner=owner), limiter=names)


def _add_webhooks(routes: APIRouter) -> None:
    @routes.get("", summary="List your webhooks")
    async def list_webhooks(
        services: ServicesOf, owner: OwnerOf, cursor: Cursor = None, limit: Limit = 50
    ) -> WebhooksPage:
        """Answer one page, the oldest first."""
        page = await _kept(services, lambda webhooks: webhooks.browse(owner=owner, cursor=cursor, limit=limit))
        return WebhooksPage(items=page.items, cursor=page.cursor)

    @routes.get("/{webhook_id}", summary="Show one webhook")
    async def get_webhook(webhook_id: str, services: ServicesOf, owner: OwnerOf) -> Webhook:
        """Answer its address, what it is told, and why it was disabled if it was."""
        return await _kept(services, lambda webhooks: webhooks.get(webhook_id, owner=owner))

    @routes.delete("/{webhook_id}", status_code=204, summary="Delete a webhook", response_class=Response)
    async def delete_webhook(webhook_id: str, services: ServicesOf, owner: OwnerOf) -> None:
        """Delete it with all its deliveries, those that wait, too."""
        await _kept(services, lambda webhooks: webhooks.delete(webhook_id, owner=owner))

    @routes.post("/{webhook_id}/rotate", summary="Give a webhook a new secret")
    async def rotate_webhook(webhook_id: str, services: ServicesOf, owner: OwnerOf) -> SecretWebhook:
        """Answer the new secret, this once. The old one signs, too, for 24 hours: time to tell every receiver."""
        return await _kept(services, lambda webhooks: webhooks.rotate(webhook_id, owner=owner))


def _add_deliveries(routes: APIRouter) -> None:
    @routes.post("/{webhook_id}/test", status_code=202, summary="Send a test")
    async def test_webhook(webhook_id: str, services: ServicesOf, owner: OwnerOf) -> Delivery:
        """Send a `webhook.test`, once. How it went is among the deliveries."""
        return await _kept(services, lambda webhooks: webhooks.test(webhook_id, owner=owner))

    @routes.get("/{webhook_id}/deliveries", summary="List what a webhook was told")
    async def list_deliveries(
        webhook_id: str, services: ServicesOf, owner: OwnerOf, cursor: Cursor = None, limit: Limit = 50
    ) -> DeliveriesPage:
        """Answer one page of the last 30 days, the newest first."""
        page = await _kept(
            services, lambda webhooks: webhooks.deliveries(webhook_id, owner=owner, cursor=cursor, limit=limit)
        )
        return DeliveriesPage(items=page.items, cursor=page.cursor)

    @routes.post("/{webhook_id}/deliveries/{delivery_id}/redeliver", status_code=202, summary="Send something again")
    async def redeliver(webhook_id: str, delivery_id: str, services: ServicesOf, owner: OwnerOf) -> Delivery:
        """Send it at once, under the message id it had, and by the whole schedule if it fails."""
        return await _kept(services, lambda webhooks: webhooks.redeliver(webhook_id, delivery_id, owner=owner))
