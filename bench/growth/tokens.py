"""Makes a recorded life into templates: text with places for what differs from copy to copy.

Ids, times, amounts and the PSP's ids are recognized by their form, wherever they stand: in a
column, in the JSON of an event, in the bytes of a notification.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import groupby
from operator import itemgetter
from random import Random
from typing import Any, Final
from uuid import UUID

from bench.growth.recording import Recorded, Recording, Row
from bench.growth.visits import UNIT_MINOR, WORD
from payments import public_ids

_TOKEN: Final = re.compile(
    r"(?P<uuid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
    r"|(?P<bytes>(?<=\\\\x)[0-9a-f]{16,})"
    r"|(?P<digest>(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f]))"
    r"|(?P<psp>\bs[a-z]{2,5}_[0-9a-f]{16,40}(?![A-Za-z0-9]))"
    r"|(?P<public>\b[a-z]{2,5}_[A-Za-z0-9]{22}(?![A-Za-z0-9]))"
    r"|(?P<secret>(?<=_secret_)[A-Za-z0-9_-]{8,})"
    rf"|(?P<word>{WORD}[0-9a-f]{{12}})"
    r"|(?P<time>\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)"
    r"|(?P<date>\d{4}-\d\d-\d\d)(?![.\d])"  # but no version of the API
    r"|(?P<number>(?<![\w.-])-?\d{6,13}(?![\w.]))"
)
_LOW_BITS: Final = 48
"""Of a UUID: drawn anew. Those above keep the order of ids made in one millisecond."""
_SECONDS: Final = range(1_600_000_000, 2_200_000_000)


@dataclass(slots=True)
class Draw:
    """What one copy is to be."""

    shifts: Sequence[int]
    """Seconds by which each step is moved."""
    unit_minor: int
    given: Mapping[UUID, UUID]
    """The ids of what was there before: merchant, endpoint, accounts."""
    texts: Mapping[str, str]
    """Other texts that the merchant's rows have instead."""
    random: Random
    ids: list[int] = field(default_factory=list)


Maker = Callable[[Draw], str]


@dataclass(frozen=True, slots=True)
class Template:
    """Rows of one table that appeared in one step."""

    table: str
    step: int
    text: str
    """With a `%s` for each place."""
    places: Callable[[Sequence[str]], Any]

    def filled(self, values: Sequence[str]) -> str:
        """The rows of a copy with these values."""
        found = self.places(values)
        return self.text % found if isinstance(found, tuple) else self.text % (found,)


@dataclass(frozen=True, slots=True)
class Copyable:
    """A life, or a merchant, as templates."""

    templates: list[Template]
    values: Callable[[Draw], list[str]]


class Reader:
    """Reads the rows of one life; the same token is the same place everywhere."""

    def __init__(
        self, recording: Recording, *, given: Sequence[UUID], recorded: Recorded | None = None
    ) -> None:
        self._recording = recording
        self._given = frozenset(given)
        self._recorded = recorded
        self._makers: list[Maker] = []
        self._places: dict[tuple[str, str, int], int] = {}
        self._ids: dict[UUID, int] = {}
        self._id_forms: list[tuple[int, int, int]] = []
        """Of each id: its milliseconds, the bits that stay, its step."""
        self._late: list[tuple[int, Callable[[list[str]], str]]] = []
        """Places that follow from others: bytes, then their digests."""
        self._bytes: dict[str, int] = {}
        """By the digest of recorded bytes: their place."""

    def read(self, rows: Sequence[Row], *, apart: frozenset[str] = frozenset()) -> Copyable:
        """The templates of these rows; each row of the tables in `apart` has one of its own."""
        templates = []
        for table, together in groupby(rows, key=lambda row: row.table):
            if table in apart:
                templates += [self._templates(table, [row]) for row in together]
            else:
                templates.append(self._templates(table, list(together)))
        return Copyable(templates, self._values())

    def _templates(self, table: str, rows: Sequence[Row]) -> Template:
        texts, places = [], []
        for row in rows:
            text, found = self._template(row.text, row.step)
            texts.append(text + "\n")
            places += found
        getter = itemgetter(*places) if places else (lambda _values: ())
        return Template(table, rows[0].step, "".join(texts), getter)

    def _values(self) -> Callable[[Draw], list[str]]:
        makers, late, id_forms = list(self._makers), list(self._late), list(self._id_forms)

        def values(draw: Draw) -> list[str]:
            draw_bits, shifts = draw.random.getrandbits, draw.shifts
            draw.ids = [
                (ms + 1000 * shifts[step]) << 80 | kept << _LOW_BITS | draw_bits(_LOW_BITS)
                for ms, kept, step in id_forms
            ]
            made = [maker(draw) for maker in makers]
            for place, follow in late:
                made[place] = follow(made)
            return made

        return values

    def _template(self, text: str, step: int) -> tuple[str, list[int]]:
        literals: list[str] = []
        places: list[int] = []
        end = 0
        for match in _TOKEN.finditer(text):
            place = self._place(str(match.lastgroup), match.group(), step)
            if place is None:
                continue
            literals.append(text[end : match.start()])
            places.append(place)
            end = match.end()
        literals.append(text[end:])
        return "%s".join(each.replace("%", "%%") for each in literals), places

    def _place(self, kind: str, text: str, step: int) -> int | None:
        """The place of a token; None if it is the same in every copy."""
        if kind == "digest":
            return self._digest(text)
        key = (kind, text, step if kind in ("time", "date", "number") else 0)
        if key in self._places:
            return self._places[key]
        maker = self._maker(kind, text, step)
        if maker is None:
            return None
        place = self._places[key] = len(self._makers)
        self._makers.append(maker)
        if kind == "bytes":
            self._follow_bytes(place, text, step)
        return place

    def _maker(self, kind: str, text: str, step: int) -> Maker | None:
        match kind:
            case "uuid":
                return self._uuid(text)
            case "public":
                return self._public(text)
            case "psp":
                return self._psp(text)
            case "secret":
                length = len(text)
                return lambda draw: f"{draw.random.getrandbits(4 * length):0{length}x}"
            case "word":
                return lambda draw: f"{WORD}{draw.random.getrandbits(48):012x}"
            case "time":
                seconds = int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
                return self._moved(text, seconds, step, separator=text[10])
            case "date":
                return self._date(text, step)
            case "number":
                return self._number(text, step)
        return lambda _draw: ""  # bytes: filled in when all others are

    def _uuid(self, text: str) -> Maker | None:
        identifier = UUID(text)
        if identifier in self._given:
            return lambda draw: str(draw.given[identifier])
        number = self._own_id(identifier)
        if number is None:
            return None
        return lambda draw: _hyphenated(draw.ids[number])

    def _public(self, text: str) -> Maker | None:
        prefix = text.partition("_")[0]
        identifier = public_ids.decode(prefix, text)
        if identifier is None:
            return None
        if identifier in self._given:
            return lambda draw: public_ids.encode(prefix, draw.given[identifier])
        number = self._own_id(identifier)
        if number is None:
            return None
        return lambda draw: public_ids.encode(prefix, UUID(int=draw.ids[number]))

    def _own_id(self, identifier: UUID) -> int | None:
        """The number of an id that was made in this life; None for any other."""
        if identifier in self._ids:
            return self._ids[identifier]
        ms = public_ids.created_ms_of(identifier)
        step = self._step_of(ms / 1000)
        if identifier.version != 7 or step is None:
            return None
        kept = (identifier.int & (1 << 80) - 1) >> _LOW_BITS
        self._id_forms.append((ms, kept, step))
        self._ids[identifier] = len(self._id_forms) - 1
        return self._ids[identifier]

    def _psp(self, text: str) -> Maker:
        prefix, _, digits = text.partition("_")
        if prefix == "spay":
            return self._psp_payment(text)
        bits = 4 * len(digits)
        return lambda draw: f"{prefix}_{draw.random.getrandbits(bits):0{len(digits)}x}"

    def _psp_payment(self, text: str) -> Maker:
        """An id that says what happened, so that the sandbox PSP need not remember it."""
        moved = self._recorded.moved.get(text, {}) if self._recorded else {}
        currency = self._recorded.currency if self._recorded else ""
        gone = moved.get("void", 0) + moved.get("released", 0) + moved.get("expire", 0)
        sums = [moved.get(kind, 0) for kind in ("authorize", "capture", "refund")]
        units = [each // UNIT_MINOR for each in (*sums, gone)]

        def made(draw: Draw) -> str:
            amounts = "_".join(str(each * draw.unit_minor) for each in units)
            return f"spay_grown_{currency}_{amounts}_{draw.random.getrandbits(64):016x}"

        return made

    def _date(self, text: str, step: int) -> Maker:
        """So many days after the day on which its row was written."""
        began = int(self._recording.began_at[step])
        days = date.fromisoformat(text) - datetime.fromtimestamp(began, UTC).date()

        def made(draw: Draw) -> str:
            day = datetime.fromtimestamp(began + draw.shifts[step], UTC).date()
            return (day + days).isoformat()

        return made

    def _number(self, text: str, step: int) -> Maker | None:
        number = int(text)
        if number in _SECONDS:
            return self._moved(text, number, step)
        if len(text) == 13 and number // 1000 in _SECONDS:
            of = self._step_of(number / 1000)
            of = step if of is None else of
            return lambda draw: str(number + 1000 * draw.shifts[of])
        units = round(number / UNIT_MINOR)
        if units == 0:
            return None
        rest = number - units * UNIT_MINOR
        return lambda draw: str(units * draw.unit_minor + rest)

    def _moved(self, text: str, seconds: int, step: int, *, separator: str = "") -> Maker:
        """A moment: as much later as the step in which it was written, or first spoken of."""
        found = self._step_of(seconds + 0.999)
        if found is None:
            seen_in = self._recorded.seen_in if self._recorded else {}
            found = seen_in.get(text, step)
        of = found
        if not separator:
            return lambda draw: str(seconds + draw.shifts[of])
        return lambda draw: (
            datetime.fromtimestamp(seconds + draw.shifts[of], UTC)
            .replace(tzinfo=None)
            .isoformat(separator)
        )

    def _follow_bytes(self, place: int, text: str, step: int) -> None:
        raw = bytes.fromhex(text)
        template, places = self._template(raw.decode(), step)
        self._late.append(
            (place, lambda made: (template % tuple(made[each] for each in places)).encode().hex())
        )
        self._bytes[hashlib.sha256(raw).hexdigest()] = place

    def _digest(self, text: str) -> int | None:
        """The digest of bytes in the same life, or what the merchant has instead; else literal."""
        of = self._bytes.get(text)
        key = ("digest", text, 0)
        if key in self._places:
            return self._places[key]
        if of is None:
            if self._recorded is not None:
                return None
            self._makers.append(lambda draw: draw.texts.get(text, text))
        else:
            self._makers.append(lambda _draw: "")
            self._late.append((len(self._makers) - 1, lambda made: _digest_of(made[of])))
        self._places[key] = len(self._makers) - 1
        return self._places[key]

    def _step_of(self, unix_seconds: float) -> int | None:
        """The step that a moment of the recording belongs to; None if it is none of its."""
        recording = self._recording
        if not recording.founded_at <= unix_seconds <= recording.ended_at:
            return None
        return max(0, bisect_right(recording.began_at, unix_seconds) - 1)


def _hyphenated(number: int) -> str:
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _digest_of(hexadecimal: str) -> str:
    return hashlib.sha256(bytes.fromhex(hexadecimal)).hexdigest()
