"""Dataclasses to plain JSON values and back; unknown keys are left out so that older readers open newer files."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_plain(record: Any) -> dict[str, Any]:  # noqa: ANN401 - any dataclass instance
    """The record as a dict of JSON values; tuples become lists."""
    return {field.name: _flatten(getattr(record, field.name)) for field in fields(record)}


def from_plain(kind: type[T], plain: Mapping[str, Any]) -> T:
    """The record of type `kind` that `to_plain` was given.

    Raises:
        ValueError: a field is missing or has another type; the message names the record and the field.
    """
    _expect(dict, plain)
    hints = get_type_hints(kind)
    known = [field.name for field in fields(kind) if field.name in plain]  # type: ignore[arg-type]
    values = {}
    for name in known:
        try:
            values[name] = _revive(hints[name], plain[name])
        except ValueError as error:
            raise ValueError(f"{kind.__name__}.{name}: {error}") from error
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"not a {kind.__name__}: {error}") from error


def _flatten(value: Any) -> Any:  # noqa: ANN401 - whatever a record holds
    if is_dataclass(value):
        return to_plain(value)
    if isinstance(value, (tuple, list)):
        return [_flatten(item) for item in value]
    if isinstance(value, dict):
        return {key: _flatten(item) for key, item in value.items()}
    return value


def _revive(hint: Any, value: Any) -> Any:  # noqa: ANN401 - follows the type hint
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is tuple:
        items = _expect(list, value)
        members = arguments[:1] * len(items) if arguments[1:] == (...,) else arguments
        return tuple(_revive(member, item) for member, item in zip(members, items, strict=True))
    if origin is dict:
        return {key: _revive(arguments[1], item) for key, item in _expect(dict, value).items()}
    if origin in (Union, UnionType):
        return None if value is None else _revive(next(a for a in arguments if a is not type(None)), value)
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"expected one of {arguments}, found {value!r}")
        return value
    if hint is Any:
        return value
    return from_plain(hint, value) if isinstance(hint, type) and is_dataclass(hint) else _expect(hint, value)


def _expect(kind: type, value: Any) -> Any:  # noqa: ANN401 - checked here
    """`value`, which must be a `kind`; JSON writes whole floats as it likes, and True is no number."""
    fits = isinstance(value, (int, float) if kind is float else kind)
    if not fits or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"expected {kind.__name__}, found {value!r}")
    return float(value) if kind is float else value
