"""Fixtures that start other processes of the platform for tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings


@pytest.fixture(scope="session")
def sandbox_psp() -> Iterator[Any]:
    """A running sandbox PSP; settings and environment point at it until the session ends."""
    from psp_adapters.tests.sandbox_process import SandboxProcess

    before = settings.SANDBOX_PSP_URL
    with SandboxProcess() as process:
        settings.SANDBOX_PSP_URL = os.environ["SANDBOX_PSP_URL"] = process.url
        yield process
    settings.SANDBOX_PSP_URL = before
    os.environ["SANDBOX_PSP_URL"] = before
