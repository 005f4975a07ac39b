"""The web application with a seeded bug, as granian serves it in the test of the chaos test."""

from __future__ import annotations

import os

from paymentsite.wsgi import server

from bench.chaos.faults.bugs.planted import plant  # isort: skip  (the product must be loaded first)

plant(os.environ["CHAOS_BUG"])

__all__ = ["server"]
