"""Values checked against their types: fields of a recipe, arguments of the Python functions behind the commands."""

from collections.abc import Callable, Sequence
from functools import cache, wraps
from inspect import Parameter, signature
from typing import Any, ParamSpec, TypeVar, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from pcn_cli.errors import RecipeError, shown
from pcn_cli.recipe.schema import FLAGS, PREDICT, WEIGHTS, Option, show_options

P = ParamSpec("P")
T = TypeVar("T")


def checked(function: Callable[P, T]) -> Callable[P, T]:
    """`function`, which raises a RecipeError that names every argument whose value its type does not allow."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        bound = signature(function).bind(*args, **kwargs)
        kinds = {one.name: one.annotation for one in signature(function).parameters.values()}
        kinds |= get_type_hints(function, include_extras=True)
        problems = []
        for name, value in bound.arguments.items():
            try:
                bound.arguments[name] = fit_value(kinds[name], value)
            except ValueError as error:
                problems.append(f"{name}: {error}")
        if problems:
            raise RecipeError("\n".join(problems), f"see what {function.__name__} takes with help()")
        return function(*bound.args, **bound.kwargs)

    return call


def with_recipe_options(function: Callable[P, T]) -> Callable[P, T]:
    """`function` with checked arguments, whose `**options` are WEIGHTS and the fields of the recipe that have a flag.

    A field is None where it is not given; the reader of the recipe checks it.
    """
    *own, more = signature(function).parameters.values()
    fields = [_keyword(name, _kind_of(option) | None, None) for name, option in FLAGS.items()]
    weights = [_keyword(name, option.type, option.default) for name, option in WEIGHTS.items()]
    return show_options(checked(show_options(function, [*own, *weights, more])), [*fields, *own, *weights])


def with_predict_options(function: Callable[P, T]) -> Callable[P, T]:
    """`function` with checked arguments, whose `**options` are the fields of PredictOptions."""
    own = list(signature(function).parameters.values())[:-1]
    options = [_keyword(name, option.type, option.default) for name, option in PREDICT.items()]
    return checked(show_options(function, [*options, *own]))


def _kind_of(option: Option) -> Any:  # noqa: ANN401 - there are many types
    kind = option.type
    return kind | Sequence[kind] if option.several else kind  # type: ignore[valid-type]


def _keyword(name: str, kind: Any, default: Any) -> Parameter:  # noqa: ANN401 - there are many types
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def fit_value(kind: Any, value: Any) -> Any:  # noqa: ANN401 - there are many types
    """`value` as a `kind`, which may be annotated with bounds; text becomes the number that it holds.

    Raises:
        ValueError: it is none; the message says what it should be.
    """
    is_bool = isinstance(value, bool) and kind is not bool and bool not in get_args(kind)
    try:
        return _adapter(kind).validate_python(str(value).lower() if is_bool else value)  # else True would be 1
    except ValidationError as error:
        # Of a union's members, the one that came furthest tells most.
        found = error.errors(include_url=False)
        deepest = [one for one in found if len(one["loc"]) == max(len(one["loc"]) for one in found)]
        wanted = dict.fromkeys(_PLAIN_WORDS.get(one["type"], one["msg"]).removeprefix("Input ") for one in deepest)
        expected = " or ".join(words if n == 0 else words.removeprefix("should be ") for n, words in enumerate(wanted))
        raise ValueError(f"{expected}, found {value if is_bool else shown(deepest[0]['input'])}") from error


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:  # noqa: ANN401 - there are many types
    return TypeAdapter(kind, config=ConfigDict(allow_inf_nan=False, arbitrary_types_allowed=True))


_PLAIN_WORDS = (
    dict.fromkeys(("float_parsing", "float_type"), "should be a number")
    | dict.fromkeys(("int_parsing", "int_from_float", "int_type"), "should be a whole number")
    | dict.fromkeys(("bool_parsing", "bool_type"), "should be true or false")
    | dict.fromkeys(("sequence_type", "sequence_str", "list_type"), "should be a list")
    | {"string_type": "should be text", "path_type": "should be a path"}
)
