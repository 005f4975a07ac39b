"""The pytest plugin of the project: prepares the process, then registers the shared fixtures.

Loaded by pytest.ini with `-p`, before Django's settings are read. The fixtures live in
`database_fixtures`, `socket_guard` and `service_fixtures`; `matrix` spares combinations.
"""

from __future__ import annotations

import os
import sys
import uuid

import pytest

os.environ["DATABASE_POOL"] = "off"  # one connection per thread, so that a test can count them
os.environ.setdefault("PAYMENTS_ENVIRONMENT", "development")

# Here and not in a hook: pytest-django reads the settings before any hook of ours.
_missing = [n for n in ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL") if not os.environ.get(n)]
if _missing:
    sys.exit(
        f"error: {', '.join(_missing)} not set: run `make test`, or "
        "`python -m paymentsite.launcher run -- python -m pytest …`"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the fixtures last: they replace pytest-django's way of making a database."""
    # Inherited by the workers of pytest-xdist: they share one migrated template.
    os.environ.setdefault("PAYMENTS_TEST_RUN", uuid.uuid4().hex[:12])
    from paymentsite.tests import database_fixtures, matrix, service_fixtures, socket_guard

    for module in (database_fixtures, service_fixtures, socket_guard, matrix):
        config.pluginmanager.register(module)


def pytest_unconfigure(config: pytest.Config) -> None:
    """The process that started the run removes the template; workers have removed their copies."""
    if not hasattr(config, "workerinput") and os.environ.get("DATABASE_OWNER_URL"):
        from paymentsite.tests.databases import drop_template

        drop_template()
