"""Cleans text of a PSP where it enters the platform, so that every result can be recorded.

PostgreSQL stores no NUL, and a column has a length. One rule for every type of this contract:
control characters become spaces, card numbers are masked, what is too long is cut, and the instance
says what was changed. Ids and links are not masked: with an id that only looks like a card number
the payment could not be found, with such a link no challenge be completed.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, Final

from psp_adapters.contract.card_numbers import masked_card_numbers

logger = logging.getLogger(__name__)

ID_LENGTH_MAX: Final = 128
"""Of every column that keeps an id of a PSP, or our reference as the PSP stored it."""
_DIGEST_LENGTH: Final = 32
_BEYOND_THE_CUT: Final = 80
"""A card number that begins before the cut is recognized by what follows."""


def clean_text(text: str, *, most: int) -> str:
    """`text` masked, without control characters and lone surrogates, at most `most` long."""
    return masked_card_numbers(_cut(masked_card_numbers(text[: most + _BEYOND_THE_CUT]), most))


def _cut(text: str, most: int) -> str:
    if len(text) <= most and text.isprintable():
        return text
    kept = (" " if _is_control(each) else each for each in text[: most + 1])
    return "".join(kept).encode("utf-8", "replace").decode("utf-8")[:most]


def clean_id(text: str) -> str:
    """The same for an id: one that must be changed ends in a digest, so that it stays unique."""
    if len(text) <= ID_LENGTH_MAX and text.isprintable():
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    return f"{_cut(text, ID_LENGTH_MAX - _DIGEST_LENGTH - 1)}~{digest}"


def clean_link(text: str, *, most: int) -> str:
    """The same for an address, which is useless if it is cut: it becomes empty."""
    return text if len(text) <= most and text.isprintable() else ""


class StoredText:
    """A dataclass of this contract whose texts are stored.

    `TEXTS` and `LINKS` name its fields with their lengths, `IDS` those that keep an id. What was
    changed is added to the field `detail` if there is one, else logged.
    """

    __slots__ = ()
    TEXTS: ClassVar[Mapping[str, int]] = {}
    IDS: ClassVar[tuple[str, ...]] = ()
    LINKS: ClassVar[Mapping[str, int]] = {}

    def __post_init__(self) -> None:
        cut = [n for n in self.IDS if self._clean(n, clean_id)]
        cut += [n for n, m in self.TEXTS.items() if self._clean(n, partial(clean_text, most=m))]
        cut += [n for n, m in self.LINKS.items() if self._clean(n, partial(clean_link, most=m))]
        if cut:
            self._say(f"text of the provider was cut or masked: {', '.join(cut)}")

    def _clean(self, name: str, clean: Callable[[str], str]) -> bool:
        """Clean one field, or each text of a tuple; True if that changed it."""
        given = getattr(self, name)
        cleaned = tuple(map(clean, given)) if isinstance(given, tuple) else clean(given)
        if cleaned == given:
            return False
        self._set(name, cleaned)
        return True

    def _say(self, what: str) -> None:
        most = self.TEXTS.get("detail")
        if most is None:
            logger.warning("%s: %s", type(self).__name__, what)
            return
        detail = str(getattr(self, "detail", ""))[: max(0, most - len(what) - 2)]
        self._set("detail", f"{detail}; {what}"[:most] if detail else what[:most])

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)  # The instance is frozen once it is made.


def _is_control(character: str) -> bool:
    return (character < " " and character not in "\n\t") or "\x7f" <= character < "\xa0"
