"""What can be seen of a running Facecraft: its log here, and numbers in :mod:`facecraft.telemetry.metrics`."""

from facecraft.telemetry.log import bind, configure, logger

__all__ = ["bind", "configure", "logger"]
