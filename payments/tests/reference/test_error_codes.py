"""The table of error codes: every code that the code can raise has a row, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import pytest
from django.test import override_settings

from payments import exceptions
from payments.api.error_codes import ERROR_CODES, doc_url
from payments.api.errors import ERRORS, error_body
from payments.api.parameters import declaration
from paymentsite.tidy.sources import is_test, name, python_files, text

# Codes of the PSP's own API, of circuit breakers and of rows; a merchant does not see them.
_OTHERS_CODES = ("psp_adapters/sandbox_psp/", "/psp_gateway/circuit_breaker.py", "/management/")


@cache
def sources() -> dict[str, str]:
    return {
        name(path): text(path)
        for path in python_files()
        if name(path).startswith(("payments/", "psp_adapters/", "paymentsite/receiving.py"))
        and not is_test(path)
        and not any(part in name(path) for part in _OTHERS_CODES)
        and path.name != "error_codes.py"
    }


def raised() -> Iterator[tuple[str, str]]:
    """Each code that is passed as `code=…`, or to `_refuse` of what reads requests, and where."""
    for file, source in sources().items():
        yield from ((code, file) for code in re.findall(r'\bcode=\s*"(\w+)"', source))
        refused = re.findall(r'_refuse\(\s*(?:protocol, \d+, )?"(\w+)"', source)
        if file.endswith(("/decoding.py", "/receiving.py")):
            yield from ((code, file) for code in refused)


def test_every_code_that_is_raised_has_a_row() -> None:
    found = dict(raised())
    assert len(found) > 30
    assert {code: place for code, place in found.items() if code not in ERROR_CODES} == {}


def test_every_code_of_a_class_has_a_row_with_the_status_that_the_class_is_answered_with() -> None:
    codes = {kind: kind.code for kind in ERRORS if kind.code}
    assert {c for c in codes.values() if c not in ERROR_CODES} == set()
    assert {k for k, c in codes.items() if ERRORS[k].status not in ERROR_CODES[c].statuses} == set()
    below = [kind for kind in vars(exceptions).values() if isinstance(kind, type)]
    assert {getattr(kind, "code", "") for kind in below} - {""} <= ERROR_CODES.keys()


def test_every_code_of_a_kind_of_parameter_has_a_row() -> None:
    kinds = [declaration.Parameter]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert {kind.code for kind in kinds} <= ERROR_CODES.keys()


def test_no_row_is_about_a_code_that_nothing_raises() -> None:
    everything = "\n".join(sources().values())
    assert [code for code in ERROR_CODES if f'"{code}"' not in everything] == []


def test_an_error_leads_to_its_row_where_the_public_address_is_known() -> None:
    with override_settings(PUBLIC_BASE_URL="https://pay.example.com"):
        error = error_body("card_error", "card_declined", "No.")["error"]
        assert error["doc_url"] == "https://pay.example.com/docs/errors#card_declined"
        assert "doc_url" not in error_body("api_error", "", "A fault.")["error"]
    with override_settings(PUBLIC_BASE_URL=""):
        assert "doc_url" not in error_body("card_error", "card_declined", "No.")["error"]


@pytest.mark.parametrize("code", ["", "surprise"])
def test_a_code_without_a_row_has_no_link(code: str) -> None:
    assert doc_url(code) == ""
