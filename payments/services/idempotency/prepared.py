"""Looks something up before a command's transaction, and refuses only inside it.

So no connection is held meanwhile, and a repeat whose key has an answer gets that answer, even if
the PSP cannot be asked any more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from payments.exceptions import PaymentRefused
from payments.services.callers.caller import Caller
from psp_adapters.contract.operations import PspUnavailable

Prepare = Callable[..., object]
"""Called with the caller and the command's arguments by name; may raise PaymentRefused."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was looked up, or the refusal."""

    found: Any = None
    refusal: PaymentRefused | PspUnavailable | None = None

    def get(self) -> Any:
        """What was looked up; raises the refusal if there is one."""
        if self.refusal is not None:
            raise self.refusal
        return self.found


def prepared_by(prepare: Prepare | None, caller: Caller, arguments: dict[str, Any]) -> Prepared:
    """Run a command's `prepare` step, if it has one, outside any transaction."""
    if prepare is None:
        return Prepared()
    try:
        return Prepared(prepare(caller, **arguments))
    except (PaymentRefused, PspUnavailable) as refusal:
        return Prepared(refusal=refusal)
