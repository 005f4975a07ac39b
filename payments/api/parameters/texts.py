"""Free text, email addresses, URLs and phone numbers, all searched for card numbers."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Final
from urllib.parse import urlsplit

from payments.api.card_data import holds_card_number, refuse_card_data
from payments.api.parameters.declaration import Parameter, Schema

_BREAKS: Final = re.compile("[\t\n\x0b\x0c\r\x85\u2028\u2029]+")
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_CONTROLS_BUT_LINES: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_EMAIL: Final = re.compile(r"[^\s@<>\"(),:;\\\[\]]{1,64}@[^\s@<>\"(),:;\\\[\]/]{1,255}")
_PHONE_SCAN_FROM: Final = 14  # phone numbers have 13 digits too; only old Visa cards have


_TRANSLITERATED: Final = str.maketrans(
    {
        "ß": "ss",
        "æ": "ae",
        "Æ": "AE",
        "œ": "oe",
        "Œ": "OE",
        "ø": "o",
        "Ø": "O",
        "ł": "l",
        "Ł": "L",
        "đ": "d",
        "Đ": "D",
        "ð": "d",
        "Ð": "D",
        "þ": "th",
        "Þ": "TH",
        "ı": "i",
        "–": "-",
        "—": "-",
        "‐": "-",
        "’": "",
        "‘": "",
        "“": "",
        "”": "",
    }
)
"""Letters that Unicode does not decompose, and punctuation of typesetters."""


class Text(Parameter):
    """A string as given, never stripped and never made from a number.

    Line breaks and tabs become a space, unless `lines` keeps them. `pattern` must match all of it.
    An empty string unsets, unless `required` or not `can_unset`.
    """

    def __init__(
        self,
        *,
        max_length: int,
        min_length: int = 0,
        lines: bool = False,
        pattern: str = "",
        rule: str = "",
        can_unset: bool = True,
        required: bool = False,
        description: str = "",
    ) -> None:
        super().__init__(required=required, description=description)
        self.max_length = max_length
        self.min_length = min_length
        self.pattern = re.compile(pattern) if pattern else None
        self.rule = rule or "it has characters that are not allowed"
        self.can_unset = can_unset and not required
        self.lines = lines
        self.controls = _CONTROLS_BUT_LINES if lines else _CONTROLS

    def read(self, value: Any, name: str, is_text: bool) -> str:
        if value is None or value == "":
            if self.can_unset:
                return ""
            self.refuse_empty(name)
        if type(value) is not str:
            self.refuse(name, "Invalid string.")
        value = self.normalized(value)
        length = len(value)
        if length >= 13 and self.is_card_data(value):
            refuse_card_data(name)
        if length > self.max_length:
            self.refuse(name, f"Invalid string: it has more than {self.max_length} characters.")
        if length < self.min_length:
            self.refuse(name, f"Invalid string: it has fewer than {self.min_length} characters.")
        if not value.isprintable() and self.controls.search(value):
            self.refuse(name, "Invalid string: it contains control characters.")
        if self.pattern and not self.pattern.fullmatch(value):
            self.refuse(name, f"Invalid string: {self.rule}.")
        return value

    def normalized(self, value: str) -> str:
        """The text in the form that is checked and kept."""
        return value if self.lines or value.isprintable() else _BREAKS.sub(" ", value)

    def is_card_data(self, value: str) -> bool:
        return holds_card_number(value)

    def own_schema(self) -> Schema:
        schema: Schema = {"type": "string", "maxLength": self.max_length}
        if self.min_length or not self.can_unset:
            schema["minLength"] = max(self.min_length, 1)
        if self.pattern:
            schema["pattern"] = f"^({self.pattern.pattern}){'?' if self.can_unset else ''}$"
        return schema


class Email(Text):
    """An email address, checked lightly: only sending shows whether it works."""

    def __init__(
        self, *, can_unset: bool = True, required: bool = False, description: str = ""
    ) -> None:
        super().__init__(
            max_length=512,
            can_unset=can_unset,
            required=required,
            description=description or "An email address.",
        )

    def read(self, value: Any, name: str, is_text: bool) -> str:
        email = super().read(value, name, is_text)
        if email and not _EMAIL.fullmatch(email):
            self.refuse(name, "Invalid email address.", "email_invalid")
        return email

    def own_schema(self) -> Schema:
        return {"type": "string", "format": "email", "maxLength": self.max_length}


class Phone(Text):
    """A phone number as people write it: with letters, dashes of any kind, digits of any script.

    Digit runs shorter than today's card numbers are allowed.
    """

    def __init__(self, *, required: bool = False, description: str = "") -> None:
        super().__init__(
            max_length=40,
            required=required,
            description=description or "A phone number, as people write it.",
        )

    def is_card_data(self, value: str) -> bool:
        return holds_card_number(value, shortest=_PHONE_SCAN_FROM)


class StatementDescriptor(Text):
    """What the customer's bank shows: card networks carry ASCII, so accents are dropped."""

    def __init__(self) -> None:
        super().__init__(
            max_length=22,
            pattern=r"(?=[^A-Za-z]*[A-Za-z])[ !#-&()+-;=?-\[\]-~]+",
            rule="it needs a letter and has none of < > \\ ' \" * and no letters outside ASCII",
            description="What the customer's bank shows. Accents are dropped: Café becomes Cafe.",
        )

    def normalized(self, value: str) -> str:
        if value.isascii():
            return super().normalized(value)
        decomposed = unicodedata.normalize("NFKD", value.translate(_TRANSLITERATED))
        return super().normalized("".join(c for c in decomposed if not unicodedata.combining(c)))


class Url(Text):
    """An http or https URL without credentials."""

    code = "url_invalid"

    def __init__(self, *, required: bool = False, description: str = "") -> None:
        super().__init__(
            max_length=2048, can_unset=False, required=required, description=description
        )

    def read(self, value: Any, name: str, is_text: bool) -> str:
        url = super().read(value, name, is_text)
        if not self._is_usable(url):
            self.refuse(name, "Not a valid URL: give an absolute http or https address.")
        return url

    @staticmethod
    def _is_usable(url: str) -> bool:
        if not url.isprintable() or " " in url or "\\" in url:
            return False
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return False
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and "@" not in parts.netloc
            and port != 0
        )

    def own_schema(self) -> Schema:
        return {"type": "string", "format": "uri", "maxLength": self.max_length}
