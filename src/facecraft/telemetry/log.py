"""The log: structlog over the standard library, configured by entry points only.

Lower layers write with :mod:`logging`; their records pass through the same renderer, so every line has one form and
carries the request and job it belongs to.
"""

from __future__ import annotations

import logging
import sys

import structlog

from facecraft.jobs.current import current_job

bind = structlog.contextvars.bound_contextvars
"""Context manager that adds ``request_id=…`` to every line logged inside it. A job adds its own id."""


def _with_job(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Add the job that the thread works on, unless the line names one itself."""
    job_id = current_job()
    if job_id is not None and event.get("job_id") is None:
        event["job_id"] = job_id
    return event


def _without_noise(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Drop what says nothing: empty values, and the web server's second, coloured copy of its message."""
    return {key: value for key, value in event.items() if value is not None and key != "color_message"}


def configure(*, level: str, json: bool) -> None:
    """Write the log to stderr: readable lines, or JSON lines when ``json``. Calling again replaces the set-up."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(),
        _with_job,
        _without_noise,
    ]
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if json
        # The library's richer tracebacks show local variables: headers, keys, passwords.
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    renderers: list[structlog.typing.Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if json:
        renderers.append(structlog.processors.format_exc_info)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[*renderers, last]))
    root = logging.getLogger("facecraft")
    root.handlers[:] = [handler]
    root.setLevel(level)
    root.propagate = False


def logger(name: str) -> logging.Logger:
    """Return the logger ``facecraft.<name>``."""
    return logging.getLogger(f"facecraft.{name}")
