#!/usr/bin/env python3
"""Django's command line. Commands that change tables log in as the owner of the tables."""

import gc
import os
import sys

OWNER_COMMANDS = {"migrate", "flush", "sqlmigrate"}


def main() -> None:
    gc.disable()  # until all apps are imported (paymentsite.apps): a fifth of the time to start
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paymentsite.settings")
    os.environ.setdefault("DATABASE_POOL", "off")  # one process, one connection
    if sys.argv[1:2] and sys.argv[1] in OWNER_COMMANDS and os.environ.get("DATABASE_OWNER_URL"):
        os.environ.setdefault("DATABASE_ROLE", "owner")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
