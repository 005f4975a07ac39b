"""Prism, which others wrote: a server and a checking proxy made from a PSP's OpenAPI document.

Installed once by npm, from its cache where that has it, under `var/`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "prism"
VAR = Path(__file__).resolve().parents[3] / "var"
_INSTALL_WITHIN_SECONDS = 420
_START_WITHIN_SECONDS = 300


def installed() -> Path:
    """Prism's program. Where there is none the test is skipped, with the reason."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    lock_file = (HERE / "package-lock.json").read_bytes()
    folder = VAR / "prism" / hashlib.sha256(lock_file).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    program_path = folder / "node_modules" / ".bin" / "prism"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # workers of one run install it once
        if not program_path.exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copy2(HERE / name, folder)
            _install(folder)
    return program_path


@contextmanager
def prism(document: Path, *, paths: Sequence[str], upstream: str = "") -> Iterator[str]:
    """Its base URL: a proxy that checks both ways if there is an `upstream`, else a mock.

    Each of `paths` has had its first request, for which Prism compiles the document for seconds.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(installed()), "proxy" if upstream else "mock"]
    command += ["-h", "127.0.0.1", "-p", str(port), "--errors", str(document)]
    process = subprocess.Popen(
        [*command, *([upstream] if upstream else [])],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_for(port, process)
        base_url = f"http://127.0.0.1:{port}"
        for path in paths:
            _warm_up(f"{base_url}{path}")
        yield base_url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_WITHIN_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, "Prism ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError("Prism did not start")


def _warm_up(url: str) -> None:
    request = urllib.request.Request(
        url, data=b"{}", method="POST", headers={"Content-Type": "application/json"}
    )
    with suppress(urllib.error.HTTPError):
        urllib.request.urlopen(request, timeout=_START_WITHIN_SECONDS).close()


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
        pytest.skip("npm did not finish: is the registry reachable?")
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["npm failed"]
        pytest.skip(f"npm could not install Prism: {lines[0]}")
