"""Adyen's published specifications, where files of them are named: they are not kept here.

`ADYEN_SPECS` names a folder with `adyen.Webhooks-v1.json`, `adyen.CheckoutService-v72.json` and
`adyen.settlement_detail.columns.csv`; without it the tests that need them skip.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest


def document_path(name: str) -> Path:
    """The file of that name; skips the test without it."""
    folder = os.environ.get("ADYEN_SPECS", "")
    path = Path(folder) / name
    if not folder or not path.exists():
        pytest.skip(f"ADYEN_SPECS names no folder with {name}")
    return path


def webhooks() -> Any:
    return json.loads(document_path("adyen.Webhooks-v1.json").read_text())
