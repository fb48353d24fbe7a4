"""Logs of a long-running command: to stderr, for a person at a terminal or as JSON for a machine."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from headrace.cli.escape import printable

_CHATTY = ("faust", "mode", "aiohttp", "asyncio", "headrace.streams.host")
_FIRST = ("timestamp", "level", "logger", "event")


def set_up(level: str) -> None:
    """Route structlog and the standard library's logging to stderr, from `level` (a name such as "info") on."""
    number = logging.getLevelNamesMapping()[level.upper()]
    person = sys.stderr.isatty()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="%H:%M:%S.%f" if person else "iso", utc=not person),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    render: list[Any] = (
        [_escape, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if person
        else [structlog.processors.format_exc_info, _in_order, structlog.processors.JSONRenderer(default=str)]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.PositionalArgumentsFormatter()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name in _CHATTY:  # what they say about their own doings helps only those who debug them
        logging.getLogger(name).setLevel(number if level == "debug" else max(number, logging.WARNING))


def _escape(logger: Any, method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Values may be from outside, and a terminal would obey them. (JSON has no such characters.)"""
    return {name: printable(value, lines=True) if isinstance(value, str) else value for name, value in entry.items()}


def _in_order(logger: Any, method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Puts what every line has first, where people look for it."""
    return {**{name: entry[name] for name in _FIRST if name in entry}, **entry}


def be_quiet() -> None:
    """Turns logs off, for commands that report errors themselves."""
    logging.getLogger().handlers[:] = [logging.NullHandler()]
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
