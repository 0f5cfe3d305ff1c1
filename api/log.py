"""`logs/api.log`: one JSON object per line, and no query string or key in any of them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from typing import Any

import structlog
from structlog.stdlib import BoundLogger, ProcessorFormatter
from structlog.tracebacks import ExceptionDictTransformer

from core.config import MIB, Settings

_BYTES_PER_FILE = 10 * MIB
_OLD_FILES = 5
_SHARED: list[Any] = [structlog.stdlib.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True)]

log: BoundLogger = structlog.wrap_logger(
    logging.getLogger("api"),
    processors=[*_SHARED, ProcessorFormatter.wrap_for_formatter],
    wrapper_class=BoundLogger,
)


@contextmanager
def log_file(settings: Settings) -> Iterator[None]:
    """Write what the API and its server log to `logs/api.log` while the block runs."""
    handler = RotatingFileHandler(
        settings.logs_dir / "api.log", maxBytes=_BYTES_PER_FILE, backupCount=_OLD_FILES, encoding="utf-8"
    )
    handler.setFormatter(_json_lines())
    loggers = [logging.getLogger("api"), logging.getLogger("uvicorn.error")]
    loggers[0].setLevel(logging.INFO)
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()


def _json_lines() -> ProcessorFormatter:
    # Local variables stay out of tracebacks: they hold keys and the addresses of images.
    tracebacks = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
    return ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[
            ProcessorFormatter.remove_processors_meta,
            tracebacks,
            structlog.processors.JSONRenderer(),
        ],
    )
