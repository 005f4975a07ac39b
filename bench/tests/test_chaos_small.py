"""The small tier of the chaos test: `make chaos-small`.

Not part of `make test` yet: it asserts times too (all is resolved a minute after the faults end),
and has not run often enough on loaded machines to be trusted there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from paymentsite.launcher import state

SEED, PAYMENTS, KILLS = 2026, 150, 15


@pytest.mark.skipif("CHAOS_SMALL" not in os.environ, reason="a target of its own: chaos-small")
@pytest.mark.alone
def test_nothing_is_lost_or_done_twice_while_everything_fails(
    database_urls: Any, tmp_path: Path
) -> None:
    arguments = ["--seed", SEED, "--payments", PAYMENTS, "--kills", KILLS, "--folder", tmp_path]
    done = subprocess.run(
        [sys.executable, "-m", "bench.chaos", *map(str, arguments)],
        cwd=state.PROJECT,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, f"{done.stdout[-12_000:]}\n{done.stderr[-3_000:]}"
    result = json.loads((tmp_path / f"{SEED}.json").read_text())
    assert result["verdict"] == "pass"
    assert not any(result["violations"].values())
