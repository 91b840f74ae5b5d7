"""What the Python functions behind the commands say of arguments that they cannot use."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import pcn_cli
from pcn_cli.errors import RecipeError
from pcn_cli.recipe.arguments import checked
from pcn_cli.recipe.schema import FLAGS, PREDICT, Count, Look, PredictOptions
from pcn_cli.stages.bench import bench
from pcn_cli.stages.compare import compare_runs
from pcn_cli.stages.demo import demo
from pcn_cli.stages.evaluate_run import evaluate
from pcn_cli.stages.inspect import inspect_photos
from pcn_cli.stages.models import describe_model, get_model, import_model, verify_models
from pcn_cli.stages.report import report
from pcn_cli.stages.runs import clean_runs


class Picture(Image.Image):
    """What a person may hand over instead of a path; names itself without its address, so that a test's name stays."""

    def __repr__(self) -> str:
        return "<a picture>"


PICTURE = Picture()


@checked
def take(
    name: str | Path, *others: str, count: Count = 1, look: Look = "heat", names: Sequence[str | Path] = ()
) -> Any:
    return name, others, count, look, names


def problems_of(function: Callable[..., Any], *arguments: Any, **named: Any) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        function(*arguments, **named)
    return caught.value.message.splitlines()


def test_what_fits_arrives_as_it_was_given() -> None:
    names = ["a", Path("b"), "\udc80.jpg"]
    assert take("\udcff", count=3, look="contour", names=names) == ("\udcff", (), 3, "contour", names)


def test_every_argument_that_does_not_fit_is_named() -> None:
    assert problems_of(take, 3, count=0, look="spot", names=[PICTURE]) == [
        "name: should be text or a path, found 3",
        "count: should be greater than or equal to 1, found 0",
        "look: should be 'spotlight', 'heat' or 'contour', found 'spot'",
        f"names: should be text or a path, found {PICTURE!r}",
    ]
    assert problems_of(take, "a", count=True) == ["count: should be a whole number, found True"]
    assert problems_of(take, "a", names="b") == ["names: should be a list, found 'b'"]


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (pcn_cli.finetune, {"epochs": 0}, "--epochs 0: should be greater than or equal to 1, found 0"),
        (
            pcn_cli.finetune,
            {"settings": ["train.photo_cache=1e300"]},
            "--set train.photo_cache=1e300: should be less than or equal to 1000000",
        ),
        (pcn_cli.finetune, {"epoch": 3}, "epoch: unknown argument; the nearest known one is epochs"),
        (pcn_cli.finetune, {"photos": PICTURE}, f"photos: should be text or a path, found {PICTURE!r}"),
        (pcn_cli.finetune, {"labels": 3}, "--labels 3: should be text, found 3"),
        (pcn_cli.finetune, {"settings": "seed=3"}, "settings: should be a list, found 'seed=3'"),
        (pcn_cli.finetune, {"callback": print}, f"callback: should be an instance of Callback, found {print!r}"),
        (pcn_cli.predict, {"images": [PICTURE]}, f"images: should be text or a path, found {PICTURE!r}"),
        (pcn_cli.predict, {"images": "a.jpg", "top": -1}, "top: should be greater than or equal to 1, found -1"),
        (
            pcn_cli.predict,
            {"images": "a.jpg", "overlay_map": "evidense"},
            "overlay_map: should be 'look' or 'evidence'",
        ),
        (pcn_cli.predict, {"images": "a.jpg", "look": "spot"}, "look: should be 'spotlight', 'heat' or 'contour'"),
        (pcn_cli.predict, {"images": "a.jpg", "batch_size": 0}, "batch_size: should be greater than or equal to 1"),
        (pcn_cli.predict, {"images": "a.jpg", "workers": -1}, "workers: should be greater than or equal to 0"),
        (pcn_cli.load_model, {"source": 3}, "source: should be text or a path, found 3"),
        (evaluate, {"run": 3}, "run: should be text or a path, found 3"),
        (report, {"single_file": "please"}, "single_file: should be true or false, found 'please'"),
        (compare_runs, {"first": "a", "second": None}, "second: should be text or a path, found None"),
        (inspect_photos, {"photos": 3}, "photos: should be a path, found 3"),
        (bench, {"rounds": 0}, "rounds: should be greater than or equal to 1, found 0"),
        (bench, {"models": "nano"}, "models: should be a list, found 'nano'"),
        (demo, {"seed": -1}, "seed: should be greater than or equal to 0, found -1"),
        (describe_model, {"name": 3}, "name: should be text, found 3"),
        (get_model, {"name": "s60", "mirror": 3}, "mirror: should be text, found 3"),
        (import_model, {"path": 3}, "path: should be a path, found 3"),
        (verify_models, {"names": "s60"}, "names: should be a list, found 's60'"),
        (clean_runs, {"really": "perhaps"}, "really: should be true or false, found 'perhaps'"),
    ],
)
def test_each_public_function_refuses_what_it_cannot_use(function, arguments, message, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (problem,) = problems_of(function, **arguments)
    assert problem.startswith(message)
    assert not list(tmp_path.iterdir())


def test_the_options_of_the_recipe_are_arguments_of_finetune() -> None:
    shown = signature(pcn_cli.finetune).parameters
    assert next(iter(shown)) == "photos"
    assert set(FLAGS) < set(shown)
    assert len(FLAGS) > 15
    assert all(shown[name].default is None for name in FLAGS)
    assert "options" not in shown


def test_the_options_of_predict_are_its_arguments_with_their_defaults() -> None:
    shown = signature(pcn_cli.predict).parameters
    assert list(shown) == ["images", *PREDICT, "callback"]
    assert {name: shown[name].default for name in PREDICT} == asdict(PredictOptions())
    with pytest.raises(TypeError, match="unexpected keyword argument 'tops'"):
        pcn_cli.predict("a.jpg", tops=3)
