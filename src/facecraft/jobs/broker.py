"""Whether the broker that hands out jobs can be reached."""

from __future__ import annotations

from facecraft.errors import ConfigurationError, RuntimeMissingError, StorageError

_HALF = 0.5


def no_broker() -> ConfigurationError:
    """Return the error of a worker that was not told of any broker."""
    return ConfigurationError(
        "There is no broker to take jobs from.",
        hint="Set FACECRAFT_CELERY_BROKER_URL, such as redis://redis:6379/0. Without one the server runs jobs.",
    )


def ping(url: str) -> None:
    """Ask the Redis at ``url`` for an answer, once; it has half a second to connect and half a second to answer.

    Raises StorageError, ConfigurationError for an address that cannot be read, RuntimeMissingError.
    """
    try:
        from redis import Redis  # noqa: PLC0415 - only who has a broker needs its client
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.exceptions import RedisError  # noqa: PLC0415
        from redis.retry import Retry  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise RuntimeMissingError(
            "The broker's client is not installed.", hint="pip install 'facecraft[scale]'", detail=str(error)
        ) from error
    try:
        client = Redis.from_url(url, socket_connect_timeout=_HALF, socket_timeout=_HALF, retry=Retry(NoBackoff(), 0))
    except ValueError as error:  # its text repeats the address, and with it a password
        raise ConfigurationError(
            "The address of the broker cannot be read.", hint="Use redis://user:password@host:6379/0."
        ) from error
    try:
        client.ping()
    except (RedisError, OSError) as error:
        raise StorageError(
            "The broker could not be reached.", hint="Check FACECRAFT_CELERY_BROKER_URL.", detail=type(error).__name__
        ) from error
    finally:
        client.close()
