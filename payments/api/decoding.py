"""Decodes request bytes into a dictionary: form bodies, JSON bodies and query strings.

Everything ambiguous is refused (repeated names, conflicting shapes, broken encodings, sizes): what
two parsers read differently can be abused.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn
from urllib.parse import unquote_to_bytes

from payments.api.card_data import nameable
from payments.exceptions import InvalidParameter

MAX_BODY_BYTES: Final = 1024 * 1024
MAX_PARAMETERS: Final = 2000
MAX_DEPTH: Final = 8
MAX_INTEGER_DIGITS: Final = 40

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"

_BAD_PERCENT: Final = re.compile("%(?![0-9A-Fa-f]{2})")
_CHARSET: Final = re.compile(r"charset\s*=\s*\"?([^\s\";]+)", re.IGNORECASE)


class FormValues(dict[str, Any]):
    """Parameters of a form or query: every leaf is a string, `x[0]=…` is a dict `{"0": …}`.

    The type tells the validator that `"100"` is how a form writes the integer 100.
    """


def decode_body(content_type: str, body: bytes) -> dict[str, Any]:
    """The parameters of a request body; an empty body has none.

    Raises InvalidParameter if it is too large, malformed, ambiguous or of another media type.
    """
    if not body:
        return FormValues()
    if len(body) > MAX_BODY_BYTES:
        _refuse("body_too_large", f"The request body is larger than {MAX_BODY_BYTES} bytes.")
    media_type, _, options = content_type.partition(";")
    if options:
        _check_charset(options)
    media_type = media_type.strip().lower()
    if media_type == FORM:
        return _decode_pairs(body)
    if media_type == JSON:
        return _decode_json(body)
    _refuse("content_type_unsupported", f"The Content-Type of a body must be {FORM} or {JSON}.")


def decode_query(query_string: str) -> dict[str, Any]:
    """The parameters of a query string; raises InvalidParameter as decode_body does."""
    if not query_string:
        return FormValues()
    if len(query_string) > MAX_BODY_BYTES:
        _refuse("query_too_large", "The query string is too long.")
    try:
        raw = query_string.encode("latin-1")  # as WSGI passes the bytes of a URL
    except UnicodeEncodeError:
        raw = query_string.encode("utf-8", "surrogatepass")
    return _decode_pairs(raw)


def _decode_pairs(raw: bytes) -> FormValues:
    values = FormValues()
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        _refuse_encoding()
    encoded = "%" in text
    if encoded and _BAD_PERCENT.search(text):
        _refuse("parameters_malformed", "The parameters contain a broken percent-encoding.")
    if "\x00" in text or "%00" in text:
        _refuse("parameters_malformed", "The parameters contain a NUL character.")
    pieces = text.split("&")
    if len(pieces) > MAX_PARAMETERS:
        _refuse_count()
    encoded = encoded or "+" in text
    for piece in pieces:
        name, equals, value = piece.partition("=")
        if encoded:
            name, value = _unquote(name), _unquote(value)
        if not equals:
            if piece:
                _refuse("parameters_malformed", "Write each parameter as name=value.", name)
        elif "[" in name or "]" in name or not name:
            _insert(values, name, value)
        elif name in values:
            _refuse_repeated(name)
        else:
            values[name] = value
    return values


def _unquote(text: str) -> str:
    if "+" in text:
        text = text.replace("+", " ")
    if "%" not in text:
        return text
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        _refuse_encoding()


def _insert(values: dict[str, Any], name: str, value: str) -> None:
    """Put the value of `a[b][c]`, `a[0]` or `a[]` in its place."""
    head, opened, rest = name.partition("[")
    path = [head, *rest[:-1].split("][")]
    is_list = path[-1] == ""
    if is_list:
        path.pop()
    if not opened or rest[-1:] != "]" or any(not p or "[" in p or "]" in p for p in path):
        _refuse("parameters_malformed", "The name of a parameter is malformed.", name)
    if len(path) > MAX_DEPTH:
        _refuse_depth(name)
    level = values
    for part in path[:-1]:
        level = level.setdefault(part, {})
        if type(level) is not dict:
            _refuse_shape(name)
    leaf = path[-1]
    held = level.get(leaf)
    if is_list and type(held) is list:
        held.append(value)
    elif held is None:
        level[leaf] = [value] if is_list else value
    elif type(held) is str and not is_list:
        _refuse_repeated(name)
    else:
        _refuse_shape(name)


def _decode_json(body: bytes) -> dict[str, Any]:
    try:
        text = body.decode()
        decoded = json.loads(
            text,
            object_pairs_hook=_unique_names,
            parse_int=_bounded_integer,
            parse_float=_finite_float,
            parse_constant=_refuse_constant,
        )
    except RecursionError:
        _refuse_depth("")
    except UnicodeDecodeError:
        _refuse_encoding()
    except ValueError:  # what json raises; neither the position nor the text around it is shown
        _refuse("body_malformed", "The request body is not valid JSON.")
    if type(decoded) is not dict:
        _refuse("body_malformed", "The request body must be a JSON object.")
    _check_tree(decoded, may_hold_escapes="\\u" in text)
    return decoded


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                _refuse_repeated(name)
            seen.add(name)
    return values


def _bounded_integer(digits: str) -> int | float:
    if len(digits) > MAX_INTEGER_DIGITS:
        _refuse("parameter_invalid_integer", f"A number has over {MAX_INTEGER_DIGITS} digits.")
    # A form cannot write -0 as an integer; as a float it is refused where it is used.
    return int(digits) if digits != "-0" else -0.0


def _finite_float(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        _refuse("body_malformed", "A number of the request body is out of range.")
    return number


def _refuse_constant(_: str) -> NoReturn:
    _refuse("body_malformed", "NaN and Infinity are not JSON.")


def _check_tree(decoded: dict[str, Any], *, may_hold_escapes: bool) -> None:
    """Refuse what is too deep or too large, and characters that only escapes can bring in."""
    count = 0
    level: list[Any] = [decoded]
    for depth in range(MAX_DEPTH + 1):
        containers: list[Any] = []
        for container in level:
            count += len(container)
            if count > MAX_PARAMETERS:
                _refuse_count()
            if type(container) is dict:
                members: list[Any] = list(container.values())
                strings = [*container, *members]
            else:
                members = strings = container
            if may_hold_escapes:
                _check_characters(strings)
            containers += [m for m in members if type(m) is dict or type(m) is list]
        if not containers:
            return
        if depth + 1 >= MAX_DEPTH:
            _refuse_depth("")
        level = containers


def _check_characters(strings: list[Any]) -> None:
    for text in strings:
        if type(text) is str and ("\x00" in text or not _is_encodable(text)):
            _refuse("body_malformed", "The request body holds a NUL or half a surrogate pair.")


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_charset(options: str) -> None:
    found = _CHARSET.search(options)
    if found and found[1].lower() not in ("utf-8", "utf8", "us-ascii"):
        _refuse("content_type_unsupported", "The charset of a body must be utf-8.")


def _refuse(code: str, message: str, name: str = "") -> NoReturn:
    raise InvalidParameter(message, code=code, param=nameable(name)) from None


def _refuse_encoding() -> NoReturn:
    _refuse("parameters_malformed", "The request is not valid UTF-8.")


def _refuse_count() -> NoReturn:
    _refuse("parameters_too_many", f"A request has at most {MAX_PARAMETERS} parameters.")


def _refuse_depth(name: str) -> NoReturn:
    _refuse("parameters_too_deep", f"Parameters are nested at most {MAX_DEPTH} deep.", name)


def _refuse_repeated(name: str) -> NoReturn:
    _refuse("parameter_repeated", "The parameter is given more than once.", name)


def _refuse_shape(name: str) -> NoReturn:
    _refuse("parameter_conflicting", "The parameter is given in two different shapes.", name)
