"""A wrong environment is refused in one line that names the variable and says what to do."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from paymentsite.launcher.state import PROJECT

GOOD = {
    "PAYMENTS_ENVIRONMENT": "production",
    "DATABASE_URL": "postgresql://app:hunter2@127.0.0.1:1/payments?sslmode=disable",
    "DATABASE_POOL": "on",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "SECRET_KEY": "x" * 50,
    "SECRETS_ENCRYPTION_KEYS": "A" * 43 + "=",
}


def _load(expression: str, **changes: str | None) -> subprocess.CompletedProcess[str]:
    """Load the settings in a process of their own and print the expression."""
    environment = {"PATH": os.environ["PATH"], **GOOD, **changes}
    return subprocess.run(
        [sys.executable, "-c", f"from paymentsite import settings as s; print(({expression}))"],
        cwd=PROJECT,
        env={name: value for name, value in environment.items() if value is not None},
        capture_output=True,
        text=True,
    )


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
def test_a_wrong_value_is_refused_by_name(changes: dict[str, str | None], message: str) -> None:
    done = _load("s.SECRET_KEY", **changes)
    assert done.returncode == 1
    last_line = done.stderr.strip().splitlines()[-1]
    assert f"ImproperlyConfigured: {message}" in last_line
    assert "hunter2" not in done.stderr


def test_development_needs_no_secret_key() -> None:
    done = _load("s.SECRET_KEY", SECRET_KEY=None, PAYMENTS_ENVIRONMENT="development")
    assert done.returncode == 0, done.stderr


def test_keys_that_seal_secrets_are_made_up_in_development_only() -> None:
    keys = "s.SECRETS_ENCRYPTION_KEYS"
    made_up = _load(keys, SECRETS_ENCRYPTION_KEYS=None, PAYMENTS_ENVIRONMENT="development")
    assert len(made_up.stdout.strip()) == len(f"('{GOOD['SECRETS_ENCRYPTION_KEYS']}',)")
    two = f"{'B' * 43}=,{GOOD['SECRETS_ENCRYPTION_KEYS']}"
    assert _load(keys, SECRETS_ENCRYPTION_KEYS=two).stdout.count("=") == 2


def test_the_web_has_a_pool_and_a_command_one_connection() -> None:
    pooled = _load(
        "s.DATABASES['default']['OPTIONS']['pool'], s.DATABASES['default']['CONN_MAX_AGE']"
    )
    assert pooled.stdout.strip() == "({'min_size': 2, 'max_size': 16, 'timeout': 5}, 0)"
    plain = _load(
        "s.DATABASES['default']['OPTIONS'].get('pool'), s.DATABASES['default']['CONN_MAX_AGE']",
        DATABASE_POOL="off",
    )
    assert plain.stdout.strip() == "(None, None)"


def test_statement_timeouts_apply_to_the_application_and_not_to_the_owner() -> None:
    application = _load("s.DATABASES['default']['OPTIONS']['options']")
    assert "lock_timeout=2000" in application.stdout
    owner = _load(
        "s.DATABASES['default']['USER'], s.DATABASES['default']['OPTIONS'].get('options')",
        DATABASE_ROLE="owner",
        DATABASE_OWNER_URL="postgresql://owner:secret@127.0.0.1:1/payments",
    )
    assert owner.stdout.strip() == "('owner', None)"


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
