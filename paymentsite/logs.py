"""Writes one-line JSON logs to stderr, redacted; never the headers and bodies of requests."""

from __future__ import annotations

import logging
import logging.config
import re
from collections.abc import MutableMapping
from typing import Any

import structlog

from payments.public_ids import SECRET_FORMS

REMOVED = "[removed]"
_SECRET_FIELDS = frozenset(
    {
        *("api_key", "authorization", "body", "card", "client_secret", "cookie", "cookies", "cvc"),
        *("data", "headers", "key", "number", "params", "password", "secret", "secret_key"),
        *("set_cookie", "token"),
    }
)
_SECRET_TEXT = re.compile(
    "|".join(SECRET_FORMS) + r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"  # login and password inside a URL
    r"|(?i:\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"
)
# Card numbers start with 2 to 6; a time in milliseconds starts with 1.
_DIGITS = re.compile(r"(?<![A-Za-z0-9_-])[2-6](?:[ -]?\d){12,18}(?![A-Za-z0-9_-])")


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Remove from a log event secret fields, by name, and secrets and card numbers, by pattern."""
    for name, value in event.items():
        if name.lower() in _SECRET_FIELDS:
            event[name] = REMOVED
        elif isinstance(value, str):
            event[name] = redact_text(value)
    return event


def redact_text(text: str) -> str:
    """Returns the text without API keys, passwords in URLs, and possible card numbers."""
    text = _SECRET_TEXT.sub(REMOVED, text)
    return _DIGITS.sub(lambda found: REMOVED if _is_card(found[0]) else found[0], text)


def _is_card(text: str) -> bool:
    """Luhn's check: every card number passes it, nine of ten other numbers do not."""
    digits = [int(character) for character in text if character.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def logging_configuration(level: str) -> dict[str, Any]:
    """The standard library's logging configuration: everything goes through structlog to stderr."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": _SHARED,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    redact,
                    structlog.processors.JSONRenderer(),
                ],
            }
        },
        "filters": {"no_ticks": {"()": lambda: _is_no_tick}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # A refused request is no reason for a warning; the server's own errors stay.
            "django.request": {"level": "ERROR"},
            "django.security.DisallowedHost": {"level": "ERROR"},
            # It would log two lines for each request.
            "stripe": {"level": "WARNING"},
            # They would log three lines for each tick of each sweep.
            "celery.beat": {"filters": ["no_ticks"]},
            "celery.worker.strategy": {"level": "WARNING"},
            # Expired ticks are dropped on purpose.
            "celery.worker.request": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
        },
    }


def _is_no_tick(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Scheduler: Sending due task")


def configure(configuration: dict[str, Any]) -> None:
    """Configure the standard library and structlog; Django calls this once at start-up."""
    logging.config.dictConfig(configuration)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
