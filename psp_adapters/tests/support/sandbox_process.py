"""The real sandbox PSP as a child process, with a client of its control API. For any test suite."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

_PROJECT = Path(__file__).resolve().parents[3]
_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where a file is not written to a disk, whose confirmation would be waited for at each call."""


class SandboxProcess:
    """Starts, stops, kills and steers one sandbox PSP; usable as a context manager.

    The store lives in a directory of its own and survives `kill` and `stop`, so that `start`
    again on the same object continues with the same truth (and the same port).
    """

    def __init__(self, store: Path | None = None) -> None:
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        if store is None:
            self._directory = tempfile.TemporaryDirectory(prefix="sandbox-psp-", dir=_MEMORY)
            store = Path(self._directory.name) / "truth.sqlite3"
        self.store = store
        self.base_url = ""
        self._process: subprocess.Popen[str] | None = None
        self._port = 0
        self._is_healthy = False

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, port: int = 0, *, control: bool = True) -> str:
        """Start the server and wait until it answers; its base URL."""
        command = [sys.executable, "-m", "psp_adapters.sandbox_psp"]
        command += ["--port", str(port or self._port), "--store", str(self.store)]
        if control:
            command.append("--control")
        self._process = subprocess.Popen(
            command,
            cwd=_PROJECT,
            stdout=subprocess.PIPE,
            text=True,
            env=dict(os.environ),
        )
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], 20)
        line = self._process.stdout.readline() if ready else ""
        if "listening on" not in line:
            self.stop()
            raise RuntimeError(f"the sandbox PSP did not start: {line!r}")
        self.base_url = line.rsplit(" ", 1)[1].strip()
        self._port = int(self.base_url.rsplit(":", 1)[1])
        return self.base_url

    def stop(self) -> int:
        """SIGTERM and wait; the exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """kill -9 and wait; the exit status."""
        return self._end(signal.SIGKILL)

    def effects(
        self, *, order_id: str | None = None, after: int = 0, kind: str | None = None
    ) -> list[dict[str, Any]]:
        """What moved or held money, in order."""
        query = {"after": str(after)} | ({"order_id": order_id} if order_id is not None else {})
        effects = self.control("GET", f"effects?{urlencode(query)}")
        return [each for each in effects if kind in (None, each["kind"])]

    def calls(
        self,
        *,
        after: int = 0,
        reference: str | None = None,
        order_id: str | None = None,
        kind: str | None = None,
    ) -> list[dict[str, Any]]:
        """Every request seen by the merchant API, in order."""
        return [
            call
            for call in self.control("GET", f"calls?after={after}")
            if reference in (None, call["reference"])
            and order_id in (None, call["order_id"])
            and kind in (None, call["kind"])
        ]

    def set_behavior(self, **behavior: Any) -> dict[str, Any]:
        """Replace the whole behavior; what is not named gets its healthy default."""
        answer: dict[str, Any] = self.control("PUT", "behavior", behavior)
        return answer

    def heal(self) -> None:
        """Reset the behavior and the scripts, and send the held answers; only if one was set."""
        if self._is_healthy:
            return
        self.control("DELETE", "behavior")
        self.control("DELETE", "scripts")
        self.release()
        self._is_healthy = True

    def script(
        self, behavior: dict[str, Any], *, times: int | None = 1, **match: str
    ) -> dict[str, Any]:
        """Do `behavior` to the next `times` requests that match (None: to all of them)."""
        body = {"match": match, "behavior": behavior, "times": times}
        answer: dict[str, Any] = self.control("POST", "scripts", body)
        return answer

    def release(self) -> int:
        """Send the held answers. Returns their number."""
        return int(self.control("POST", "release")["released"])

    def revise(self, reference: str, to: str, *, keep_hold: bool = True) -> dict[str, Any]:
        """Cause a late outcome: `fail` after a success, or `succeed` after a failure."""
        body = {"reference": reference, "to": to, "keep_hold": keep_hold}
        answer: dict[str, Any] = self.control("POST", "revision", body)
        return answer

    def advance(self, seconds: float) -> None:
        """Move the simulator's clock forward."""
        self.control("POST", "advance", {"seconds": seconds})

    def close_settlement(self, *, pay_out: bool = False) -> list[dict[str, Any]]:
        """Close settlement reports of what happened so far: `account`, `name`, `lines` of each.

        With `pay_out` each contains a payout of all its lines.
        """
        made: list[dict[str, Any]] = self.control("POST", "settlement", {"pay_out": pay_out})
        return made

    def move_money(self, api_key: str, type_: str, gross_minor: int, *, fee_minor: int = 0) -> None:
        """Change an account's balance in USD, for no payment: a fee, a reserve, a correction."""
        amounts = {"currency": "USD", "gross_minor": gross_minor, "fee_minor": fee_minor}
        self.control("POST", "movements", {"api_key": api_key, "type": type_, **amounts})

    def pay_out(self, api_key: str) -> list[dict[str, Any]]:
        """Pay out what the closed reports of an account say it has."""
        made: list[dict[str, Any]] = self.control("POST", "payouts", {"api_key": api_key})
        return made

    def settle_in(self, api_key: str, currency: str, **rates: str) -> None:
        """Settle captures and refunds of an account in these currencies in another one."""
        body = {"api_key": api_key, "currency": currency, "rates": rates}
        self.control("POST", "settlement_currency", body)

    def spoil_report(self, api_key: str, defect: str, *, line: int = 1, report: str = "") -> None:
        """Give the files of the account's next report, or of a closed one, a defect."""
        body = {"api_key": api_key, "defect": defect, "line": line, "report": report}
        self.control("POST", "report_defects", body)

    def bank_statements(self, api_key: str, *, defect: str = "") -> list[dict[str, Any]]:
        """What the bank of an account shows: `account`, `currency`, `name`, `body` of each."""
        given = {"api_keys": [api_key], "defect": defect}
        made: list[dict[str, Any]] = self.control("POST", "bank_statements", given)
        return made

    def act(
        self, verb: str, *, order_id: str = "", payment_id: str = "", **body: Any
    ) -> dict[str, Any]:
        """Capture, void or refund in the PSP's dashboard; the operation as the PSP shows it."""
        of = f"payments/{payment_id}" if payment_id else f"orders/{quote(order_id, safe='')}"
        answer: dict[str, Any] = self.control("POST", f"{of}/{verb}", body)
        return answer

    def complete_challenge(self, challenge_url: str, *, fail: bool = False) -> dict[str, Any]:
        """Answer a challenge as the customer would; the payment as the PSP shows it."""
        url = f"{challenge_url}/{'fail' if fail else 'complete'}"
        answer: dict[str, Any] = _exchange("POST", url, {}, {"Accept": "application/json"})
        return answer

    def wait_for(self, *, order_id: str, kind: str, timeout_seconds: float = 5) -> dict[str, Any]:
        """The first effect of `kind` for the order; fails after `timeout_seconds`."""
        end = time.monotonic() + timeout_seconds
        while True:
            effects = self.effects(order_id=order_id, kind=kind)
            if effects:
                return effects[0]
            if time.monotonic() > end:
                raise AssertionError(f"no {kind} for {order_id} within {timeout_seconds} s")
            time.sleep(0.02)

    def open_dispute(self, **body: Any) -> dict[str, Any]:
        """Dispute a payment (`order_id`, `reference` or `payment_id`); see control_disputes."""
        opened: dict[str, Any] = self.control("POST", "disputes", body)
        return opened

    def move_dispute(self, dispute_id: str, move: str, **body: Any) -> dict[str, Any]:
        """`win`, `lose`, `escalate`, `prevent` or `close` it."""
        moved: dict[str, Any] = self.control("POST", f"disputes/{dispute_id}/{move}", body)
        return moved

    def disputes(self, order_id: str) -> list[dict[str, Any]]:
        """Every dispute of an order, oldest first."""
        found: list[dict[str, Any]] = self.control("GET", f"disputes?order_id={order_id}")
        return found

    def control(self, method: str, path: str, body: object = None) -> Any:
        """One request of the control API."""
        if path in ("behavior", "scripts"):
            self._is_healthy = False
        return _exchange(method, f"{self.base_url}/control/{path}", body, {})

    def _end(self, number: signal.Signals) -> int:
        process = self._process
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(number)
        try:
            return process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
        finally:
            if process.stdout is not None:
                process.stdout.close()
            self._process = None

    def __enter__(self) -> Self:
        if self._process is None:
            self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if self._directory is not None:
            self._directory.cleanup()


class _StayHere(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _StayHere)


def _exchange(method: str, url: str, body: object, headers: dict[str, str]) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    try:
        with _OPENER.open(request, timeout=10) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        text = error.read()
        if error.code == 303:
            return json.loads(text)
        raise AssertionError(f"{method} {url} answered {error.code}: {text!r}") from None
