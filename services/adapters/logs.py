"""Structured logs: one JSON object a line on standard output, for our own code and for the libraries below it."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

import structlog
import structlog.tracebacks
from structlog.types import EventDict, WrappedLogger

from services.adapters.settings import LogLevel

TOKEN = re.compile(r"sg_(edge|viewer|admin)_[A-Za-z0-9_-]+")
CALM_S = 10.0
NOISY = (
    "aiokafka",
    "aiokafka.producer.sender",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "aiokafka.conn",
    "aiokafka.cluster",
)
TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=20)
)


class Calm(logging.Filter):
    """Lets one and the same message through once in ten seconds; a broker that is away would fill the disk with it."""

    def __init__(self) -> None:
        super().__init__()
        self._passed_at: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log the record, judged by its message before arguments are filled in."""
        message = (record.name, str(record.msg))
        if record.created - self._passed_at.get(message, 0.0) < CALM_S:
            return False
        self._passed_at[message] = record.created
        return True


def hide_secrets(_logger: WrappedLogger, _method: str, line: EventDict | str) -> str:
    """Replace every API key in a rendered line, wherever it stands, by `sg_<role>_***`."""
    return TOKEN.sub(r"sg_\1_***", str(line))


def configure(service: str, level: LogLevel = "info") -> None:
    """Send all logs of this process, libraries included, to standard output as JSON lines naming `service`."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        lambda _logger, _method, event: {"service": service, **event},
    ]
    render: list[Any] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        TRACEBACKS,
        structlog.processors.JSONRenderer(),
        hide_secrets,
    ]
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=render))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("aiokafka").setLevel(max(root.level, logging.WARNING))
    for name in NOISY:
        logging.getLogger(name).filters[:] = [Calm()]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger named after its module; `event` is the first argument, facts are keywords."""
    return structlog.stdlib.get_logger(name)
