"""Dataclasses to JSON values or the cells of a table, and back, checked against the fields' types.

Unknown keys and columns are left out so that older readers open newer files. pydantic's TypeAdapter is not used: it is
strict for JSON text alone, knows no cells, and names neither the record nor the value that was found.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, ClassVar, Literal, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from pcn_cli.errors import shown

T = TypeVar("T")
Cell = str | int | float
_PLAIN = (str, int, float, bool)


class Stored(Protocol):
    """A record whose type names the file of the run folder that holds it, or rows of it."""

    ARTIFACT: ClassVar[str]


def to_plain(value: Any) -> Any:  # noqa: ANN401 - a record, or whatever one holds
    """`value` as JSON has it: every record becomes a dict, every tuple a list."""
    if is_dataclass(value):
        return {name: to_plain(getattr(value, name)) for name in field_names(type(value))}
    if isinstance(value, (tuple, list)):
        return [to_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    return value


def from_plain(kind: type[T], value: Any) -> T:  # noqa: ANN401 - checked here
    """The value of type `kind`, a record or what one may hold, that `to_plain` was given.

    Raises:
        ValueError: it has another type, or a field is missing; the message names the record and the field.
    """
    revived: T = _revive(kind, value)
    return revived


def field_names(kind: type) -> tuple[str, ...]:
    """The names of a record's fields, in order; they head its columns in a table."""
    return tuple(_hints(kind))


def to_cells(record: Any) -> tuple[Cell, ...]:  # noqa: ANN401 - any dataclass instance
    """The record as a row of a table; None is an empty cell."""
    values = (getattr(record, name) for name in field_names(type(record)))
    return tuple("" if value is None else value for value in values)


def from_cells(kind: type[T], cells: Mapping[str, str]) -> T:
    """The record of type `kind` whose cells `to_cells` gave, by column.

    Raises:
        ValueError: a column is missing, or a cell is not what its field holds; the message names both.
    """
    return _build(kind, cells, _parse)


def _revive(hint: Any, value: Any) -> Any:  # noqa: ANN401 - follows the type hint
    if hint in _PLAIN:  # most are, and long lists of them have to be read soon
        return _expect(hint, value)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is tuple:
        items = _expect(list, value)
        members = arguments[:1] * len(items) if arguments[1:] == (...,) else arguments
        return tuple(_revive(member, item) for member, item in zip(members, items, strict=True))
    if origin is dict:
        return {key: _revive(arguments[1], item) for key, item in _expect(dict, value).items()}
    if origin in (Union, UnionType):
        return None if value is None else _revive(_given(hint), value)
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"expected one of {arguments}, found {shown(value)}")
        return value
    if hint is Any:
        return value
    if isinstance(hint, type) and is_dataclass(hint):
        return _build(hint, _expect(dict, value), _revive)
    return _expect(hint, value)


@cache
def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind) if field.metadata.get("kept", True)}


def _build(kind: type[T], given: Mapping[str, Any], read: Callable[[Any, Any], Any]) -> T:
    values = {}
    for name, hint in _hints(kind).items():  # type: ignore[arg-type]  # mypy takes a type variable for unhashable
        if name in given:
            try:
                values[name] = read(hint, given[name])
            except ValueError as error:
                raise ValueError(f"{kind.__name__}.{name}: {error}") from error
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"not a {kind.__name__}: {error}") from error


def _given(hint: Any) -> Any:  # noqa: ANN401 - a type hint
    """The type in a hint of the form `X | None`."""
    return next(argument for argument in get_args(hint) if argument is not type(None))


def _parse(hint: Any, cell: str) -> Any:  # noqa: ANN401 - follows the type hint
    if get_origin(hint) in (Union, UnionType):
        return None if cell == "" else _parse(_given(hint), cell)
    return hint(cell) if hint in (int, float) else _revive(hint, cell)


def _expect(kind: type, value: Any) -> Any:  # noqa: ANN401 - checked here
    """`value`, which must be a `kind`; JSON writes whole floats as it likes, and True is no number."""
    fits = isinstance(value, (int, float) if kind is float else kind)
    if not fits or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"expected {kind.__name__}, found {shown(value)}")
    return float(value) if kind is float else value
