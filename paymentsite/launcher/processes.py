"""One child process: start it tied to us, wait until it is ready, stop it with all it started.

What may not live here: which processes there are (`embedded`, `serving`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from paymentsite.launcher.errors import LauncherError
from paymentsite.launcher.parent_death import tied_to_parent
from paymentsite.launcher.progress import say

LAST_LINES = 20


@dataclass(kw_only=True)
class Process:
    """A child in a session of its own, so that a Ctrl-C reaches us alone and we stop in order."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    log_file: Path
    is_ready: Callable[[], bool] | None = None
    ready_text: str = ""
    """Without `is_ready`: it is ready once it has said this."""
    ready_within_seconds: float = 60
    stop_signal: int = signal.SIGTERM
    stop_within_seconds: float = 5
    death_signal: int = signal.SIGKILL
    """What the kernel sends when the launcher itself is killed."""
    user_id: int | None = None
    group_id: int | None = None
    heartbeats: tuple[str, ...] = ()
    """What shows that it works: it is restarted when all of these are silent for too long."""
    relay: bool = False
    """Show its lines on the screen too."""
    _popen: subprocess.Popen[bytes] | None = None
    _lines: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))
    _reader: threading.Thread | None = None
    _said_ready: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Start it and return when it is ready; refuses with its last lines when it never is."""
        self.launch()
        self._wait_until_ready()

    def launch(self) -> None:
        """Start it and return at once."""
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        self._lines.clear()
        self._said_ready.clear()
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
        """Does it do its work now?"""
        return self.is_ready() if self.is_ready else self._said_ready.is_set()

    @property
    def pid(self) -> int | None:
        return self._popen.pid if self._popen else None

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._popen.poll() if self._popen else None

    def stop(self) -> None:
        """Ask it to stop, then kill it and everything of its session that is left."""
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
        """Kill what is left of it: children survive a killed parent and would keep the port."""
        if self._popen is not None:
            _signal(self._popen.pid, signal.SIGKILL, group=True)
            self._popen.wait()

    def last_lines(self) -> str:
        """Its last lines, indented, for an error message."""
        if self._reader is not None:
            self._reader.join(0.5)
        return "\n".join(f"      {line}" for line in self._lines) or "      (it said nothing)"

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
        """Copy its output to its log file, and to the screen if wanted, until it ends."""
        pipe = popen.stdout
        if pipe is None:
            return
        with pipe, self.log_file.open("ab") as log:
            for raw in pipe:
                log.write(raw)
                log.flush()
                line = raw.decode("utf-8", "replace").rstrip()
                self._lines.append(line)
                if self.ready_text and self.ready_text in line:
                    self._said_ready.set()
                if self.relay and line:
                    say(f"{self.name:>12} | {line}")


def _signal(pid: int, number: int, *, group: bool) -> None:
    try:
        os.killpg(pid, number) if group else os.kill(pid, number)
    except ProcessLookupError:
        return
