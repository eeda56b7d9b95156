"""Logs: one event per line on stderr, ours and the libraries' through the same processors.

JSON in production, readable in development. Every line has `timestamp` (UTC), `level`, `event` and `role` (the kind of
process); within `log_context` it also has the ids that are bound there. Redaction comes last before rendering,
so that it sees the text of exceptions too.
"""

import logging
import re
import sys
from contextlib import AbstractContextManager
from typing import Any, TextIO

import orjson
import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from alphapanda.domain.ids import Broker, OrderId, SignalId
from alphapanda.redaction import hide_secrets_of, redact
from alphapanda.settings import Environment, Settings

_CHATTY = {
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "asyncio": logging.INFO,
    "aiosqlite": logging.WARNING,
    "alembic.runtime.migration": logging.WARNING,
}
"""Libraries that would tell of each of their steps."""

_TEMPORAL_EXTRAS = ("temporal_workflow", "temporal_activity")
_TEMPORAL_FACTS = ("workflow_id", "workflow_type", "activity_type", "attempt", "task_queue")
_FIRST = ("timestamp", "level", "event", "role", "logger")

_READABLE_LEVEL = re.compile(r"^(?:\x1b\[[0-9;]*m)*\S+Z(?:\x1b\[[0-9;]*m)* \[(?:\x1b\[[0-9;]*m)*(?P<level>[a-z]+)")


def configure_logging(settings: Settings, role: str, *, stream: TextIO | None = None) -> None:
    """Send all logs of this process to `stream` (stderr). `role` names the process: `api`, `orders`, `broker`, `feed`.

    Takes over the root logger: servers with a logging set-up of their own must be told not to use it.
    """
    hide_secrets_of(settings)
    out = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _temporal_facts],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _named(role),
                _redacted,
                _renderer(settings.environment, colours=out.isatty()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log.level)
    for name, level in _CHATTY.items():
        logging.getLogger(name).setLevel(max(level, root.level))
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def log_context(
    *,
    broker: Broker | None = None,
    order_id: OrderId | None = None,
    signal_id: SignalId | None = None,
    correlation_id: str | None = None,
) -> AbstractContextManager[None]:
    """Within it every line of this task, also a library's, carries the given ids; None leaves an outer one as it is."""
    given = {"broker": broker, "order_id": order_id, "signal_id": signal_id, "correlation_id": correlation_id}
    return structlog.contextvars.bound_contextvars(
        **{name: value for name, value in given.items() if value is not None}
    )


def level_of(line: str) -> str | None:
    """The level of a line that `configure_logging` rendered, in lower case; None for any other text."""
    if line.startswith("{"):
        try:
            level = orjson.loads(line).get("level")
        except orjson.JSONDecodeError:
            return None
        return level if isinstance(level, str) else None
    found = _READABLE_LEVEL.match(line)
    return found["level"] if found else None


def _named(role: str) -> Processor:
    def name(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("role", role)
        return event

    return name


def _temporal_facts(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Of the SDK's lines, the workflow and activity that they speak of."""
    record = event.get("_record")
    for extra in _TEMPORAL_EXTRAS:
        facts = getattr(record, extra, None)
        if isinstance(facts, dict):
            event.update({name: facts[name] for name in _TEMPORAL_FACTS if name in facts})
    return event


def _redacted(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    ordered = {name: event.pop(name) for name in _FIRST if name in event}
    return {name: redact(value, name=name) for name, value in {**ordered, **event}.items()}


def _renderer(environment: Environment, *, colours: bool) -> Processor:
    if environment is Environment.PRODUCTION:
        return structlog.processors.JSONRenderer(serializer=_to_json)
    return structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback)


def _to_json(event: Any, **_options: Any) -> str:
    try:
        return orjson.dumps(event).decode()
    except orjson.JSONEncodeError:  # text that is no Unicode (a lone surrogate)
        import json  # noqa: PLC0415 - for the line in a million

        return json.dumps(event)
