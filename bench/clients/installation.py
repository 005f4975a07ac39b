"""A fresh installation as an operator makes it, and a merchant's server that takes its events."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bench.stage import run_command, run_python
from paymentsite.launcher import platform_processes, state
from paymentsite.launcher.embedded import services
from paymentsite.launcher.ports import HOST, hold_any_port
from paymentsite.launcher.processes import end_descendants
from paymentsite.launcher.progress import step
from paymentsite.launcher.signals import adopt_orphans


@dataclass(frozen=True, kw_only=True)
class Installation:
    """The running platform, and the address of the merchants' server."""

    base_url: str
    psp_url: str
    receiver_url: str
    variables: Mapping[str, str]

    def new_merchant(self, name: str) -> str:
        """Create a merchant with `manage.py`; returns a secret key of it."""
        merchant = self._manage("merchant", "create", name, "--test-account", "sandbox")
        return self._manage("api_key", "create", merchant["merchant"])["secret"]

    def _manage(self, *command: str) -> dict[str, str]:
        shown: dict[str, str] = run_python(self.variables, "manage.py", *command, "--json")
        return shown


@contextmanager
def installed() -> Iterator[Installation]:
    """Start everything that a payment and its events need; stop it at the end of the block."""
    adopt_orphans()
    with (
        state.fresh_folder("clients-") as folder,
        services(folder, durable=False) as (variables, servers),
        ExitStack() as stack,
    ):
        stack.callback(
            lambda: end_descendants(spared=[server.pid for server in servers if server.pid])
        )
        psp_port, port = hold_any_port(), hold_any_port()
        variables |= {
            "PUBLIC_BASE_URL": f"http://{HOST}:{port}",
            "SANDBOX_PSP_URL": f"http://{HOST}:{psp_port}",
            "SANDBOX_PSP_API_KEY": f"sandbox_{state.secret(folder, 'sandbox PSP')}",
            "SANDBOX_PSP_WEBHOOK_SECRETS": state.secret(folder, "sandbox PSP webhooks"),
            "WEBHOOK_LOOPBACK": "on",
        }
        with step("make the tables"):
            run_command(variables, "manage.py", "migrate", "--no-input", "--verbosity", "0")
        for process in (
            platform_processes.sandbox_psp(folder, port=psp_port),
            platform_processes.api(folder, variables, port=port, workers=1),
            *platform_processes.workers(folder, variables),
            platform_processes.beat(folder, variables),
            platform_processes.relay(folder, variables),
        ):
            with step(f"start {process.name}"):
                stack.callback(process.stop)
                process.start()
        with step("create the PSP account"):
            _create_account(folder, variables)
        platform_processes.register_webhook(variables, port=port)
        yield Installation(
            base_url=variables["PUBLIC_BASE_URL"],
            psp_url=variables["SANDBOX_PSP_URL"],
            receiver_url=stack.enter_context(_receiver()),
            variables=variables,
        )


def _create_account(folder: Path, variables: Mapping[str, str]) -> None:
    credentials = {
        "base_url": variables["SANDBOX_PSP_URL"],
        "api_key": variables["SANDBOX_PSP_API_KEY"],
        "webhook_secrets": variables["SANDBOX_PSP_WEBHOOK_SECRETS"],
    }
    file = folder / "sandbox.json"
    state.write_private(file, json.dumps(credentials))
    command = ("psp_accounts", "create", "sandbox", "--credentials", str(file))
    run_command(variables, "manage.py", "staff", "create", "ada")
    run_command(variables, "manage.py", *command, "--by", "staff:ada")


@contextmanager
def _receiver() -> Iterator[str]:
    """A server that keeps what is posted to each path; GET shows what came there."""
    arrived: dict[str, list[dict[str, str]]] = defaultdict(list)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            signature = self.headers.get("Stripe-Signature", "")
            arrived[self.path].append({"body": body, "signature": signature})
            self._answer(b"{}")

        def do_GET(self) -> None:
            self._answer(json.dumps(arrived[self.path]).encode())

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer((HOST, 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{HOST}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
