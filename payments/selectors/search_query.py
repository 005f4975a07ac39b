"""Parses the search query language of the merchant API into clauses.

The language is Stripe's: `status:"succeeded" AND amount>=1000`, `-metadata["key"]:null`,
`email~"example"`. Clauses are joined by AND, by OR or by a blank, which means AND.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NoReturn

from payments.exceptions import InvalidParameter

MAX_CLAUSES: Final = 20
PARAM: Final = "query"
METADATA: Final = "metadata"

_BLANK: Final = re.compile(r"\s*")
_JOINER: Final = re.compile(r"(AND|OR)(?=\s)", re.IGNORECASE)
_FIELD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}(?:\.[A-Za-z][A-Za-z0-9_]{0,39}){0,4}")
_KEY: Final = re.compile(r"""\[\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')\s*\]""", re.DOTALL)
_OPERATOR: Final = re.compile("<=|>=|[:~<>]")
_QUOTED: Final = re.compile(r""""((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'""", re.DOTALL)
_BARE: Final = re.compile(r"(-?[0-9]{1,40}|null|true|false)(?=\s|$)", re.IGNORECASE)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One condition; `value` is None for `null`, and `key` is empty unless it is of metadata."""

    field: str
    operator: str
    value: str | None
    key: str = ""
    negated: bool = False


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """Clauses that must all hold, or of which one is enough."""

    clauses: tuple[Clause, ...]
    any_of: bool


def refuse_query(message: str) -> NoReturn:
    """Raise InvalidParameter for the parameter `query`."""
    raise InvalidParameter(f"Invalid search query: {message}", code="query_invalid", param=PARAM)


def parse_query(text: str) -> SearchQuery:
    """The clauses of a query; refuses with InvalidParameter what is not of the language."""
    reader = _Reader(text)
    clauses = [reader.clause()]
    joiners = set()
    while not reader.at_end():
        joiners.add(reader.joiner())
        clauses.append(reader.clause())
        if len(clauses) > MAX_CLAUSES:
            refuse_query(f"it has more than {MAX_CLAUSES} clauses. Split it into several searches.")
    if len(joiners) > 1:
        refuse_query("AND and OR cannot be mixed. Send one search for each part of the OR.")
    return SearchQuery(tuple(clauses), any_of=joiners == {"OR"})


class _Reader:
    """Reads one part of the query after the other."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self._skip_blanks()

    def at_end(self) -> bool:
        return self.at == len(self.text)

    def joiner(self) -> str:
        """What joins two clauses; a blank means AND."""
        found = _JOINER.match(self.text, self.at)
        if found is None:
            return "AND"
        self._go_to(found.end())
        return found[1].upper()

    def clause(self) -> Clause:
        negated = self.text[self.at : self.at + 1] == "-"
        if negated:
            self._go_to(self.at + 1)
        name = self._take(_FIELD, 'a field was expected, as in status:"succeeded"')[0]
        key = ""
        if name == METADATA:
            key = _text_of(self._take(_KEY, 'write a metadata key as metadata["key"]:"value"'))
        operator = self._take(_OPERATOR, "after a field comes one of : ~ < > <= >=")[0]
        return Clause(field=name, operator=operator, value=self._value(), key=key, negated=negated)

    def _value(self) -> str | None:
        quoted = _QUOTED.match(self.text, self.at)
        if quoted is not None:
            self._go_to(quoted.end())
            return _text_of(quoted)
        bare = self._take(_BARE, "put text into double quotes; only numbers and null need none")[0]
        return None if bare.lower() == "null" else bare.lower()

    def _take(self, pattern: re.Pattern[str], otherwise: str) -> re.Match[str]:
        found = pattern.match(self.text, self.at)
        if found is None:
            at_end = "its end" if self.at_end() else f"character {self.at + 1}"
            self._refuse_parentheses()
            refuse_query(f"at {at_end}, {otherwise}.")
        self._go_to(found.end())
        return found

    def _refuse_parentheses(self) -> None:
        if self.text[self.at : self.at + 1] in ("(", ")"):
            refuse_query("there are no parentheses. Send one search for each part of an OR.")

    def _go_to(self, at: int) -> None:
        self.at = at
        self._skip_blanks()

    def _skip_blanks(self) -> None:
        found = _BLANK.match(self.text, self.at)
        assert found is not None, "the pattern matches no blanks too"
        self.at = found.end()


def _text_of(quoted: re.Match[str]) -> str:
    """What stands between the quotes, with `\\"` as `"` and `\\\\` as `\\`."""
    inside = quoted[1] if quoted[1] is not None else quoted[2]
    return _ESCAPED.sub(r"\1", inside)
