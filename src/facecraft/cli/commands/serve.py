"""``facecraft serve``: the HTTP API, in the foreground."""

from __future__ import annotations

import signal
from types import FrameType

import typer

from facecraft.cli.flags import Flags, with_flags
from facecraft.errors import RuntimeMissingError
from facecraft.settings import Settings

_SETTINGS = (
    "host", "port", "workers", "device", "models_dir", "log_level", "log_json", "offline", "max_concurrent_jobs",
)  # fmt: skip
_SERVER = ("fastapi", "starlette", "uvicorn", "python_multipart", "multipart")


def build(name: str) -> typer.Typer:
    """Build the command. Raises ConfigurationError when the settings have bad values."""
    application = typer.Typer(add_completion=False, rich_markup_mode="rich")
    application.command(name)(with_flags(_serve, settings=Flags(Settings.load(), _SETTINGS)))
    return application


def _serve(ctx: typer.Context, *, settings: Settings) -> None:
    """Serve the HTTP API until Ctrl-C. Every FACECRAFT_* setting applies; these flags win over them."""
    # A server that is told to stop has not failed. The web server hands the signal on after it has shut down.
    signal.signal(signal.SIGTERM, _stop)
    try:
        # Loads the web framework, which no other command needs.
        from facecraft.api.serving import serve  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _SERVER:
            raise
        raise RuntimeMissingError(
            "The server is not installed.", hint="pip install 'facecraft[server]'", detail=str(error)
        ) from error
    serve(settings.model_copy(update={"debug": settings.debug or ctx.obj.debug}))


def _stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of signal handlers
    raise SystemExit(0)
