"""The launcher starts, supervises and ends real processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest

from paymentsite.launcher import platform_processes, ports, postgres, serving, state
from paymentsite.launcher.processes import Process
from paymentsite.launcher.progress import LauncherError
from paymentsite.launcher.supervisor import Supervisor

LAUNCHER = [sys.executable, "-m", "paymentsite.launcher"]


@pytest.fixture
def without_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a machine that has only Python."""
    for name in list(os.environ):
        if name.startswith(("DATABASE_", "REDIS_", "SECRET_KEY", "PAYMENTS_")):
            monkeypatch.delenv(name)


def _wait(condition: Callable[[], bool], within_seconds: float = 15) -> bool:
    deadline = time.monotonic() + within_seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _lives(process: psutil.Process) -> bool:
    """Whether it has not ended; a zombie has, even if its parent has not waited for it yet."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:  # it ended since it was listed
        return False


def _name(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.NoSuchProcess:
        return ""


def _all_gone(processes: list[psutil.Process]) -> bool:
    return not any(_lives(each) for each in processes)


# --- run ----------------------------------------------------------------------------------------


def test_run_gives_a_command_its_servers_and_its_exit_code_and_ends_what_it_leaves_behind(
    without_servers: None, tmp_path: Path
) -> None:
    """Its folder is meanwhile closed to other users: they may at most pass through folders."""
    note, left = tmp_path / "folder", tmp_path / "pid"
    code = (
        "import os, subprocess, sys, psycopg, redis; "
        "psycopg.connect(os.environ['DATABASE_URL']); "
        "assert redis.Redis.from_url(os.environ['REDIS_URL']).ping(); "
        "from pathlib import Path; run = Path(os.environ['RUN_FOLDER']); "
        f"open({str(note)!r}, 'w').write(str(run)); "
        "(run / 'logs' / 'of-a-child').mkdir(); (run / 'logs' / 'of-a-child' / 'log').touch(); "
        "places = [run.parent, run, *(p for p in run.rglob('*') if 'binaries' not in p.parts)]; "
        "assert {'secrets.json', 'postgres.log', 'log'} <= {p.name for p in places}; "
        "assert not [p for p in places if p.stat().st_mode & (0o66 if p.is_dir() else 0o77)]; "
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], "
        "start_new_session=True); "
        f"open({str(left)!r}, 'w').write(str(child.pid)); "
        "raise SystemExit(7)"
    )
    done = subprocess.run([*LAUNCHER, "run", "--", sys.executable, "-c", code], cwd=state.PROJECT)
    assert done.returncode == 7
    assert Path(note.read_text()).parent == state.VAR
    assert not Path(note.read_text()).exists()
    assert not psutil.pid_exists(int(left.read_text()))


def test_a_killed_launcher_takes_everything_with_it(without_servers: None) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    launcher = subprocess.Popen([*LAUNCHER, "run", "--", *command], cwd=state.PROJECT)
    me = psutil.Process(launcher.pid)

    def names() -> set[str]:
        return {_name(child) for child in me.children() if _lives(child)} - {""}

    assert _wait(lambda: len(names()) >= 3), names()
    everything = me.children(recursive=True)
    assert len(everything) > 5  # PostgreSQL alone is several
    launcher.kill()
    launcher.wait()
    assert _wait(lambda: _all_gone(everything)), [p for p in everything if p.is_running()]


def test_an_unknown_command_is_one_line(without_servers: None) -> None:
    done = subprocess.run(
        [*LAUNCHER, "run", "--", "no-such-command"],
        cwd=state.PROJECT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (1, "error: there is no command 'no-such-command'\n")


# --- processes ----------------------------------------------------------------------------------


def test_a_process_that_ends_at_once_shows_its_last_lines(
    process: Callable[..., Process],
) -> None:
    child = process("print('the reason'); raise SystemExit(3)")
    with pytest.raises(LauncherError, match=r"child ended at once with code 3(.|\n)*the reason"):
        child.start()


def test_a_process_that_is_never_ready_is_stopped(process: Callable[..., Process]) -> None:
    child = process("import time; print('waiting'); time.sleep(600)", ready_within_seconds=0.5)
    with pytest.raises(LauncherError, match=r"was not ready within(.|\n)*waiting"):
        child.start()
    assert child.exit_code() is not None


def test_a_process_that_ignores_its_stop_signal_is_killed_with_its_children(
    process: Callable[..., Process],
) -> None:
    child = process(
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.fork(); "
        "print('ready'); time.sleep(600)"
    )
    child.start()
    assert child.pid is not None
    family = [psutil.Process(child.pid), *psutil.Process(child.pid).children(recursive=True)]
    assert len(family) == 2
    child.stop()
    assert _wait(lambda: _all_gone(family))


def test_a_killed_process_is_started_again(process: Callable[..., Process]) -> None:
    supervisor = Supervisor()
    child = process("import time; print('ready'); time.sleep(600)")
    supervisor.start(child, "start a child")
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)

    def is_back() -> bool:
        supervisor.look()
        return child.pid != first and child.ready()

    assert _wait(is_back)
    supervisor.stop()
    assert child.exit_code() is not None


def test_lines_that_are_not_shown_are_in_the_log_file(
    process: Callable[..., Process], capsys: pytest.CaptureFixture[str]
) -> None:
    child = process(
        "print('a request'); print('ready'); print('a fault')", relay=True, not_shown="request"
    )
    child.start()
    assert _wait(lambda: "a fault" in child.log_file.read_text())
    child.stop()
    assert child.log_file.read_text().splitlines() == ["a request", "ready", "a fault"]
    shown = capsys.readouterr().out
    assert "a fault" in shown
    assert "a request" not in shown
    assert "a request" not in child.last_lines()
    assert "a fault" in child.last_lines()


def test_the_last_lines_of_a_process_that_fails_are_shown(
    process: Callable[..., Process], capsys: pytest.CaptureFixture[str]
) -> None:
    supervisor = Supervisor()
    child = process("import time; print('ready'); time.sleep(0.5); raise SystemExit('no disk')")
    supervisor.start(child, "start a child")
    shown: list[str] = []

    def is_shown() -> bool:
        supervisor.look()
        shown.append(capsys.readouterr().out)
        return "ended with code 1" in shown[-1]

    assert _wait(is_shown)
    assert "no disk" in shown[-1]
    supervisor.stop()


def test_workers_of_a_killed_api_do_not_go_on_serving(
    database: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = ports.hold_any_port()
    names = ("DATABASE_URL", "REDIS_URL", "PAYMENTS_ENVIRONMENT")
    monkeypatch.setenv("PATH", os.environ["PATH"])
    api = platform_processes.api(tmp_path, {name: os.environ[name] for name in names}, port=port)
    api.relay = False
    api.start()
    assert api.pid is not None
    server = psutil.Process(api.pid)
    assert any("psycopg" in each.path for each in server.memory_maps()), "the workers import it"
    workers = server.children()
    assert len(workers) >= platform_processes.API_WORKERS
    os.kill(api.pid, signal.SIGKILL)
    try:
        assert _wait(lambda: _all_gone(workers))
    finally:
        api.stop()
    socket.create_server((ports.HOST, port)).close()


# --- folders --------------------------------------------------------------------------------------


def test_two_launchers_do_not_share_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "VAR", tmp_path)
    with state.kept_folder("demo"):
        with pytest.raises(LauncherError, match="another launcher already runs"):
            with state.kept_folder("demo"):
                pytest.fail("both have it")
    with state.kept_folder("demo") as folder:
        assert folder == tmp_path / "demo"


def test_folders_of_killed_launchers_are_removed_and_living_ones_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "VAR", tmp_path)
    (tmp_path / "run-dead").mkdir()
    with state.fresh_folder("run-") as first, state.fresh_folder("run-") as second:
        assert first.is_dir()
        assert second.is_dir()
        assert not (tmp_path / "run-dead").exists()
    assert list(tmp_path.glob("run-*")) == []


def test_secrets_stay_the_same_and_have_mode_0600(tmp_path: Path) -> None:
    first = state.secret(tmp_path, "a role")
    assert state.secret(tmp_path, "a role") == first
    assert state.secret(tmp_path, "another") != first
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_the_shell_variables_are_those_of_the_processes_without_the_owners_password(
    tmp_path: Path,
) -> None:
    known = {"DATABASE_URL": "postgresql://app:x@h/p", "SECRET_KEY": "it's $HOME; `a`"}
    lines = serving.exports(known | {"DATABASE_OWNER_URL": "postgresql://owner:y@h/p"})
    file = tmp_path / "demo.env"
    file.write_text(lines)
    shown = subprocess.run(
        ["sh", "-c", f'. "{file}"; printf "%s\n%s" "$DATABASE_URL" "$SECRET_KEY"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.splitlines() == list(known.values())
    assert "OWNER" not in lines


def test_a_full_disk_is_reported_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "_FREE_BYTES_LEAST", 1 << 62)
    with pytest.raises(LauncherError, match="make room"):
        state.require_disk_space(tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- PostgreSQL ---------------------------------------------------------------------------------


def test_no_login_works_without_its_password_or_disables_triggers_that_are_kept(
    without_servers: None,
) -> None:
    with state.fresh_folder("run-") as folder:
        server = postgres.server(folder, durable=False)
        server.start()
        try:
            port = postgres.port_of(server)
            off = "SET session_replication_role = replica"
            postgres.make_roles(folder, port, durable=True)
            with psycopg.connect(postgres.url(folder, postgres.OWNER, port)) as connection:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(off)
            postgres.make_roles(folder, port, durable=False)
            with psycopg.connect(postgres.url(folder, postgres.OWNER, port)) as connection:
                connection.execute(off)
            with psycopg.connect(postgres.url(folder, postgres.APPLICATION, port)) as connection:
                row = connection.execute("SELECT current_user").fetchone()
                assert row == (postgres.APPLICATION,)
            for other in ("postgres", "template1"):
                with pytest.raises(psycopg.OperationalError, match="CONNECT"):
                    psycopg.connect(postgres.url(folder, postgres.APPLICATION, port, other))
            for role in (postgres.SUPERUSER, postgres.OWNER, postgres.APPLICATION):
                with pytest.raises(psycopg.OperationalError, match="password"):
                    psycopg.connect(
                        f"postgresql://{role}@{ports.HOST}:{port}/postgres", password="wrong"
                    )
        finally:
            server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to step down to another user")
def test_root_works_in_a_folder_that_others_cannot_reach(
    without_servers: None, tmp_path: Path
) -> None:
    closed = tmp_path / "closed"
    folder = closed / "var"
    folder.mkdir(parents=True)
    closed.chmod(0o700)
    server = postgres.server(folder, durable=False)
    try:
        server.start()
        assert psutil.Process(server.pid).uids().real != 0
    finally:
        server.stop()
        state.remove(folder)
    assert closed.stat().st_mode & 0o777 == 0o700
