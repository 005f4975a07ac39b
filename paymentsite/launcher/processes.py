"""Starts, awaits and stops a child process that dies with the launcher; kills what it leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from paymentsite.launcher.progress import LauncherError, say
from paymentsite.launcher.signals import tied_to_parent

LAST_LINES = 20


@dataclass(kw_only=True)
class Process:
    """A child in its own session: Ctrl-C reaches only the launcher, which stops its children."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    log_file: Path
    is_ready: Callable[[], bool] | None = None
    ready_text: str = ""
    """Without `is_ready`, the process is ready once it has printed this."""
    ready_within_seconds: float = 60
    stop_signal: int = signal.SIGTERM
    stop_within_seconds: float = 5
    death_signal: int = signal.SIGKILL
    """The signal that the kernel sends it when the launcher is killed."""
    user_id: int | None = None
    group_id: int | None = None
    heartbeats: tuple[str, ...] = ()
    """Names of its heartbeats. It is restarted when all of them are overdue."""
    relay: bool = False
    """Whether its output is shown on the screen too."""
    not_shown: str = ""
    """Lines that contain this are written to the log file only: not to screen or error message."""
    _popen: subprocess.Popen[bytes] | None = None
    _lines: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))
    _reader: threading.Thread | None = None
    _printed_ready: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Start it and wait until it is ready.

        Raises LauncherError, with its last lines, if it ends or is not ready in time.
        """
        self.launch()
        self._wait_until_ready()

    def launch(self) -> None:
        """Start it without waiting."""
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        self._lines.clear()
        self._printed_ready.clear()
        self._popen = subprocess.Popen(
            list(self.command),
            cwd=self.directory,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=self.user_id,
            group=self.group_id,
            extra_groups=None if self.group_id is None else [self.group_id],
            preexec_fn=tied_to_parent(self.death_signal),
        )
        self._reader = threading.Thread(target=self._read, args=(self._popen,), daemon=True)
        self._reader.start()

    def ready(self) -> bool:
        """Whether it is ready for work now."""
        return self.is_ready() if self.is_ready else self._printed_ready.is_set()

    @property
    def pid(self) -> int | None:
        return self._popen.pid if self._popen else None

    def exit_code(self) -> int | None:
        """Its exit code. Returns None while it runs."""
        return self._popen.poll() if self._popen else None

    def stop(self) -> None:
        """Stop it by its stop signal, then kill what is left of its process group."""
        popen = self._popen
        if popen is None:
            return
        if popen.poll() is None:
            _signal(popen.pid, self.stop_signal, group=False)
            try:
                popen.wait(self.stop_within_seconds)
            except subprocess.TimeoutExpired:
                say(f"  !! {self.name} did not stop in {self.stop_within_seconds:.0f} s: killed")
        self.kill_group()
        if self._reader is not None:
            self._reader.join(2)

    def kill_group(self) -> None:
        """Kill its process group: children outlive a killed parent and would keep the port."""
        if self._popen is not None:
            _signal(self._popen.pid, signal.SIGKILL, group=True)
            self._popen.wait()

    def last_lines(self) -> str:
        """Its last lines, indented, for an error message."""
        if self._reader is not None:
            self._reader.join(0.5)
        return "\n".join(f"      {line}" for line in self._lines) or "      (it printed nothing)"

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.ready_within_seconds
        while not self.ready():
            code = self.exit_code()
            if code is not None:
                self.kill_group()
                raise LauncherError(
                    f"{self.name} ended at once with code {code}; its last lines "
                    f"({self.log_file}):\n{self.last_lines()}"
                )
            if time.monotonic() > deadline:
                self.stop()
                raise LauncherError(
                    f"{self.name} was not ready within {self.ready_within_seconds:.0f} s; its last "
                    f"lines ({self.log_file}):\n{self.last_lines()}"
                )
            time.sleep(0.05)

    def _read(self, popen: subprocess.Popen[bytes]) -> None:
        """Copy its output to its log file, and to the screen if `relay` is set, until it ends."""
        pipe = popen.stdout
        if pipe is None:
            return
        with pipe, self.log_file.open("ab") as log:
            for raw in pipe:
                log.write(raw)
                log.flush()
                line = raw.decode("utf-8", "replace").rstrip()
                if self.ready_text and self.ready_text in line:
                    self._printed_ready.set()
                if self.not_shown and self.not_shown in line:
                    continue
                self._lines.append(line)
                if self.relay and line:
                    say(f"{self.name:>12} | {line}")


def _signal(pid: int, number: int, *, group: bool) -> None:
    try:
        os.killpg(pid, number) if group else os.kill(pid, number)
    except ProcessLookupError:
        return


def end_descendants(*, spared: Iterable[int] = ()) -> None:
    """Kill every descendant of this process, except the `spared` pids and their descendants.

    Orphans are found too: they become children of this process (`signals.adopt_orphans`).
    Session ids would not find them all: each PostgreSQL process has a session of its own.
    """
    kept = set(spared)
    left = [
        process
        for child in psutil.Process().children()
        if child.pid not in kept
        for process in (child, *_descendants(child))
    ]
    for process in left:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(left, timeout=3)


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
