"""Refusals of a report say why, without its text."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from psp_adapters.contract.report_rows import unreadable

READERS = (int, float, datetime.fromisoformat)


@pytest.mark.parametrize("read", READERS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("text", ["a-secret", "a-secret's", 'a "secret" of it', "a-secret\n"])
def test_an_error_of_python_is_named_and_not_quoted(read: Callable[[str], Any], text: str) -> None:
    with pytest.raises(ValueError, match="secret") as error:
        read(text)
    assert str(unreadable(3, error.value)) == "line 3: ValueError"


def test_a_refusal_of_ours_says_why() -> None:
    assert str(unreadable(3, ValueError("not a payout's id"))) == "line 3: not a payout's id"
    assert str(unreadable(3, KeyError("a-secret"))) == "line 3: KeyError"
