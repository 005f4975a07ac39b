"""The bytes of a delivery: an event as one endpoint gets it, made once and kept.

What may not live here: signatures, which are made afresh at every try.
"""

from __future__ import annotations

import orjson

from payments.models import Event
from payments.objects.event import event_object


class Envelopes:
    """Makes envelopes; endpoints of one API version share the bytes of an event."""

    def __init__(self) -> None:
        self._made: dict[tuple[object, str, int], bytes] = {}

    def envelope(self, event: Event, *, api_version: str, pending_webhooks: int) -> bytes:
        """The event with this API version; `pending_webhooks` as it is when this is written."""
        key = (event.id, api_version, pending_webhooks)
        made = self._made.get(key)
        if made is None:
            shown = event_object(event, pending_webhooks=pending_webhooks)
            shown["api_version"] = api_version
            made = self._made[key] = orjson.dumps(shown)
        return made
