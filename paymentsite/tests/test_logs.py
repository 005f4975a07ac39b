"""Secrets and card numbers are removed from every log line."""

from __future__ import annotations

import io
import json
import logging

import pytest
import structlog

from paymentsite.logs import REMOVED, redact_text


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What goes to stderr through the project's own handler."""
    written = io.StringIO()
    handler = next(h for h in logging.getLogger().handlers if h.name == "stderr")
    monkeypatch.setattr(handler, "stream", written)
    return written


@pytest.mark.parametrize(
    "secret",
    [
        "sk_test_4eC39HqLyjWDarjtT1zdp7dc",
        "whsec_a1b2c3d4e5f6a7b8",
        "4242424242424242",
        "4242 4242 4242 4242",
        "3782-822463-10005",
    ],
)
def test_secrets_and_card_numbers_are_removed_from_texts(secret: str) -> None:
    assert redact_text(f"before {secret} after") == f"before {REMOVED} after"


@pytest.mark.parametrize(
    "harmless", ["4242424242424241", "pi_0195f3c24242424242424242", "1763935200123", "order 10042"]
)
def test_other_numbers_stay(harmless: str) -> None:
    assert redact_text(harmless) == harmless


def test_the_password_of_a_url_is_removed() -> None:
    text = redact_text("cannot reach postgresql://app:hunter2@db:5432/payments")
    assert text == f"cannot reach postgresql://{REMOVED}@db:5432/payments"


def test_one_line_of_json_without_secrets(lines: io.StringIO) -> None:
    structlog.get_logger("test").warning("called", authorization="Bearer abc", psp="sandbox")
    logging.getLogger("test").warning("key %s", "sk_live_4eC39HqLyjWDarjtT1zdp7dc")
    first, second = (json.loads(line) for line in lines.getvalue().splitlines())
    assert (first["event"], first["authorization"], first["psp"]) == ("called", REMOVED, "sandbox")
    assert (second["event"], second["level"]) == (f"key {REMOVED}", "warning")


def test_a_traceback_is_redacted_too(lines: io.StringIO) -> None:
    try:
        raise ValueError("card 4242424242424242")
    except ValueError:
        logging.getLogger("test").exception("failed")
    assert "4242424242424242" not in lines.getvalue()
    assert "ValueError" in json.loads(lines.getvalue())["exception"]
