"""`manage.py` with a seeded bug, for relays and publisher in the test of the chaos test."""

from __future__ import annotations

import os
import sys

import django
from django.core.management import execute_from_command_line


def main() -> None:
    """Load the product, plant the bug, run the command."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "paymentsite.settings"
    django.setup()
    from bench.chaos.faults.bugs.planted import plant

    plant(os.environ["CHAOS_BUG"])
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
