import importlib
import json
import pkgutil
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

import pcn_cli.records
from pcn_cli.records.codec import from_plain, to_plain
from pcn_cli.records.model import ModelConfig, Preprocessing
from pcn_cli.records.photos import Photo, Scan
from pcn_cli.records.predictions import AttentionMaps, AttentionNumbers, PhotoFeatures, Prediction


def all_records() -> list[type]:
    """Every dataclass of the records room."""
    modules = [
        importlib.import_module(f"pcn_cli.records.{info.name}")
        for info in pkgutil.iter_modules(pcn_cli.records.__path__)
    ]
    kinds = {
        kind for module in modules for kind in vars(module).values() if isinstance(kind, type) and is_dataclass(kind)
    }
    return sorted(
        (kind for kind in kinds if kind.__module__.startswith("pcn_cli.records.")), key=lambda kind: kind.__name__
    )


def example_of(hint: Any) -> Any:
    """Some value of a type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if isinstance(hint, type) and is_dataclass(hint):
        return example_record(hint)
    if origin is tuple:
        members = arguments[:1] if arguments[1:] == (...,) else arguments
        return tuple(example_of(member) for member in members)
    if origin is dict:
        return {"key": example_of(arguments[1])}
    if origin is Literal:
        return arguments[0]
    if origin in (Union, UnionType):
        return example_of(next(a for a in arguments if a is not type(None)))
    return {str: "é", int: 7, float: 0.5, bool: True, Any: [1, "x"]}[hint]


def example_record(kind: type) -> Any:
    hints = get_type_hints(kind)
    return kind(**{field.name: example_of(hints[field.name]) for field in fields(kind)})


def least_record(kind: type) -> Any:
    """A record of which only the fields without a default are given."""
    hints = get_type_hints(kind)
    wanted = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
    return kind(**{name: example_of(hints[name]) for name in wanted})


ARRAYS = (AttentionMaps, PhotoFeatures)  # these rest in attention.npz and features.npz
RECORDS = [kind for kind in all_records() if kind not in ARRAYS]


def test_the_room_is_not_empty() -> None:
    assert {"Scan", "Metric", "RunRecord", "ModelConfig", "EpochRow", "Prediction"} <= {
        kind.__name__ for kind in RECORDS
    }


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("make", [example_record, least_record])
def test_every_record_comes_back_from_json_as_it_was(kind: type, make: Any) -> None:
    record = make(kind)
    assert from_plain(kind, json.loads(json.dumps(to_plain(record), allow_nan=False))) == record
    assert from_plain(kind, to_plain(record)) == record


@pytest.mark.parametrize("kind", all_records(), ids=lambda kind: kind.__name__)
def test_every_record_is_frozen_and_built_by_name(kind: type) -> None:
    assert kind.__dataclass_params__.frozen
    assert all(field.kw_only for field in fields(kind))


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_a_value_of_another_type_is_refused_by_name(kind: type) -> None:
    hints = get_type_hints(kind)
    plain = to_plain(example_record(kind))
    for name in plain:
        if hints[name] is Any:
            continue
        with pytest.raises(ValueError, match=rf"{kind.__name__}\.{name}: "):
            from_plain(kind, plain | {name: object()})


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_a_missing_field_is_refused(kind: type) -> None:
    required = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
    for name in required:
        plain = {key: value for key, value in to_plain(example_record(kind)).items() if key != name}
        with pytest.raises(ValueError, match=f"not a {kind.__name__}.*{name}"):
            from_plain(kind, plain)


def test_keys_of_a_newer_version_are_left_out() -> None:
    photo = example_record(Photo)
    assert from_plain(Photo, to_plain(photo) | {"mood": "bright"}) == photo


@pytest.mark.parametrize(
    ("name", "value"),
    [("width", True), ("width", 3.0), ("width", "3"), ("file", 3), ("split", "training"), ("file", None)],
)
def test_nothing_is_guessed(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"Photo.{name}"):
        from_plain(Photo, to_plain(example_record(Photo)) | {name: value})


def test_a_whole_number_is_a_float_where_one_is_wanted_but_true_is_not() -> None:
    plain = to_plain(example_record(AttentionNumbers))
    assert from_plain(AttentionNumbers, plain | {"gini": 1}).gini == 1.0
    for value in (True, "1.0", None):
        with pytest.raises(ValueError, match=r"AttentionNumbers.gini: expected float"):
            from_plain(AttentionNumbers, plain | {"gini": value})


def test_a_tuple_of_the_wrong_length_is_refused() -> None:
    plain = to_plain(example_record(Preprocessing))
    with pytest.raises(ValueError, match=r"Preprocessing.mean: "):
        from_plain(Preprocessing, plain | {"mean": [0.5, 0.5]})


@pytest.mark.parametrize("plain", [[], "text", None, 3])
def test_what_is_no_mapping_is_refused(plain: Any) -> None:
    with pytest.raises(ValueError, match="expected dict"):
        from_plain(Photo, plain)


def test_the_place_of_a_fault_is_named_all_the_way_down() -> None:
    plain = to_plain(example_record(Scan))
    plain["photos"][0]["height"] = "tall"
    with pytest.raises(ValueError, match=r"Scan.photos: Photo.height: expected int, found 'tall'"):
        from_plain(Scan, plain)


@pytest.mark.parametrize(
    "names",
    [
        ("a", "b"),
        ("0", "1", "2", "10", "11", "b"),
        ("class 2", "class 10"),
        ("1.5 mm", "1.25 mm", "12 mm"),
        ("n2-9", "n2-10", "n10-1"),
    ],
)
def test_classes_are_counted_in_the_order_that_people_count_in(names: tuple[str, ...]) -> None:
    """Numbers as classes stood there as 0, 1, 10, 2."""
    photos = tuple(replace(example_record(Photo), label=label) for label in (*sorted(names), names[-1]))
    counts = replace(example_record(Scan), photos=photos).classes
    assert list(counts.items()) == [*((name, 1) for name in names[:-1]), (names[-1], 2)]


@pytest.mark.parametrize(("label", "correct"), [("rose", True), ("tulip", False), ("", None)])
def test_a_prediction_is_right_wrong_or_unknown(label: str, correct: bool | None) -> None:
    prediction = replace(example_record(Prediction), multi_label=False)
    assert replace(prediction, label=label, predicted="rose").correct is correct


@pytest.mark.parametrize(
    "change", [{"height": 0}, {"width": -1}, {"crop_pct": 0.0}, {"crop_pct": 1.1}, {"std": (1.0, 0.0, 1.0)}]
)
def test_impossible_preprocessing_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no such preprocessing"):
        replace(Preprocessing(height=224, width=224), **change)


@pytest.mark.parametrize(
    ("change", "message"), [({"classes": ("a", "a")}, "stands twice"), ({"temperature": 0.0}, "should be positive")]
)
def test_an_impossible_model_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(example_record(ModelConfig), **change)


def test_a_record_in_a_dict_comes_back_as_a_record() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Inner:
        n: int

    assert to_plain(example_record(Photo))["width"] == 7
    assert from_plain(Inner, {"n": 3}) == Inner(n=3)
