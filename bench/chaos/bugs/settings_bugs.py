"""Seeded bugs of the settings: planted before Django reads them."""

from __future__ import annotations

from paymentsite import environment


def commits_are_not_waited_for() -> None:
    environment.SESSION_OPTIONS += " -c synchronous_commit=off"


def plant(name: str) -> None:
    """Change the settings; raises KeyError for a name that is no bug of theirs."""
    globals()[name]()
