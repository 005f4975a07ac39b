"""Fixtures of the adapter tests: one real sandbox PSP for the session, one account per test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from psp_adapters.sandbox.adapter import SandboxAdapter
from psp_adapters.tests.support.sandbox_process import SandboxProcess
from psp_adapters.tests.support.shop import Shop

pytest.register_assert_rewrite("psp_adapters.tests.suites")  # a failure shows what was compared


@pytest.fixture(scope="session")
def sandbox_process() -> Iterator[SandboxProcess]:
    with SandboxProcess() as process:
        yield process


@pytest.fixture
def sandbox(sandbox_process: SandboxProcess) -> Iterator[SandboxProcess]:
    """The running sandbox PSP, healthy again after the test."""
    yield sandbox_process
    sandbox_process.heal()


@pytest.fixture
def api_key() -> str:
    return f"sandbox_test_{uuid.uuid4().hex}"


@pytest.fixture
def order_id() -> str:
    return f"order-{uuid.uuid4().hex}"


@pytest.fixture
def adapter(
    request: pytest.FixtureRequest, sandbox: SandboxProcess, api_key: str
) -> Iterator[SandboxAdapter]:
    """Of the sandbox PSP, and for its tests alone."""
    folder = request.path.parent.name
    if not folder.startswith("sandbox"):
        pytest.fail(f"the tests in {folder}/ need a fixture `adapter` of their own")
    adapter = SandboxAdapter(base_url=sandbox.base_url, api_key=api_key)
    yield adapter
    adapter.close()


@pytest.fixture
def shop(sandbox: SandboxProcess) -> Shop:
    return Shop(sandbox.base_url)


@pytest.fixture
def own_sandbox() -> Iterator[SandboxProcess]:
    """A simulator of the test's own: to kill it, or to move its clock."""
    with SandboxProcess() as process:
        yield process
