"""Keeps the launcher's folder under `var/`: one launcher at a time, private to its user.

Folders have mode 0700 and files 0600: logs and stores carry customers' data.
"""

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

from paymentsite.launcher.progress import LauncherError

PROJECT = Path(__file__).resolve().parent.parent.parent
VAR = PROJECT / "var"
CLUSTER_NOTE = "cluster-location"
"""The file that says where the cluster lies, if it is not in the folder."""
_FREE_BYTES_LEAST = 500 * 1024 * 1024


def require_disk_space(folder: Path) -> None:
    """Raise LauncherError if a database would soon fill the disk of `folder`."""
    free = shutil.disk_usage(folder).free
    if free < _FREE_BYTES_LEAST:
        raise LauncherError(
            f"only {free // 2**20} MB are free on the disk of {folder}: make room for 500 MB"
        )


@contextlib.contextmanager
def kept_folder(name: str) -> Iterator[Path]:
    """Lock the folder `var/<name>` until the end of the block, and keep it for the next start."""
    folder = VAR / name
    with _private_files():
        folder.mkdir(exist_ok=True)
        lock = _lock(folder)
        if lock is None:
            raise LauncherError(
                f"another launcher already runs with {folder}: "
                "stop it first (Ctrl-C in its terminal)"
            )
        with lock:
            _close_to_others(folder)
            yield folder


@contextlib.contextmanager
def fresh_folder(prefix: str) -> Iterator[Path]:
    """Make a folder `var/<prefix>…`, removed afterwards; remove those of killed launchers too."""
    with _private_files():
        # One launcher at a time: it could remove a folder that another has made and not yet locked.
        with (VAR / ".launchers").open("a") as only_one:
            fcntl.flock(only_one, fcntl.LOCK_EX)
            for old in VAR.glob(f"{prefix}*"):
                _remove_if_abandoned(old)
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=VAR))
            lock = _lock(folder)
        if lock is None:
            raise LauncherError(f"{folder} was locked by another process: try again")
        with lock:
            try:
                yield folder
            finally:
                remove(folder)


@contextlib.contextmanager
def _private_files() -> Iterator[None]:
    """Make `var/`, and have all that this process and its children create be private.

    Started by root, PostgreSQL runs as another user, who has to pass through.
    """
    before = os.umask(0o077)
    VAR.mkdir(parents=True, exist_ok=True)
    VAR.chmod(0o711 if os.geteuid() == 0 else 0o700)
    try:
        yield
    finally:
        os.umask(before)


def _close_to_others(folder: Path) -> None:
    """Take the rights of other users away that an earlier version left on logs and stores."""
    for place in (folder, folder / "logs"):
        for path in place.glob("*"):
            if path.is_file():
                path.chmod(0o600)


def _remove_if_abandoned(folder: Path) -> None:
    try:
        lock = _lock(folder)
    except (FileNotFoundError, NotADirectoryError):
        return  # its launcher is removing it
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
    """The secret of that name, drawn at random the first time, in a file with mode 0600."""
    path = folder / "secrets.json"
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    if name not in known:
        known[name] = secrets.token_urlsafe(32)
        write_private(path, json.dumps(known, indent=1))
    return str(known[name])


def metrics_folder(folder: Path) -> Path:
    """The folder that the processes of this launcher share for metrics; removes earlier ones."""
    metrics = folder / f"metrics-{os.getpid()}"
    if not metrics.exists():
        for old in folder.glob("metrics-*"):
            shutil.rmtree(old)
        metrics.mkdir(parents=True)
    return metrics


def write_private(path: Path, text: str) -> None:
    """Write a file atomically, with mode 0600 from its first byte."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    part.replace(path)


def _lock(folder: Path) -> IO[str] | None:
    """Hold the folder's lock until the file is closed. Returns None if it is held already.

    The kernel releases it when this process ends. Children do not inherit it.
    """
    file = (folder / "lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
