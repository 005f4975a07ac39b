"""Celery and `manage.py` with a seeded bug, for workers, beat, relays and publisher.

`celery -A bench.chaos.faults.bugs.entry`, `python -m bench.chaos.faults.bugs.entry COMMAND`.
"""

from __future__ import annotations

import os
import sys
from functools import cache

import django
from django.core.management import execute_from_command_line

from paymentsite.celery import app


@app.on_after_finalize.connect
def plant_in_worker(**_: object) -> None:
    """The product is loaded now; children of the pool inherit what is changed here."""
    _plant()


@cache
def _plant() -> None:
    from bench.chaos.faults.bugs.planted import plant

    plant(os.environ["CHAOS_BUG"])


def main() -> None:
    """Load the product, plant the bug, run the command."""
    django.setup()
    _plant()
    execute_from_command_line(sys.argv)


__all__ = ["app"]

if __name__ == "__main__":
    main()
