"""Structured logs: one JSON line per event on standard error, time in UTC."""

from __future__ import annotations

import logging
import sys

import structlog


class _StandardError:
    """Standard error as it is when a line is written: whoever captures or replaces it gets the line, and one that was closed is not kept."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def configure_log(level: str = "INFO") -> None:
    """Send every log line of this process to standard error as JSON, from `level` upwards."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(_StandardError()),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )


def get_log(room: str) -> structlog.typing.FilteringBoundLogger:
    """The logger of a room."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(room=room)
    return logger
