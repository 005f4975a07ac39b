"""The Celery application with a seeded bug, for worker and beat in the test of the chaos test."""

from __future__ import annotations

import os

from paymentsite.celery import app


@app.on_after_finalize.connect
def _plant(**_: object) -> None:
    """The product is loaded now; children of the pool inherit what is changed here."""
    from bench.chaos.faults.bugs.planted import plant

    plant(os.environ["CHAOS_BUG"])


__all__ = ["app"]
