"""Records to one line of JSON and back, checked by Pydantic at this outer edge only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")


_adapters: dict[Any, TypeAdapter[Any]] = {}  # building one costs milliseconds


def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter  # late: `status` answers without it

    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def to_line(record: object) -> bytes:
    """One JSON line, newline included."""
    return _adapter(type(record)).dump_json(record) + b"\n"


def from_line(kind: type[T], line: bytes | str) -> T:
    """The record a line holds; pydantic.ValidationError when it does not fit."""
    record: T = _adapter(kind).validate_json(line)
    return record


def to_plain(record: object) -> Any:
    """The record as lists, dicts and strings that a JSON column takes."""
    return _adapter(type(record)).dump_python(record, mode="json")


def from_plain(kind: type[T], value: object) -> T:
    """The record a JSON column holds; pydantic.ValidationError when it does not fit."""
    record: T = _adapter(kind).validate_python(value)
    return record
