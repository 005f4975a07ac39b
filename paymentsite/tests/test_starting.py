"""What a process imports before it works, and that imported objects are no garbage to look for."""

from __future__ import annotations

import os
import subprocess
import sys

from paymentsite.launcher.state import PROJECT

START = """
import gc, sys
gc.disable()
import django; django.setup()
assert gc.isenabled(), "the collector stays off"
assert gc.get_freeze_count() > 100_000, "what is imported is looked through"
console = [name for name in sys.modules if name.startswith(("unfold.admin", "payments.admin"))]
assert not console, console
from django.contrib import admin
from django.core import checks
assert checks.run_checks(tags=[checks.Tags.admin]) == []
from payments.models import PaymentIntent
assert admin.site.is_registered(PaymentIntent), "the checks judge the console's pages"
"""


def test_a_worker_imports_no_page_of_the_console_and_the_checks_import_all() -> None:
    started = subprocess.run(
        [sys.executable, "-c", START],
        cwd=PROJECT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "paymentsite.settings"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert started.returncode == 0, started.stderr
