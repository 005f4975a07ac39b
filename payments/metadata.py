"""Merges a merchant's metadata into a row, within the limits of the merchant API."""

from __future__ import annotations

from typing import Final

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
