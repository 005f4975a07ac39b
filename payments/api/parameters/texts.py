"""Free text, email addresses, URLs and phone numbers, all searched for card numbers."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import urlsplit

from payments.api.card_data import holds_card_number
from payments.api.parameters.declaration import Parameter, Schema, refuse_card_data

_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROLS_BUT_LINES: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_EMAIL: Final = re.compile(r"[^\s@<>\"(),:;\\\[\]]{1,64}@[^\s@<>\"(),:;\\\[\]/]{1,255}")
_PHONE: Final = re.compile(r"[0-9+()./ \-#*extEXT]{1,40}", re.ASCII)
_PHONE_SCAN_FROM: Final = 14  # phone numbers have 13 digits too; only old Visa cards have


class Text(Parameter):
    """A string exactly as given, never stripped and never made from a number.

    `pattern` must match all of it. An empty string unsets, unless `required` or not `can_unset`.
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
        self.controls = _CONTROLS_BUT_LINES if lines else _CONTROLS

    def read(self, value: Any, name: str, is_text: bool) -> str:
        if value is None or value == "":
            if self.can_unset:
                return ""
            self.refuse_empty(name)
        if type(value) is not str:
            self.refuse(name, "Invalid string.")
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
            max_length=512, can_unset=can_unset, required=required, description=description
        )

    def read(self, value: Any, name: str, is_text: bool) -> str:
        email = super().read(value, name, is_text)
        if email and not _EMAIL.fullmatch(email):
            self.refuse(name, "Invalid email address.", "email_invalid")
        return email

    def own_schema(self) -> Schema:
        return {"type": "string", "format": "email", "maxLength": self.max_length}


class Phone(Text):
    """A phone number; digit runs shorter than today's card numbers are allowed."""

    def __init__(self, *, required: bool = False, description: str = "") -> None:
        super().__init__(
            max_length=40,
            pattern=_PHONE.pattern,
            rule="a telephone number has digits, blanks and + ( ) . / - # * only",
            required=required,
            description=description,
        )

    def is_card_data(self, value: str) -> bool:
        return holds_card_number(value, shortest=_PHONE_SCAN_FROM)


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
