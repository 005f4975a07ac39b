"""Starts and stops the simulator's server, and routes each request to its handler."""

from __future__ import annotations

import asyncio
import signal
import sys
import traceback
from pathlib import Path

import orjson

from psp_adapters.sandbox_psp.refusals import Refusal
from psp_adapters.sandbox_psp.server import fields
from psp_adapters.sandbox_psp.server.challenge import handle_challenge
from psp_adapters.sandbox_psp.server.control import handle_control
from psp_adapters.sandbox_psp.server.http_server import HttpConnection, HttpRequest
from psp_adapters.sandbox_psp.server.simulator import Simulator
from psp_adapters.sandbox_psp.server.webhook_endpoint import handle_webhook_endpoint
from psp_adapters.sandbox_psp.state.journal import Store


class Dispatcher:
    """Routes each request to its handler; every refusal becomes an error answer."""

    def __init__(self, simulator: Simulator, *, control: bool) -> None:
        self._simulator = simulator
        self._control = control

    def __call__(self, request: HttpRequest, connection: HttpConnection) -> None:
        try:
            self._dispatch(request, connection)
        except Refusal as refusal:
            connection.reply(refusal.status, orjson.dumps(refusal.body()))
        except Exception:  # noqa: BLE001 - a bug must not leave the client waiting
            traceback.print_exc(file=sys.stderr)
            connection.reply(500, b'{"error":{"type":"simulator_bug"}}')

    def _dispatch(self, request: HttpRequest, connection: HttpConnection) -> None:
        target = request.target
        if target == "/v1/webhook_endpoint":
            handle_webhook_endpoint(self._simulator, request, connection)
        elif target == "/v1/field_origins":
            fields.register_origin(self._simulator, request, connection)
        elif target.startswith("/v1/"):
            self._simulator.handle(request, connection)
        elif self._control and target.startswith("/control/"):
            handle_control(self._simulator, request, connection)
        elif target.startswith("/challenge/"):
            handle_challenge(self._simulator, request, connection)
        elif target.startswith("/fields"):
            fields.handle_fields(self._simulator, request, connection)
        elif target == "/healthz":
            connection.reply(200, b'{"status":"ok"}')
        else:
            raise Refusal(404, "not_found", "no such address")


async def serve(*, host: str, port: int, store_path: Path, control: bool) -> None:
    """Serve until SIGTERM or SIGINT; port 0 takes a free one. Raises OSError if it is taken."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    connections: set[HttpConnection] = set()
    store_path.parent.mkdir(parents=True, exist_ok=True)
    store = Store(store_path)
    try:
        simulator = Simulator(store, keep_calls=control)
        dispatcher = Dispatcher(simulator, control=control)
        server = await loop.create_server(
            lambda: HttpConnection(dispatcher, connections), host, port, backlog=512
        )
        bound = server.sockets[0].getsockname()[1]
        simulator.base_url = f"http://{host}:{bound}"
        simulator.sender.start()
        sys.stdout.write(f"sandbox PSP listening on {simulator.base_url}\n")
        sys.stdout.flush()
        await stop.wait()
        server.close()
        simulator.sender.stop()
        for connection in list(connections):
            connection.drop()
    finally:
        store.close()
