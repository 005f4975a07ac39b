"""Runs scripts with the official Node SDK: installed once, from npm's cache where that has it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from paymentsite.launcher.state import VAR
from paymentsite.tests.fixtures.described_answers import check_answer

SCRIPTS = Path(__file__).parent / "sdk_node"
_INSTALL_WITHIN_SECONDS = 120
_RUN_WITHIN_SECONDS = 60


REQUIRED = "NODE_SDK"
"""Set to `required`, tests with the Node SDK fail where they would be skipped."""


class _NodeUnavailable(Exception):
    """Node cannot be used on this machine; the message says why."""


def installed() -> Path:
    """The folder with the scripts and the SDK beside them.

    Where there is none the test is skipped, with the reason; with NODE_SDK=required it fails.
    """
    try:
        return _installed()
    except _NodeUnavailable as reason:
        if os.environ.get(REQUIRED) == "required":
            pytest.fail(f"the Node SDK is required, and {reason}")
        pytest.skip(str(reason))


def _installed() -> Path:
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise _NodeUnavailable(f"{program} is not installed")
    lock_file = (SCRIPTS / "package-lock.json").read_bytes()
    folder = VAR / "sdk-node" / hashlib.sha256(lock_file).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # workers of one run install it once
        for source in SCRIPTS.iterdir():
            shutil.copy2(source, folder)
        if not (folder / "node_modules" / "stripe" / "package.json").exists():
            _install(folder)
    return folder


def run(folder: Path, script: str, facts: dict[str, Any]) -> Any:
    """The results that a script reported; fails with the script's error output.

    Every answer that the SDK received is held to the reference.
    """
    done = subprocess.run(
        ["node", script, json.dumps(facts)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_RUN_WITHIN_SECONDS,
    )
    assert done.returncode == 0, f"{script} failed:\n{done.stderr}"
    reported = json.loads(done.stdout)
    for answer in reported["answers"]:
        path = unquote(answer["path"].partition("?")[0])
        check_answer(answer["method"], path, answer["status"], answer["body"].encode())
    return reported["results"]


def _install(folder: Path) -> None:
    command = ["npm", "ci", "--cache", str(VAR / "npm-cache"), "--prefer-offline"]
    command += ["--no-audit", "--no-fund", "--no-update-notifier", "--ignore-scripts"]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_INSTALL_WITHIN_SECONDS,
            env={**os.environ, "npm_config_fetch_retries": "1"},
        )
    except subprocess.TimeoutExpired:
        raise _NodeUnavailable("npm did not finish: is the registry reachable?") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["npm failed"]
        raise _NodeUnavailable(f"npm could not install the SDK: {lines[0]}")
