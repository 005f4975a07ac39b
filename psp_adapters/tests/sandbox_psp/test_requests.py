"""Bad input to the simulator, its command line and its control API: refused, and no trace left."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from psp_adapters.sandbox_psp.server.requests import holds_card_number
from psp_adapters.tests.support.sandbox_process import SandboxProcess
from psp_adapters.tests.support.shop import Shop, error_of


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount_minor": 0}, "invalid_amount"),
        ({"amount_minor": -1}, "invalid_amount"),
        ({"amount_minor": 1.5}, "invalid_amount"),
        ({"amount_minor": True}, "invalid_amount"),
        ({"amount_minor": "10"}, "invalid_amount"),
        ({"amount_minor": 10**13}, "invalid_amount"),
        ({"currency": "usd"}, "invalid_parameter"),
        ({"currency": ["USD"]}, "invalid_parameter"),
        ({"reference": ""}, "invalid_parameter"),
        ({"reference": None}, "invalid_parameter"),
        ({"reference": "r" * 201}, "invalid_parameter"),
        ({"capture": "yes"}, "invalid_parameter"),
        ({"challenge": []}, "invalid_parameter"),
        ({"return_url": "javascript:x"}, "invalid_parameter"),
        ({"return_url": "https://a/\r\nX: y"}, "invalid_parameter"),
        ({"metadata": {"a": 1}}, "invalid_parameter"),
        ({"metadata": []}, "invalid_parameter"),
        ({"number": "x"}, "unknown_field"),
        ({"metadata": {"note": "4242424242424242"}}, "card_number"),
        ({"metadata": {"note": "pay 4242 4242 4242 4242 now"}}, "card_number"),
        ({"order_id": "4000-0000-0000-0002"}, "card_number"),
        ({"metadata": {"x": "é", "note": "4000056655665556"}}, "card_number"),
        ({"token": "378282246310005"}, "card_number"),
    ],
)
def test_bad_input_is_refused_and_leaves_no_trace(
    sandbox: SandboxProcess, shop: Shop, changes: dict[str, Any], code: str
) -> None:
    before = len(sandbox.effects())
    reference = f"op-{uuid.uuid4().hex}"
    assert error_of(shop.pay(**({"reference": reference} | changes), key="k")) == (400, code)
    assert len(sandbox.effects()) == before
    assert shop.request("GET", "/v1/operations")[1]["data"] == []
    assert not sandbox.calls(order_id=shop.order_id)


def test_a_refused_card_number_is_on_no_disk(own_sandbox: SandboxProcess) -> None:
    shop = Shop(own_sandbox.base_url)
    escaped = b'{"reference":"\\u0034242424242424242"}'
    assert error_of(shop.request("POST", "/v1/payments", raw=escaped, key="k"))[1] == "card_number"
    assert error_of(shop.pay(key="4242424242424242"))[1] == "card_number"
    assert error_of(shop.request("GET", "/v1/tokens/4242424242424242"))[1] == "card_number"
    shop.pay()
    own_sandbox.stop()
    for file in own_sandbox.store.parent.iterdir():
        assert b"4242424242424242" not in file.read_bytes()
    own_sandbox.start()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'"4242424242424242"', True),
        (b"4242 4242 4242 4242", True),
        (b"3782 822463 10005", True),
        (b"4242424242424241", False),
        (b"019a1234-5678-7123-8456-012345678901", False),
        (b"deadbeef4242424242424242", False),
        (b"42424242424242424242424242424242", False),
    ],
)
def test_a_card_number_is_distinguished_from_an_identifier(text: bytes, expected: bool) -> None:
    assert holds_card_number(text) is expected


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b"\xff\xfe", 400),
        (b'{"\\ud800":1}', 400),
        (b"[" * 5000, 400),
        (b'{"reference":"\\u0000"}', 400),
    ],
)
def test_a_malformed_body_is_never_a_server_error(shop: Shop, raw: bytes, status: int) -> None:
    for path in ("/v1/payments", "/v1/fences", "/v1/payments/spay_x/capture"):
        answer = shop.request("POST", path, raw=raw, key="k")
        assert answer[0] in (status, 200 if path == "/v1/fences" else status)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/payments/%ff%fe", 404),
        ("GET", "/v1/payments/unknown", 404),
        ("GET", "/v1/operations?after=x", 400),
        ("GET", "/v1/operations?after=-1", 400),
        ("GET", "/v1/operations?limit=9999999", 400),
        ("GET", "/v1/operations?color=red", 400),
        ("GET", "/v1/tokens/pm_card_unknown", 404),
        ("DELETE", "/v1/payments", 405),
        ("GET", "/challenge/unknown", 404),
        ("POST", "/challenge/unknown/complete", 404),
        ("GET", "/nothing", 404),
        ("GET", "/control/nothing", 404),
        ("GET", "/healthz", 200),
    ],
)
def test_every_address_has_a_definite_answer(
    shop: Shop, method: str, path: str, status: int
) -> None:
    assert shop.request(method, path)[0] == status


@pytest.mark.parametrize(
    "raw",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /v1/payments HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/payments HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
        b"POST /v1/payments HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n",
    ],
)
def test_malformed_http_is_refused_and_the_connection_closed(
    sandbox: SandboxProcess, raw: bytes
) -> None:
    parts = urlsplit(sandbox.base_url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=5) as client:
        client.sendall(raw)
        answer = b""
        while piece := client.recv(4096):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 4")


def test_an_api_key_is_needed(shop: Shop) -> None:
    for header in ("", "Bearer", "Bearer sk_test_1", "Basic sandbox_x"):
        answer = shop.request("GET", "/v1/operations", headers={"Authorization": header})
        assert error_of(answer) == (401, "unauthorized")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("behavior", {"hang": 2}),
        ("behavior", {"hang": "often"}),
        ("behavior", {"unheard_of": 1}),
        ("behavior", {"latency_ms": {"median": 10, "p99": 1}}),
        ("behavior", {"latency_ms": 5}),
        ("behavior", {"webhooks": 5}),
        ("behavior", {"seed": "x"}),
        ("scripts", {"behavior": {}}),
        ("scripts", {"behavior": {"hang": 1, "down": 1}}),
        ("scripts", {"behavior": {"explode": 1}}),
        ("scripts", {"behavior": {"hang": 1}, "times": 0}),
        ("scripts", {"behavior": {"hang": 1}, "match": {"color": "red"}}),
        ("scripts", {"behavior": {"decline": {}}}),
        ("scripts", {"behavior": {"latency_ms": -1}}),
        ("advance", {"seconds": -1}),
        ("advance", {}),
    ],
)
def test_the_control_api_refuses_malformed_requests(
    sandbox: SandboxProcess, shop: Shop, path: str, body: dict[str, Any]
) -> None:
    method = "PUT" if path == "behavior" else "POST"
    assert shop.request(method, f"/control/{path}", body)[0] == 400
    assert sandbox.control("GET", "scripts") == []


def test_behavior_is_shown_as_set_and_reset(sandbox: SandboxProcess) -> None:
    webhooks = {"lose": 0.1, "delay_seconds": [0, 5]}
    sandbox.set_behavior(hang=0.5, webhooks=webhooks)
    shown = sandbox.control("GET", "behavior")
    assert (shown["hang"], shown["webhooks"]) == (0.5, webhooks)
    sandbox.heal()
    assert sandbox.control("GET", "behavior")["hang"] == 0


def test_without_the_switch_there_is_no_control_api(tmp_path: Path) -> None:
    process = SandboxProcess(tmp_path / "truth.sqlite3")
    process.start(control=False)
    try:
        assert Shop(process.base_url).request("GET", "/control/effects")[0] == 404
    finally:
        began = time.monotonic()
        assert process.stop() == 0
    assert time.monotonic() - began < 5


def test_a_taken_port_is_one_clear_line(sandbox: SandboxProcess, tmp_path: Path) -> None:
    port = sandbox.base_url.rsplit(":", 1)[1]
    command = [sys.executable, "-m", "psp_adapters.sandbox_psp", "--port", port]
    command += ["--store", str(tmp_path / "truth.sqlite3")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert port in result.stderr
