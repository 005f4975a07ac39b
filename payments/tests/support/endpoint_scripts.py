"""Requests as a merchant's server sends them, decoded and validated, for tests of the edge."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from stripe._encode import _api_encode

from payments.api.decoding import FORM, JSON, decode_body
from payments.api.parameters import Parameters
from payments.exceptions import PaymentRefused


def as_form(given_values: dict[str, Any]) -> bytes:
    """The body that the official SDK makes of these parameters."""
    encoded = urlencode(list(_api_encode(given_values)))
    return encoded.replace("%5B", "[").replace("%5D", "]").encode()


def from_form(values: dict[str, Any], declared: Parameters) -> dict[str, Any]:
    return declared.validate(decode_body(FORM, as_form(values)))


def from_json(values: dict[str, Any], declared: Parameters) -> dict[str, Any]:
    return declared.validate(decode_body(JSON, json.dumps(values).encode()))


def refusal(body: bytes | dict[str, Any], declared: Parameters) -> tuple[str, str]:
    """Code and param of the refusal of a form (bytes) or of a JSON body (a dictionary)."""
    with pytest.raises(PaymentRefused) as refused:
        if isinstance(body, bytes):
            declared.validate(decode_body(FORM, body))
        else:
            declared.validate(decode_body(JSON, json.dumps(body).encode()))
    assert refused.value.message
    return refused.value.code, refused.value.param
