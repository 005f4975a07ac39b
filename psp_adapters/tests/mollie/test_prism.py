"""What the adapter sends and what the face answers, held to Mollie's own document by Prism."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from psp_adapters.contract.operations import LookUp, OperationKind, Outcome
from psp_adapters.mollie.adapter import MollieAdapter
from psp_adapters.mollie.connection import EMBEDDED
from psp_adapters.tests.suites.contract_suite import make_request
from psp_adapters.tests.support.mollie_double import WEBHOOK_URL
from psp_adapters.tests.support.mollie_face import MollieFace
from psp_adapters.tests.support.mollie_openapi import SETTING, specification
from psp_adapters.tests.support.prism_process import prism
from psp_adapters.tests.support.receiver import SECRET
from psp_adapters.tests.support.sandbox_process import SandboxProcess

K = OperationKind
DEADLINE_SECONDS = 30.0
pytestmark = pytest.mark.matrix(most=0)


def with_several_embedded(document: dict[str, Any], folder: Path) -> Path:
    """A copy of the document that allows several embedded lists, as Mollie's guides show them."""
    for each in document["paths"]["/v2/payments/{paymentId}"]["get"]["parameters"]:
        if each.get("$ref", "").endswith("/embed"):
            each["schema"]["enum"].append(EMBEDDED)
    copy = folder / "document.json"
    copy.write_text(json.dumps(document))
    return copy


@pytest.fixture
def checked(sandbox: SandboxProcess, order_id: str, tmp_path: Path) -> Iterator[MollieAdapter]:
    """The adapter before a proxy that checks requests and answers, before the face."""
    document = specification()
    if document is None:
        pytest.skip(f"{SETTING} names no file of Mollie's OpenAPI document")
    face = MollieFace(sandbox.base_url)
    copy = with_several_embedded(deepcopy(document), tmp_path)
    with prism(copy, paths=["/v2/payments"], upstream=face.base_url) as base_url:
        adapter = MollieAdapter(
            api_key=f"test_{order_id.replace('-', '')}",
            base_url=base_url,
            webhook_url=WEBHOOK_URL,
            webhook_secret=SECRET,
        )
        yield adapter
        adapter.close()
    face.close()


def test_every_request_and_answer_of_a_payments_life_is_as_mollie_documents(
    checked: MollieAdapter, order_id: str
) -> None:
    def made(kind: OperationKind, **values: object) -> tuple[Outcome, str]:
        request = make_request(kind, currency="EUR", **values)
        result = getattr(checked, kind.value)(request, deadline_seconds=DEADLINE_SECONDS)
        return result.outcome, result.psp_payment_id

    charge = {"order_id": order_id, "return_url": "https://shop.example/back"}
    outcome, held = made(K.AUTHORIZE, token="tkn_visa", **charge)
    assert outcome is Outcome.SUCCEEDED
    for kind, minor in ((K.CAPTURE, 300), (K.REFUND, 100)):
        assert made(kind, minor=minor, psp_payment_id=held)[0] is Outcome.SUCCEEDED
    outcome, other = made(K.AUTHORIZE, token="tkn_visa", **charge)
    assert made(K.VOID, psp_payment_id=other)[0] is Outcome.SUCCEEDED
    assert made(K.REFUND, psp_payment_id=other)[0] is Outcome.DECLINED
    outcome, _ = made(K.AUTHORIZE, token="method:ideal", capture=True, **charge)
    assert outcome is Outcome.REQUIRES_ACTION
    query = LookUp(kind=K.AUTHORIZE, reference="op_none")
    assert checked.look_up(query, deadline_seconds=DEADLINE_SECONDS) is None
