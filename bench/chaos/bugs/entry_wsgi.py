"""The web application with a seeded bug, as granian serves it in the test of the chaos test."""

from __future__ import annotations

import os

from bench.chaos.bugs import SETTINGS_BUGS
from bench.chaos.bugs.settings_bugs import plant as plant_in_settings

if os.environ["CHAOS_BUG"] in SETTINGS_BUGS:
    plant_in_settings(os.environ["CHAOS_BUG"])

from paymentsite.wsgi import application

if os.environ["CHAOS_BUG"] not in SETTINGS_BUGS:
    from bench.chaos.bugs.planted import plant

    plant(os.environ["CHAOS_BUG"])

__all__ = ["application"]
