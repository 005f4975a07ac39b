"""A port that a launcher holds is its own, even if others start at the same moment."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from paymentsite.launcher import ports, state
from paymentsite.launcher.progress import LauncherError

HOLDER = """
import sys, time
from paymentsite.launcher.progress import LauncherError
from paymentsite.launcher.ports import hold_port

usual = int(sys.argv[1])
print("waiting", flush=True)
sys.stdin.readline()
try:
    print(hold_port("API", setting="PORT", usual=usual), flush=True)
except LauncherError as error:
    print(f"refused: {error}", flush=True)
time.sleep(600)
"""
"""One launcher, as far as ports go: all of them take theirs when the test sends a line."""

SERVE = """
import sys
from pathlib import Path
from paymentsite.launcher import state

state.VAR = Path(sys.argv[1])  # as in a checkout of its own
from paymentsite.launcher.__main__ import main

sys.exit(main(["serve"]))
"""

Process = subprocess.Popen[str]
Start = Callable[..., list[Process]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts so many processes of one Python program; kills them afterwards."""
    started: list[Process] = []

    def start(code: str, arguments: list[list[str]], **environment: str) -> list[Process]:
        new = [
            subprocess.Popen(
                [sys.executable, "-u", "-c", code, *each],
                cwd=state.PROJECT,
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for each in arguments
        ]
        started.extend(new)
        return new

    yield start
    for each in started:
        each.kill()
        each.communicate()


def _line(process: Process) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _taken_together(holders: list[Process]) -> list[str]:
    assert {_line(each) for each in holders} == {"waiting"}
    for each in holders:
        assert each.stdin is not None
        each.stdin.write("\n")
        each.stdin.flush()
    return [_line(each) for each in holders]


@pytest.fixture
def usual() -> int:
    """A port that is free when the test begins."""
    port = ports.hold_any_port()
    ports.release_port(port)
    return port


@pytest.fixture
def listener() -> Iterator[int]:
    """A port on which a program that is no launcher listens, as granian does."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind((ports.HOST, 0))
        server.listen()
        yield server.getsockname()[1]


# --- two launchers ------------------------------------------------------------------------------


def test_launchers_that_start_together_get_different_ports(start: Start, usual: int) -> None:
    taken = _taken_together(start(HOLDER, [[str(usual)]] * 6))
    assert len(set(taken)) == 6
    assert str(usual) in taken


def test_of_launchers_that_want_the_same_port_one_gets_it(start: Start, usual: int) -> None:
    said = _taken_together(start(HOLDER, [["0"]] * 6, PORT=str(usual)))
    assert said.count(str(usual)) == 1
    assert sum(each.startswith(f"refused: port {usual} for the API is taken") for each in said) == 5


def test_the_port_of_a_killed_launcher_is_free_at_once(start: Start, usual: int) -> None:
    [holder] = start(HOLDER, [["0"]], PORT=str(usual))
    assert _taken_together([holder]) == [str(usual)]
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    [second] = start(HOLDER, [["0"]], PORT=str(usual))
    assert _taken_together([second]) == [str(usual)]


@pytest.mark.parametrize("setting", ["PORT", "SANDBOX_PSP_PORT"])
def test_serve_refuses_a_wished_port_that_another_launcher_holds(
    start: Start, tmp_path: Path, usual: int, setting: str
) -> None:
    _taken_together(start(HOLDER, [["0"]], PORT=str(usual)))
    [second] = start(SERVE, [[str(tmp_path)]], **{setting: str(usual)})
    said, errors = second.communicate(timeout=60)
    assert second.returncode == 1
    [line] = errors.splitlines()
    assert line.startswith(f"error: port {usual} for the ")
    assert f"set {setting} to another port" in line
    assert said == "", "nothing was started"


@pytest.mark.parametrize(
    ("setting", "given"), [("POSTGRES_PORT", "DATABASE_"), ("REDIS_PORT", "REDIS_")]
)
def test_run_refuses_a_wished_port_that_another_launcher_holds(
    start: Start, usual: int, setting: str, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _taken_together(start(HOLDER, [["0"]], PORT=str(usual)))
    for name in [each for each in os.environ if each.startswith(given)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv(setting, str(usual))
    done = subprocess.run(
        [sys.executable, "-m", "paymentsite.launcher", "run", "--", "true"],
        cwd=state.PROJECT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert f"set {setting} to another port" in line


# --- one port -----------------------------------------------------------------------------------


def test_a_port_on_which_another_program_listens_is_refused_with_what_to_do(
    listener: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", str(listener))
    with pytest.raises(LauncherError, match=f"port {listener} for the API is taken: .*set PORT"):
        ports.hold_port("API", setting="PORT", usual=8000)
    monkeypatch.delenv("PORT")
    port = ports.hold_port("API", setting="PORT", usual=listener)
    assert port != listener
    ports.release_port(port)


@pytest.mark.parametrize("text", ["http", "0", "70000", "-1", "٨"])
def test_a_port_that_is_none_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", text)
    with pytest.raises(LauncherError, match="set it to a port"):
        ports.hold_port("API", setting="PORT")


@pytest.mark.parametrize("is_linux", [True, False])
def test_a_held_port_is_not_taken_twice_until_it_is_released(
    is_linux: bool, usual: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "_IS_LINUX", is_linux)
    monkeypatch.setenv("PORT", str(usual))
    assert ports.hold_port("API", setting="PORT") == usual
    with pytest.raises(LauncherError, match="is taken"):
        ports.hold_port("API", setting="PORT")
    ports.release_port(usual)
    assert ports.hold_port("API", setting="PORT") == usual
    ports.release_port(usual)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only the lock is held")
def test_a_held_port_is_open_to_our_server_and_closed_to_others() -> None:
    port = ports.hold_any_port()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind((ports.HOST, port))
    for _ in range(2):  # it restarts
        with socket.create_server((ports.HOST, port)) as server:
            with pytest.raises(OSError, match="in use"):
                socket.create_server((ports.HOST, port))
            with socket.create_connection((ports.HOST, port)), server.accept()[0]:
                pass
    ports.release_port(port)
