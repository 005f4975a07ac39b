"""Parameters of /v1/disputes."""

from __future__ import annotations

from typing import Final

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
from payments.api.requests.paging import list_parameters
from payments.objects.dispute import EVIDENCE_FILES, EVIDENCE_TEXTS

_TEXT_LENGTH_MAX: Final = 20_000
_NO_FILES: Final = Unsupported("Files cannot be uploaded here: describe it in uncategorized_text.")
_NO_PROGRAMS: Final = Unsupported("Networks' own programs are not supported: remove it.")

_EVIDENCE: Final[dict[str, Parameter]] = {
    **{name: Text(max_length=_TEXT_LENGTH_MAX, lines=True) for name in EVIDENCE_TEXTS},
    **dict.fromkeys(EVIDENCE_FILES, _NO_FILES),
    "appeal": _NO_PROGRAMS,
    "enhanced_evidence": _NO_PROGRAMS,
}

UPDATE_DISPUTE: Final = Parameters(
    {
        "evidence": Nested(_EVIDENCE, description="Merged into what is staged; '' unsets a text."),
        "expand": Expand("dispute"),
        "intended_submission_method": Enum("manual"),
        "metadata": Metadata(merges=True),
        "submit": Boolean(
            description="Hand in all that is staged, once and for good. true if evidence is given."
        ),
    }
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
