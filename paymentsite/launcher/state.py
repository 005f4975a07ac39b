"""The launcher's folder under `var/`: one owner at a time, secrets readable by us alone."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from paymentsite.launcher.errors import LauncherError

PROJECT = Path(__file__).resolve().parent.parent.parent
VAR = PROJECT / "var"
CLUSTER_NOTE = "cluster-location"
"""The file that says where the cluster lies, if it is not in the folder."""
_FREE_BYTES_LEAST = 500 * 1024 * 1024


def require_disk_space(folder: Path) -> None:
    """Refuse to start a database where it would soon fill the disk."""
    free = shutil.disk_usage(folder).free
    if free < _FREE_BYTES_LEAST:
        raise LauncherError(
            f"only {free // 2**20} MB are free on the disk of {folder}: make room for 500 MB"
        )


@contextlib.contextmanager
def kept_folder(name: str) -> Iterator[Path]:
    """The folder `var/<name>`, ours until the end of the block; it stays for the next time."""
    folder = VAR / name
    folder.mkdir(parents=True, exist_ok=True)
    lock = _lock(folder)
    if lock is None:
        raise LauncherError(
            f"another launcher already runs with {folder}: stop it first (Ctrl-C in its terminal)"
        )
    with lock:
        yield folder


@contextlib.contextmanager
def fresh_folder(prefix: str) -> Iterator[Path]:
    """A new folder `var/<prefix>…`, removed at the end; those of killed launchers go as well."""
    VAR.mkdir(exist_ok=True)
    # One launcher at a time looks around, else one removes what another has just made.
    with (VAR / ".launchers").open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        for old in VAR.glob(f"{prefix}*"):
            _remove_if_abandoned(old)
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=VAR))
        lock = _lock(folder)
    if lock is None:
        raise LauncherError(f"{folder} was taken by somebody else at once: try again")
    with lock:
        try:
            yield folder
        finally:
            remove(folder)


def _remove_if_abandoned(folder: Path) -> None:
    try:
        lock = _lock(folder)
    except (FileNotFoundError, NotADirectoryError):
        return  # its owner is just removing it
    if lock is not None:
        with lock:
            remove(folder)


def remove(folder: Path) -> None:
    """Remove the folder, and the folder outside of it that may hold its database cluster."""
    for place in reversed(places_of(folder)):
        shutil.rmtree(place, ignore_errors=True)


def places_of(folder: Path) -> list[Path]:
    """The folder, and the folder outside of it that holds its database cluster, if there is one."""
    try:
        return [folder, Path((folder / CLUSTER_NOTE).read_text().strip())]
    except FileNotFoundError:
        return [folder]


def secret(folder: Path, name: str) -> str:
    """The secret of that name, made at random the first time, readable by us alone."""
    path = folder / "secrets.json"
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    if name not in known:
        known[name] = secrets.token_urlsafe(32)
        write_private(path, json.dumps(known, indent=1))
    return str(known[name])


def metrics_folder(folder: Path) -> Path:
    """Where the processes of a launcher count together; what earlier ones counted is gone."""
    metrics = folder / f"metrics-{os.getpid()}"
    if not metrics.exists():
        for old in folder.glob("metrics-*"):
            shutil.rmtree(old)
        metrics.mkdir(parents=True)
    return metrics


def write_private(path: Path, text: str) -> None:
    """Write a file whole or not at all, with mode 0600 from its first byte."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    part.replace(path)


def _lock(folder: Path) -> IO[str] | None:
    """Hold the folder's lock until the file is closed; None when somebody else holds it.

    The kernel lets go of it when we die. Children do not inherit it.
    """
    file = (folder / "lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
