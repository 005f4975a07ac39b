"""Makes of our responses to disputes what Adyen takes: a defense reason, and documents. No I/O.

The merchant API's evidence is text in named fields. Adyen takes files alone, so the text is written
into one PDF document, which is supplied under each type of document that the reason requires.
"""

from __future__ import annotations

import base64
import io
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Final

from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import simpleSplit
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

from psp_adapters.adyen.dispute_facts import split_id
from psp_adapters.adyen.mapping import Json, redacted
from psp_adapters.contract.answers import UNREADABLE, Answer, retry_after, text
from psp_adapters.contract.card_numbers import masked_card_numbers
from psp_adapters.contract.disputes import DisputeResult, response_declined
from psp_adapters.contract.operations import Outcome

_FONT: Final = "Helvetica"
_CHARACTERS: Final = "cp1252"
"""Those that the font has."""
_PLAIN: Final = str.maketrans("łŁđĐħĦıŧŦ\u2010\u2011\u2212", "lLdDhHitT---")
"""Letters that it does not have, and that are no letter with an accent."""
_SIZE: Final = 10
_LINE: Final = 14
_MARGIN: Final = 56
_LETTERS_MAX: Final = 250
"""More of the narrowest letter do not fit on a line."""
REQUIRED: Final = "Required"
_ONE_OF: Final = ("OneOrMore", "AlternativeRequired")
_PREFERRED: Final[tuple[str, ...]] = (
    *("SupplyDefenseMaterial", "GoodsOrServicesProvided", "MerchandiseReceived"),
    *("GoodsWereAsDescribed", "CancellationOrReturns", "InvalidChargeback"),
)
"""Reasons that text can support whatever the dispute is about; then the first that Adyen offers."""


@dataclass(frozen=True, slots=True)
class Defense:
    """The reason to defend a dispute for, and the types of documents that it needs."""

    reason: str
    document_types: tuple[str, ...]


def about(psp_dispute_id: str, *, merchant_account: str) -> Json:
    """What every request about a dispute says."""
    own_id, _ = split_id(psp_dispute_id)
    return {"merchantAccountCode": merchant_account, "disputePspReference": own_id}


def documents_body(asked: Json, defense: Defense, evidence: Mapping[str, str]) -> Json:
    """The body of /supplyDefenseDocument. Raises ValueError as `document_of`."""
    content = base64.b64encode(document_of(evidence)).decode()
    documents = [
        {
            "content": content,
            "contentType": "application/pdf",
            "defenseDocumentTypeCode": each,
        }
        for each in defense.document_types
    ]
    return {**asked, "defenseDocuments": documents}


def document_of(evidence: Mapping[str, str]) -> bytes:
    """The evidence as a PDF document, the same bytes every time; card numbers in it are masked.

    Raises ValueError with the name of a field whose letters its font does not have.
    """
    kept = io.BytesIO()
    width, height = A4
    page = Canvas(kept, pagesize=A4, invariant=1)
    at = height - _MARGIN
    page.setFont(_FONT, _SIZE)
    for line in _lines_of(evidence, width - 2 * _MARGIN):
        if at < _MARGIN:
            page.showPage()
            page.setFont(_FONT, _SIZE)
            at = height - _MARGIN
        page.drawString(_MARGIN, at, line)
        at -= _LINE
    page.save()
    return kept.getvalue()


def _lines_of(evidence: Mapping[str, str], width: float) -> list[str]:
    lines: list[str] = []
    for name, said in sorted(evidence.items()):
        title = name.replace("_", " ").capitalize()
        body = _in_font(name, masked_card_numbers(said))
        broken = (_broken(line, width) for line in simpleSplit(body, _FONT, _SIZE, width))
        lines += [title, *chain.from_iterable(broken), ""]
    return lines


def _broken(line: str, width: float) -> Iterator[str]:
    """The line in parts that fit: it may have no space to be broken at."""
    while stringWidth(line[: _LETTERS_MAX + 1], _FONT, _SIZE) > width:
        lengths = range(1, _LETTERS_MAX + 1)
        at = bisect_right(lengths, width, key=partial(_width_of, line))
        yield line[:at]
        line = line[at:]
    yield line


def _width_of(line: str, length: int) -> float:
    return float(stringWidth(line[:length], _FONT, _SIZE))


def _in_font(name: str, said: str) -> str:
    """The text in characters of the font: a letter loses an accent that it has not there."""
    found = []
    for letter in unicodedata.normalize("NFC", said).translate(_PLAIN):
        if unicodedata.category(letter) == "Cf":
            continue  # It has no shape, such as a zero width space.
        if _has(letter):
            found.append(letter)
            continue
        plain = [each for each in unicodedata.normalize("NFKD", letter) if _has(each)]
        if not plain:
            raise ValueError(name)
        found += plain
    return "".join(found)


def _has(letter: str) -> bool:
    try:
        return bool(letter.encode(_CHARACTERS))
    except UnicodeEncodeError:
        return False


def defense_of(view: Json) -> Defense | None:
    """The reason to defend for, of those that Adyen offers; None if it offers none.

    Raises UNREADABLE.
    """
    offered = {text(each["defenseReasonCode"]): each for each in view.get("defenseReasons") or ()}
    named = [each for each in _PREFERRED if each in offered]
    reason = (named or list(offered) or [""])[0]
    if not reason:
        return None
    return Defense(reason, _types_of(offered[reason].get("defenseDocumentTypes") or ()))


def _types_of(documents: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Every required type; without one, the first of which Adyen wants at least one, or takes."""
    codes = [text(each["defenseDocumentTypeCode"]) for each in documents]
    levels = [each["requirementLevel"] for each in documents]
    required = [c for c, level in zip(codes, levels, strict=True) if level == REQUIRED]
    one_of = [c for c, level in zip(codes, levels, strict=True) if level in _ONE_OF][:1]
    return tuple(required + one_of or codes[:1])


def result_of_answer(answer: Answer) -> DisputeResult:
    """Read the answer to any step of a response; every doubt is UNKNOWN.

    A refusal may come with 200.
    """
    if answer.status == 429:
        return DisputeResult(
            outcome=Outcome.NOT_SENT,
            retry_after_seconds=retry_after(answer.headers),
            detail="429 rate limited",
        )
    body = answer.body if isinstance(answer.body, dict) else {}
    if answer.status in (401, 403):
        return not_sent(f"answered {answer.status}: the API key lacks the role for disputes")
    if answer.status in (400, 422) and body.get("errorCode"):
        return response_declined(redacted(f"answered {answer.status}: {body.get('message')}"))
    if answer.status != 200:
        return unknown(f"answered {answer.status}")
    try:
        said = body["disputeServiceResult"]
        if said["success"] is True:
            return DisputeResult(outcome=Outcome.SUCCEEDED)
        if said["success"] is not False:
            raise TypeError("neither true nor false")
    except UNREADABLE as error:
        return unknown(f"answered 200, unreadable: {type(error).__name__}")
    return response_declined(redacted(f"answered: {said.get('errorMessage')}"))


def unknown(detail: str) -> DisputeResult:
    """Adyen may or may not have taken the response."""
    return DisputeResult(outcome=Outcome.UNKNOWN, detail=redacted(detail))


def not_sent(detail: str) -> DisputeResult:
    """Adyen certainly did not take the response."""
    return DisputeResult(outcome=Outcome.NOT_SENT, detail=redacted(detail))
