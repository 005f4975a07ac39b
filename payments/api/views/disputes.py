"""/v1/disputes: opened by banks, answered by merchants."""

from __future__ import annotations

from typing import Any, Final

from payments import public_ids
from payments.api.parameters import (
    Boolean,
    Enum,
    Expand,
    Metadata,
    Nested,
    Parameter,
    Parameters,
    PublicId,
    Text,
    Unsupported,
)
from payments.api.parameters.groups import list_parameters
from payments.api.renderers import render_dispute
from payments.api.views.call import Call, path_id
from payments.api.views.documentation import documented
from payments.api.views.exchange import MerchantView
from payments.clock import now_utc
from payments.models import Dispute as DisputeRow
from payments.objects.dispute import DISPUTE as DISPUTE_OBJECT
from payments.objects.dispute import EVIDENCE_FILES, EVIDENCE_TEXTS, dispute_object
from payments.selectors.disputes import one_dispute, page_of_disputes
from payments.selectors.scope import DISPUTE
from payments.services import commands
from payments.services.callers.caller import CommandRequest, CommandResult

_TEXT_LENGTH_MAX: Final = 20_000
_NO_FILES: Final = Unsupported("Files cannot be uploaded here: describe it in uncategorized_text.")
_NO_PROGRAMS: Final = Unsupported("Networks' own programs are not supported: remove it.")

_EVIDENCE: Final[dict[str, Parameter]] = {
    **{
        name: Text(max_length=_TEXT_LENGTH_MAX, lines=True, description=meaning)
        for name, meaning in EVIDENCE_TEXTS.items()
    },
    **dict.fromkeys(EVIDENCE_FILES, _NO_FILES),
    "appeal": _NO_PROGRAMS,
    "enhanced_evidence": _NO_PROGRAMS,
}

UPDATE_DISPUTE: Final = Parameters(
    {
        "evidence": Nested(_EVIDENCE, description="Merged into what is staged; '' unsets a text."),
        "expand": Expand("dispute"),
        "intended_submission_method": Enum(
            "manual", description="Evidence is always submitted by you."
        ),
        "metadata": Metadata(merges=True),
        "submit": Boolean(
            description="Hand in all that is staged, once and for good. true if evidence is given."
        ),
    },
    example={
        "evidence": {
            "product_description": "Two books",
            "shipping_carrier": "DHL",
            "shipping_date": "November 24, 2026",
        },
        "submit": True,
    },
)

CLOSE_DISPUTE: Final = Parameters({"expand": Expand("dispute")})

RETRIEVE_DISPUTE: Final = Parameters({"expand": Expand("dispute")})

LIST_DISPUTES: Final = list_parameters(
    public_ids.DISPUTE,
    "dispute",
    {
        "charge": PublicId(public_ids.CHARGE, noun="charge"),
        "payment_intent": PublicId(public_ids.PAYMENT_INTENT, noun="payment_intent"),
    },
    noun="dispute",
)


_PRINTED: Final = DISPUTE_OBJECT.example()
_CLOSED: Final = {
    "evidence_details": {**_PRINTED["evidence_details"], "due_by": None},
    "status": "lost",
}
_SUBMITTED: Final = {
    "evidence": {**_PRINTED["evidence"], **UPDATE_DISPUTE.example["evidence"]},
    "evidence_details": {
        **_PRINTED["evidence_details"],
        "due_by": None,
        "has_evidence": True,
        "submission_count": 1,
        "submission_method": "manual",
    },
    "status": "under_review",
}
"""What differs in the examples of answers."""


def _shown(dispute: DisputeRow) -> dict[str, Any]:
    return dispute_object(dispute, now=now_utc())


class Disputes(MerchantView):
    """Charges that customers' banks dispute."""

    @documented(LIST_DISPUTES, "dispute", "List disputes", is_list=True)
    def get(self, call: Call) -> dict[str, Any]:
        filters = call.only("payment_intent", "charge")
        return call.list_of("dispute", page_of_disputes(call.scope, call.paging, **filters), _shown)


class Dispute(MerchantView):
    """One dispute."""

    @documented(RETRIEVE_DISPUTE, "dispute", "Retrieve a dispute")
    def get(self, call: Call, public_id: str) -> dict[str, Any]:
        path_id(DISPUTE, public_id)
        return call.expanded("dispute", _shown(one_dispute(call.scope, public_id)))

    @documented(
        UPDATE_DISPUTE,
        "dispute",
        "Update a dispute",
        moves_money=True,
        example=_SUBMITTED,
    )
    def post(self, call: Call, public_id: str) -> CommandResult:
        return commands.update_dispute(
            CommandRequest(call.caller, render=render_dispute),
            dispute_id=path_id(DISPUTE, public_id),
            evidence=call.given.get("evidence"),
            metadata=call.given.get("metadata"),
            submit=call.given.get("submit"),
        )


class CloseDispute(MerchantView):
    """Accept a dispute as lost."""

    @documented(CLOSE_DISPUTE, "dispute", "Close a dispute", moves_money=True, example=_CLOSED)
    def post(self, call: Call, public_id: str) -> CommandResult:
        return commands.close_dispute(
            CommandRequest(call.caller, render=render_dispute),
            dispute_id=path_id(DISPUTE, public_id),
        )
