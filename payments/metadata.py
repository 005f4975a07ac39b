"""Merging what a merchant says into what stands there, and what to tell of the difference.

What may not live here: which fields an object has.
"""

from __future__ import annotations

from typing import Any, Final

from payments.exceptions import InvalidParameter

KEYS_MAX: Final = 50


def merged_metadata(present: dict[str, str], given: dict[str, str]) -> dict[str, str]:
    """Metadata after an update: given keys win, empty values unset, an empty dict clears.

    Refuses with InvalidParameter what would become more than 50 keys.
    """
    if not given:
        return {}
    merged = {key: value for key, value in {**present, **given}.items() if value != ""}
    if len(merged) > KEYS_MAX:
        raise InvalidParameter(
            f"Metadata can have up to {KEYS_MAX} keys; with this update it would have "
            f"{len(merged)}. Unset some by giving them an empty value.",
            param="metadata",
        )
    return merged


def previous_attributes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What an object showed before, where it changed; of a nested object only what changed."""
    previous: dict[str, Any] = {}
    for name, value in after.items():
        was = before.get(name)
        if was == value:
            continue
        if isinstance(was, dict) and isinstance(value, dict):
            keys = [key for key in {**was, **value} if was.get(key) != value.get(key)]
            previous[name] = {key: was.get(key) for key in keys}
        else:
            previous[name] = was
    return previous
