"""The clients and their pinned versions, each in an environment of its own under `var/clients`."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from paymentsite.launcher.state import VAR

SCRIPTS: Final = Path(__file__).parent / "scripts"
_INSTALL_WITHIN_SECONDS: Final = 900
_RUN_WITHIN_SECONDS: Final = 300
WHOLE_SCRIPT: Final = "the whole script"
"""The call that fails if a script ends early, or makes none."""


class Unavailable(Exception):
    """A client cannot be installed on this machine; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Client:
    """Packages of one client, and the script that uses them; Node's if it ends with `.mjs`."""

    name: str
    packages: tuple[str, ...]
    script: str

    @property
    def is_node(self) -> bool:
        return self.script.endswith(".mjs")

    def install(self) -> Path:
        """Install the packages unless an earlier run did; returns the folder. Or Unavailable."""
        pins = hashlib.sha256("\n".join(self.packages).encode()).hexdigest()[:12]
        folder = VAR / "clients" / f"{self.name.replace(' ', '-')}-{pins}"
        if not (folder / "installed").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            self._install_into(folder)
            (folder / "installed").touch()
        for source in SCRIPTS.iterdir():
            if source.is_file():
                shutil.copy2(source, folder)
        return folder

    def _install_into(self, folder: Path) -> None:
        if not self.is_node:
            _install([sys.executable, "-m", "venv", "venv"], folder)
            pip = ["venv/bin/python", "-m", "pip", "install", "--quiet", "--no-input"]
            _install([*pip, *self.packages], folder)
            return
        for program in ("node", "npm"):
            if shutil.which(program) is None:
                raise Unavailable(f"{program} is not installed")
        (folder / "package.json").write_text('{"private": true, "type": "module"}\n')
        npm = ["npm", "install", "--save-exact", "--cache", str(VAR / "npm-cache")]
        npm += ["--prefer-offline", "--no-audit", "--no-fund", "--no-update-notifier"]
        _install([*npm, "--ignore-scripts", "--legacy-peer-deps", *self.packages], folder)

    def run(self, folder: Path, facts: dict[str, Any]) -> list[dict[str, str]]:
        """Run the script; returns its calls with `call`, `result` and `detail` each."""
        program = "node" if self.is_node else "venv/bin/python"
        with (
            (folder / "output.log").open("w+") as output,
            (folder / "errors.log").open("w+") as log,
        ):
            try:
                code = subprocess.run(
                    [program, self.script, json.dumps(facts)],
                    cwd=folder,
                    stdout=output,
                    stderr=log,
                    timeout=_RUN_WITHIN_SECONDS,
                    env=_environment(),
                ).returncode
            except subprocess.TimeoutExpired:
                code = -1
            output.seek(0), log.seek(0)
            printed = [line for line in output if line.startswith('{"call"')]
            calls: list[dict[str, str]] = [json.loads(line) for line in printed]
            if code:
                last = "".join(log.readlines()[-12:]) or f"not ready in {_RUN_WITHIN_SECONDS} s"
                calls.append({"call": WHOLE_SCRIPT, "result": "fail", "detail": last})
        return calls


CLIENTS: Final = (
    *(
        Client(
            name=f"python {version.partition('.')[0]}",
            packages=(f"stripe=={version}",),
            script="sdk.py",
        )
        for version in ("5.5.0", "7.14.0", "9.12.0", "12.5.1", "16.1.0")
    ),
    *(
        Client(
            name=f"node {version.partition('.')[0]}",
            packages=(f"stripe@{version}",),
            script="sdk.mjs",
        )
        for version in ("12.18.0", "17.7.0", "23.1.0")
    ),
    Client(
        name="dj-stripe",
        packages=("dj-stripe==2.11.0", "stripe==15.6.2", "django==5.2.19"),
        script="dj_stripe.py",
    ),
    Client(
        name="medusa",
        packages=("@medusajs/payment-stripe@2.21.2", "@medusajs/framework@2.21.2"),
        script="medusa.mjs",
    ),
)


def _install(command: Sequence[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_INSTALL_WITHIN_SECONDS,
            env=_environment(),
        )
    except subprocess.TimeoutExpired:
        raise Unavailable("the packages did not come: is the registry reachable?") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        raise Unavailable(f"{Path(command[0]).name} could not install: {lines[-1]}")


def _environment() -> dict[str, str]:
    """The machine's, without what would let a client see this project's packages."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
