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

    credentials = settings.PSP_CREDENTIALS["sandbox"]
    before = settings.SANDBOX_PSP_URL
    with SandboxProcess() as process:
        _point_at(credentials, process.base_url)
        yield process
    _point_at(credentials, before)


def _point_at(credentials: dict[str, str], url: str) -> None:
    settings.SANDBOX_PSP_URL = credentials["base_url"] = os.environ["SANDBOX_PSP_URL"] = url
