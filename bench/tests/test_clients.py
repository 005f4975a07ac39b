"""What a client's script printed becomes a row; one that is missing or breaks off fails."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bench.clients.__main__ import table
from bench.clients.environments import CLIENTS, WHOLE_SCRIPT, Client, Unavailable


@pytest.fixture
def client(tmp_path: Path) -> Client:
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "python").symlink_to(sys.executable)
    return Client(name="python 1", packages=("stripe==1",), script="script.py")


def test_each_call_of_a_script_is_read_and_other_lines_are_not(
    client: Client, tmp_path: Path
) -> None:
    call = {"call": "capture", "result": "pass", "detail": ""}
    (tmp_path / "script.py").write_text(f"print('noise')\nprint('{json.dumps(call)}')\n")
    assert client.run(tmp_path, {"base_url": "http://127.0.0.1:1"}) == [call]


def test_a_script_that_breaks_off_is_a_failed_call_with_its_last_lines(
    client: Client, tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text("raise SystemExit('out of order')\n")
    [call] = client.run(tmp_path, {})
    assert (call["call"], call["result"]) == (WHOLE_SCRIPT, "fail")
    assert "out of order" in call["detail"]


def test_a_client_without_its_program_is_unavailable_for_a_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("bench.clients.environments.VAR", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    node = next(client for client in CLIENTS if client.is_node)
    with pytest.raises(Unavailable, match="node is not installed"):
        node.install()


def test_the_table_has_a_row_for_each_call_and_a_column_for_each_client() -> None:
    shown = table({"old": {"capture": "pass"}, "new": {"capture": "fail", "search": "pass"}})
    assert shown.splitlines() == [
        "| call | old | new |",
        "| --- | --- | --- |",
        "| capture | pass | fail |",
        "| search |  | pass |",
    ]
