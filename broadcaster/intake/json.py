"""Strict JSON: text that every reader reads the same, then a model with all its faults at once.

Python's own reader takes NaN, lets the last of two equal keys win, and fails in its own way at deep
nesting, huge numbers and lone surrogates; none of that may reach an alert.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from broadcaster.intake.faults import Fault, Malformed, pointer

DEPTH_MAX = 32
_DIGITS_MAX = 15  # integers above 2**53 are read differently by different readers
_WIDE = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_SHOWN_KEY = 60

_Model = TypeVar("_Model", bound=BaseModel)


class _KeyTwiceError(Exception):
    """A key came twice in one object; the first reading does not know where."""


class _Repeated(dict[str, Any]):
    """An object that remembers which keys came more than once."""

    keys_twice: list[str]


def read(body: bytes, *, depth_max: int = DEPTH_MAX) -> Any:
    """Return the value of a JSON text. Raises Malformed with a stable code and the place."""
    text = _decode(body)
    _check_depth(text, depth_max)
    try:
        value = _DECODER.decode(text)
    except _KeyTwiceError:
        raise _key_twice(text) from None
    except json.JSONDecodeError as error:
        raise _no_json(error) from None
    if _ESCAPED_SURROGATE.search(text) and (faults := list(_surrogates(value, ()))):
        raise Malformed("json-surrogate", "A text has half of a character.", faults)
    return value


def _no_json(error: json.JSONDecodeError) -> Malformed:
    where = f"line {error.lineno}, column {error.colno}"
    return Malformed("json-syntax", f"This is no JSON: {error.msg} at {where}.")


def _key_twice(text: str) -> Malformed:
    """Read once more, slowly, to say where the keys are that are there twice."""
    try:
        faults = list(_repeated_keys(_MARKING_DECODER.decode(text), ()))
    except json.JSONDecodeError as error:
        return _no_json(error)
    return Malformed("json-duplicate-key", "A key is there twice in one object.", faults)


def _decode(body: bytes) -> str:
    if not body.strip():
        raise Malformed("json-empty", "The request has no body; send the alert as JSON.")
    if body.startswith(_WIDE) or b"\x00" in body:
        raise Malformed("json-encoding", "JSON must be UTF-8 without a byte order mark.")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Malformed(
            "json-encoding", f"JSON must be UTF-8; byte {error.start} of the body is not."
        ) from None


def _check_depth(text: str, depth_max: int) -> None:
    if text.count("[") + text.count("{") <= depth_max:
        return
    depth = 0
    for token in _TOKEN.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token.group(), 0)
        if depth > depth_max:
            raise Malformed("json-depth", f"JSON may be nested {depth_max} levels deep, not more.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _KeyTwiceError
    return found


def _marked_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = _Repeated(pairs)
    names = Counter(name for name, _ in pairs)
    found.keys_twice = sorted(name for name, count in names.items() if count > 1)
    return found


def _constant(name: str) -> NoReturn:
    raise Malformed("json-number", f"{name} is no JSON number.")


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > _DIGITS_MAX:
        raise Malformed("json-number", f"A number has more than {_DIGITS_MAX} digits.")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise Malformed("json-number", "A number is too large.")
    return number


def _decoder(hook: Callable[[list[tuple[str, Any]]], dict[str, Any]]) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=hook, parse_constant=_constant, parse_int=_integer, parse_float=_float
    )


_DECODER = _decoder(_object)
_MARKING_DECODER = _decoder(_marked_object)


def _repeated_keys(value: Any, at: tuple[object, ...]) -> Iterator[Fault]:
    if isinstance(value, _Repeated):
        for name in value.keys_twice:
            detail = f"the key {_shown(name)} is there more than once"
            yield Fault(pointer(*at, _shown(name)), detail, "json-duplicate-key")
    for part, child in _children(value):
        yield from _repeated_keys(child, (*at, _shown(part)))


def _surrogates(value: Any, at: tuple[object, ...]) -> Iterator[Fault]:
    texts = [value] if isinstance(value, str) else [*value] if isinstance(value, dict) else []
    if any(_SURROGATE.search(text) for text in texts):
        detail = "contains a lone surrogate, which is half of a character"
        yield Fault(pointer(*at), detail, "json-surrogate")
    for name, child in _children(value):
        yield from _surrogates(child, (*at, _shown(name)))


def _children(value: Any) -> list[tuple[object, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []


def _shown(name: object) -> object:
    """Return a key as an answer may repeat it: whole characters only, and not endless."""
    return _SURROGATE.sub("\ufffd", name)[:_SHOWN_KEY] if isinstance(name, str) else name


_CODES = {
    "extra_forbidden": "unknown-field",
    "missing": "missing",
    "string_too_long": "too-long",
    "too_long": "too-long",
    "string_too_short": "too-short",
    "too_short": "too-short",
    "string_type": "type",
    "list_type": "type",
    "float_type": "type",
    "model_type": "type",
    "string_pattern_mismatch": "form",
    "enum": "value",
    "date_time": "time",
    "blank": "blank",
    "text_character": "character",
    "text_combining": "combining",
}


def model(kind: type[_Model], value: Any) -> tuple[_Model | None, list[Fault]]:
    """Return a model and no faults, or None and all faults. Only the wire's names are taken."""
    try:
        return kind.model_validate(value, by_alias=True, by_name=False), []
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
        return None, _one_each([_fault(dict(one), value) for one in errors])


def _fault(one: dict[str, Any], value: Any) -> Fault:
    kind = one["type"]
    place = pointer(*(_shown(part) for part in _place(one["loc"], value)))
    return Fault(place, _sentence(kind, str(one["msg"])), _CODES.get(kind, kind.replace("_", "-")))


def _sentence(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "there is no such field"
    if kind == "missing":
        return "is required"
    return message[:1].lower() + message[1:]


def _place(loc: tuple[Any, ...], value: Any) -> Iterator[Any]:
    """Give the parts of `loc` that are places in the value; pydantic adds names of union members.

    The last part may name a field that is not there.
    """
    for at, part in enumerate(loc):
        there = _has(value, part)
        if there or (at == len(loc) - 1 and isinstance(value, dict)):
            yield part
        if there:
            value = value[part]


def _has(value: Any, part: Any) -> bool:
    if isinstance(value, dict):
        return part in value
    return isinstance(value, list) and isinstance(part, int) and part < len(value)


def _one_each(faults: list[Fault]) -> list[Fault]:
    """Keep one fault of each place: the members of a union each complain, most about the type."""
    best: dict[str, Fault] = {}
    for fault in faults:
        if fault.pointer not in best or best[fault.pointer].code == "type":
            best[fault.pointer] = fault
    return [fault for fault in best.values() if not _is_said_deeper(fault, best)]


def _is_said_deeper(fault: Fault, others: Iterable[str]) -> bool:
    inside = fault.pointer + "/"
    return fault.code == "type" and any(other.startswith(inside) for other in others)
