"""Request ids: what a merchant quotes to support, and what ties logs, events and answers together.

What may not live here: logging.
"""

from __future__ import annotations

from payments import public_ids


def new_request_id() -> str:
    """A new id, such as `req_C7Jq…`."""
    return public_ids.encode(public_ids.REQUEST, public_ids.new_id())
