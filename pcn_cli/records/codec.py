"""Dataclasses to plain JSON values and back; unknown keys are left out so that older readers open newer files."""

from dataclasses import asdict, fields, is_dataclass
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_plain(record: Any) -> dict[str, Any]:  # noqa: ANN401 - any dataclass instance
    """The record as a dict of JSON values."""
    return asdict(record)


def from_plain(kind: type[T], plain: dict[str, Any]) -> T:
    """The record of type `kind` that `to_plain` was given.

    Raises:
        ValueError: a field is missing or has another type.
    """
    hints = get_type_hints(kind)
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    try:
        return kind(**{name: _revive(hints[name], value) for name, value in plain.items() if name in known})
    except TypeError as error:
        raise ValueError(f"not a {kind.__name__}: {error}") from error


def _revive(hint: Any, value: Any) -> Any:  # noqa: ANN401 - follows the type hint
    origin, arguments = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        return from_plain(hint, _expect(dict, value))  # type: ignore[type-var]
    if origin is tuple:
        members = arguments[:1] * len(value) if arguments[1:] == (...,) else arguments
        return tuple(_revive(member, item) for member, item in zip(members, _expect(list, value), strict=True))
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
    return float(value) if hint is float else _expect(hint, value)


def _expect(kind: type, value: Any) -> Any:  # noqa: ANN401 - checked here
    if not isinstance(value, kind):
        raise ValueError(f"expected {kind.__name__}, found {value!r}")  # noqa: TRY004 - one error for a bad file
    return value
