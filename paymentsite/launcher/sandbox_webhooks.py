"""Registers the platform's webhook endpoint at the sandbox PSP, as an operator does at a PSP."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Final

from paymentsite.launcher.errors import LauncherError
from paymentsite.launcher.ports import HOST

_ACCOUNT_CODE: Final = "sandbox"


def point_here(variables: Mapping[str, str], *, port: int) -> None:
    """Set the endpoint of the sandbox account; the PSP signs with the first of our secrets."""
    endpoint = {
        "url": f"http://{HOST}:{port}/psp/{_ACCOUNT_CODE}/webhook",
        "secret": variables["SANDBOX_PSP_WEBHOOK_SECRETS"].split(",")[0],
    }
    request = urllib.request.Request(
        f"{variables['SANDBOX_PSP_URL']}/v1/webhook_endpoint",
        data=json.dumps(endpoint).encode(),
        method="PUT",
        headers={"Authorization": f"Bearer {variables['SANDBOX_PSP_API_KEY']}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=5):
            return
    except (urllib.error.URLError, OSError) as error:
        raise LauncherError(f"the sandbox PSP does not take our webhook: {error}") from error
