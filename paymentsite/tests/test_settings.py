"""A wrong environment is refused in one line that names the variable and says what to do."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.checks import run_checks
from django.test import override_settings

from paymentsite.launcher.state import PROJECT

GOOD = {
    "PAYMENTS_ENVIRONMENT": "production",
    "DATABASE_URL": "postgresql://app:hunter2@127.0.0.1:1/payments?sslmode=disable",
    "DATABASE_POOL": "on",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "SECRET_KEY": "x" * 50,
    "SECRETS_ENCRYPTION_KEYS": "A" * 43 + "=",
}


HSTS_OF_SUBDOMAINS, REDIRECT, HSTS_PRELOAD = "security.W005", "security.W008", "security.W021"
"""Matters of the proxy, and of who owns the domain."""
REGEX = "__import__('re').fullmatch"
LOADER = """
import importlib, json, os, sys, traceback

for line in sys.stdin:
    expression, environment = json.loads(line)
    os.environ.clear()
    os.environ.update(environment)
    sys.modules.pop("paymentsite.settings", None)
    try:
        settings = importlib.import_module("paymentsite.settings")
        shown, refusal = str(eval(expression, {"s": settings})), ""
    except Exception:
        shown, refusal = "", traceback.format_exc()
    print(json.dumps([shown, refusal]), flush=True)
"""
"""Loads the settings anew for each line; what they import is loaded once."""


@dataclass(frozen=True)
class Loaded:
    """What an expression of the settings shows, or the traceback of their refusal."""

    shown: str
    refusal: str


Load = Callable[..., Loaded]


@pytest.fixture(scope="module")
def load() -> Iterator[Load]:
    """Loads the settings in another process, in the environment that the test changes."""
    with subprocess.Popen(
        [sys.executable, "-c", LOADER],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        asked, answers = process.stdin, process.stdout
        assert asked is not None
        assert answers is not None

        def load(expression: str, **changes: str | None) -> Loaded:
            print(json.dumps([expression, _environment(changes)]), file=asked, flush=True)
            return Loaded(*json.loads(answers.readline()))

        yield load


def _environment(changes: dict[str, Any]) -> dict[str, str]:
    environment = {"PATH": os.environ["PATH"], **GOOD, **changes}
    return {name: value for name, value in environment.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"DATABASE_URL": None}, "DATABASE_URL is not set: "),
        ({"DATABASE_URL": "postgresql://app:hunter2@[h/payments"}, "DATABASE_URL is no PostgreSQL"),
        ({"DATABASE_URL": "postgresql://app:hunter2@h"}, "DATABASE_URL names no database"),
        ({"DATABASE_ROLE": "owner"}, "DATABASE_OWNER_URL is not set: "),
        ({"DATABASE_ROLE": "root"}, "DATABASE_ROLE is 'root': set it to application or owner"),
        (
            {"DATABASE_POOL_MAX_SIZE": "many"},
            "DATABASE_POOL_MAX_SIZE is 'many': set it",
        ),
        ({"REDIS_URL": None}, "REDIS_URL is not set: "),
        ({"SECRET_KEY": None}, "SECRET_KEY is not set: "),
        ({"PAYMENTS_ENVIRONMENT": "test"}, "PAYMENTS_ENVIRONMENT is 'test': set it to production"),
        ({"SANDBOX_PSP_WEBHOOK_SECRETS": ""}, "SANDBOX_PSP_WEBHOOK_SECRETS holds an empty or"),
        (
            {"SANDBOX_PSP_WEBHOOK_SECRETS": "long enough to be one,"},
            "SANDBOX_PSP_WEBHOOK_SECRETS holds an empty or short secret",
        ),
        ({"STREAM_GROUPS": "finance,,fraud"}, "STREAM_GROUPS is 'finance,,fraud': write names"),
        ({"SECRETS_ENCRYPTION_KEYS": None}, "SECRETS_ENCRYPTION_KEYS is not set: make one with"),
        ({"SECRETS_ENCRYPTION_KEYS": "short"}, "SECRETS_ENCRYPTION_KEYS holds something that"),
        ({"WEBHOOK_LOOPBACK": "on"}, "WEBHOOK_LOOPBACK is on: merchants could reach this machine"),
        ({"WEBHOOK_PORTS": "443,x"}, "WEBHOOK_PORTS is no list of ports"),
        ({"WEBHOOK_DENIED_NETWORKS": "10.0.0.1/8"}, "WEBHOOK_DENIED_NETWORKS is no list of"),
        ({"PUBLIC_BASE_URL": "payments.example.com"}, "PUBLIC_BASE_URL is no URL: "),
    ],
)
def test_a_wrong_value_is_refused_by_name(
    load: Load, changes: dict[str, str | None], message: str
) -> None:
    loaded = load("s.SECRET_KEY", **changes)
    last_line = loaded.refusal.strip().splitlines()[-1]
    assert f"ImproperlyConfigured: {message}" in last_line
    assert "hunter2" not in loaded.refusal


def test_what_production_sets_passes_djangos_own_check_of_a_deployment(load: Load) -> None:
    names = "ALLOWED_HOSTS|DEBUG|MIDDLEWARE|SECRET_KEY|SECURE_.*|SESSION_.*|CSRF_.*|X_.*|SILENCED.*"
    shown = load(
        f"__import__('json').dumps({{n: getattr(s, n) for n in dir(s) if {REGEX}({names!r}, n)}})",
        PUBLIC_BASE_URL="https://pay.example.com",
        SECRET_KEY="0123456789abcdefghijklmnopqrstuvwxyz-and-some-more-of-it",
    )
    production = json.loads(shown.shown)
    assert not production["DEBUG"]
    assert production["SILENCED_SYSTEM_CHECKS"] == [HSTS_OF_SUBDOMAINS, REDIRECT, HSTS_PRELOAD]
    with override_settings(**production):
        found = run_checks(tags=["security"], include_deployment_checks=True)
    assert [each for each in found if not each.is_silenced()] == []


def test_a_process_with_a_wrong_value_ends() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import paymentsite.settings"],
        cwd=PROJECT,
        env=_environment({"SECRET_KEY": None}),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "ImproperlyConfigured: SECRET_KEY is not set: " in done.stderr.splitlines()[-1]


def test_development_needs_no_secret_key(load: Load) -> None:
    loaded = load("s.SECRET_KEY", SECRET_KEY=None, PAYMENTS_ENVIRONMENT="development")
    assert not loaded.refusal


def test_keys_that_seal_secrets_are_made_up_in_development_only(load: Load) -> None:
    keys = "s.SECRETS_ENCRYPTION_KEYS"
    made_up = load(keys, SECRETS_ENCRYPTION_KEYS=None, PAYMENTS_ENVIRONMENT="development")
    assert len(made_up.shown) == len(f"('{GOOD['SECRETS_ENCRYPTION_KEYS']}',)")
    two = f"{'B' * 43}=,{GOOD['SECRETS_ENCRYPTION_KEYS']}"
    assert load(keys, SECRETS_ENCRYPTION_KEYS=two).shown.count("=") == 2


def test_the_web_has_a_pool_and_a_command_one_connection(load: Load) -> None:
    pooled = load(
        "s.DATABASES['default']['OPTIONS']['pool'], s.DATABASES['default']['CONN_MAX_AGE']"
    )
    assert pooled.shown == "({'min_size': 2, 'max_size': 16, 'timeout': 5}, 0)"
    plain = load(
        "s.DATABASES['default']['OPTIONS'].get('pool'), s.DATABASES['default']['CONN_MAX_AGE']",
        DATABASE_POOL="off",
    )
    assert plain.shown == "(None, None)"


def test_timeouts_and_costs_apply_to_the_application_and_not_to_the_owner(load: Load) -> None:
    application = load("s.DATABASES['default']['OPTIONS']['options']")
    assert "lock_timeout=2000" in application.shown
    assert "random_page_cost=1.1" in application.shown
    owner = load(
        "s.DATABASES['default']['USER'], s.DATABASES['default']['OPTIONS'].get('options')",
        DATABASE_ROLE="owner",
        DATABASE_OWNER_URL="postgresql://owner:secret@127.0.0.1:1/payments",
    )
    assert owner.shown == "('owner', None)"


def test_the_table_names_every_variable_that_is_read() -> None:
    """In the settings and in the launcher, whose variables stand in a table of their own."""
    text = (PROJECT / "paymentsite" / "settings.py").read_text()
    table, code = text.split('"""')[1], text.split('"""', 2)[2]
    listed = {
        name
        for line in table.splitlines()
        if line.startswith("| ")
        for name in re.findall(r"[A-Z][A-Z0-9_]+", line.split("|")[1])
    }
    read = set(re.findall(r"environment\.[a-z_]+\(\s*\"([A-Z0-9_]+)\"", code))
    read |= set(re.findall(r"environ\.get\(\"([A-Z0-9_]+)\"", code))
    launcher = (PROJECT / "paymentsite" / "launcher").glob("*.py")
    read |= {
        name for path in launcher for name in re.findall(r"setting=\"([A-Z_]+)\"", path.read_text())
    }
    assert {"PORT", "SANDBOX_PSP_PORT", "POSTGRES_PORT", "REDIS_PORT", "LOG_LEVEL"} <= read
    assert read - listed == set()
