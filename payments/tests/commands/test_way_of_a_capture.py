"""One capture passes ten modules of ours before the ledger, each entered once.

A module is entered when one of its functions is called and the nearest of these modules on the
stack is another one. Helpers that a module calls and that return to it (clock, keys, locks, events,
accounts, bulkhead, breaker, retries, the collecting methods of a Change) are no stations. Where the
call to the PSP goes on in a thread of its account, `execution` goes on there.
"""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, ModuleType
from typing import Any

from ledger import services as ledger
from payments.api.views import payment_intents as view
from payments.services.commands import capture, run
from payments.services.operations import execution
from payments.services.outcomes import change, effect_table, recording
from payments.services.outcomes.effects import holds
from payments.services.psp_gateway import sending
from payments.tests.support.api_client import api_of
from payments.tests.support.shop import Shop
from psp_adapters.sandbox import adapter

# The view calls the verb; its decorator, in `run`, calls the body in `capture`, which returns.
WAY: tuple[ModuleType, ...] = (
    view,
    run,
    capture,
    execution,
    sending,
    adapter,
    recording,
    effect_table,
    holds,
    change,
    inspect.getmodule(ledger.post) or ledger,
)
# The other functions of `change` fill the Change on the way.
ONLY = {change.__file__: {"put_change"}, inspect.getsourcefile(ledger.post): {"post"}}


class Trace:
    """The stations that were entered, in order, in whatever thread."""

    def __init__(self) -> None:
        self.entered: list[str] = []
        self.is_on = False

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        station = _station_of(frame) if self.is_on and event == "call" else None
        if station is None:
            return
        above = frame.f_back
        while above is not None and (came_from := _station_of(above)) is None:
            above = above.f_back
        if above is None and self.entered and self.entered[-1] == station:
            return  # handed over to a thread of the account
        if above is None or came_from != station:
            self.entered.append(station)


_NAMES = {module.__file__: module.__name__ for module in WAY}


def _station_of(frame: FrameType) -> str | None:
    file = frame.f_code.co_filename
    if file not in _NAMES or frame.f_code.co_name not in ONLY.get(file, {frame.f_code.co_name}):
        return None
    return _NAMES[file]


@contextmanager
def traced_threads(trace: Callable[[FrameType, str, Any], None]) -> Iterator[None]:
    """Trace this thread and every one that begins inside."""
    threading.setprofile(trace)
    sys.setprofile(trace)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]


def test_one_capture_enters_ten_modules_once_each_and_then_the_ledger(shop: Shop) -> None:
    api, trace = api_of(shop), Trace()
    with traced_threads(trace):
        intent = api.pay(10_000, capture_method="manual")  # and the account gets its thread
        trace.is_on = True
        captured = api.post(f"/v1/payment_intents/{intent['id']}/capture")
        trace.is_on = False
    assert captured.body["status"] == "succeeded"
    assert shop.intent(intent["id"]).amount_captured_minor == 10_000
    assert trace.entered == [module.__name__ for module in WAY]
    assert [each.kind for each in shop.operations(intent["id"])] == ["authorize", "capture"]
