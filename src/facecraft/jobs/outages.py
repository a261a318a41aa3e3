"""What Celery lacks to outlive a Redis that is away for some seconds.

Celery 5.7 and kombu 5.7 lose a worker for good when Redis is away at the moment at which a job ends: kombu writes the
acknowledgement to Redis first and frees the place of the message after that, Celery logs the error of the first step
and goes on, and with one place the consumer never asks for another message. An idle connection that breaks does not
wake it either, because kombu does not look at it while every place is taken.

Importing this loads Celery.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from celery import bootsteps
from celery.app.amqp import AMQP
from kombu.connection import Connection
from kombu.transport import virtual

if TYPE_CHECKING:
    from celery.worker.consumer import Consumer

PAUSE_SECONDS = (1, 1, 5)
"""A worker waits so long before it asks a second time for a broker that is away, so much longer each time, and at most so
long. Kombu's own are 2, 2 and 30."""


class PatientConnection(Connection):
    """A connection that looks often for a broker which is away, however long that takes."""

    def ensure_connection(
        self,
        errback: Callable[..., object] | None = None,
        max_retries: int | None = None,
        *,
        callback: Callable[[], object] | None = None,
    ) -> PatientConnection:
        """Connect, trying again and again; as kombu's, with shorter pauses."""
        self._ensure_connection(errback, max_retries, *PAUSE_SECONDS, callback)  # type: ignore[no-untyped-call]
        return self


class PatientAMQP(AMQP):  # type: ignore[misc]  # celery has no types
    """Lets Celery make its connections so."""

    Connection = PatientConnection


def freeing_places(connected: Callable[[], object]) -> type[bootsteps.StartStopStep]:
    """Return a step of Celery's consumer: places of messages are freed although the broker could not be told of it.

    Such a message may come again after the visibility time-out, which does no harm: it is only a hint. ``connected`` is
    called whenever the consumer has connected anew, in its thread.
    """

    class FreePlaces(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
        requires = ("celery.worker.consumer.tasks:Tasks",)

        def start(self, parent: Consumer) -> None:
            """Change the places of the channel that was just opened; each connection has its own."""
            qos = parent.task_consumer.channel.qos
            qos.ack = _freeing(qos, qos.ack)
            qos.reject = _freeing(qos, qos.reject)
            connected()

    return FreePlaces


def _freeing(qos: virtual.QoS, settle: Callable[..., object]) -> Callable[..., None]:
    """Return ``settle``, which tells the broker of a message, so that it frees the place of the message in any case."""

    def settled(delivery_tag: str, **more: Any) -> None:
        try:
            settle(delivery_tag, **more)
        finally:
            # What kombu does last and only when all went well; doing it twice changes nothing.
            virtual.QoS.ack(qos, delivery_tag)  # type: ignore[no-untyped-call]

    return settled
