import csv
import errno
import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pcn_cli.cli.app import app
from pcn_cli.errors import ResourceError
from pcn_cli.stages.demo import demo


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:
    folder = tmp_path_factory.mktemp("demo") / "all of it"
    result = CliRunner().invoke(app, ["demo", "--output", str(folder), "--json"])
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout), folder


def test_the_demo_is_right_and_looks_at_the_objects(shown: tuple[dict, Path]) -> None:
    numbers, _ = shown
    assert list(numbers) == ["accuracy", "n", "peak_in_box", "boxes", "run", "report", "seconds"]
    assert numbers["n"] >= 50
    assert numbers["accuracy"] >= 0.9
    assert numbers["peak_in_box"] >= 0.7


def test_everything_it_names_lies_in_its_folder(shown: tuple[dict, Path]) -> None:
    numbers, folder = shown
    assert Path(numbers["report"]) == folder / "run" / "report" / "index.html"
    assert Path(numbers["report"]).is_file()
    assert sorted(path.name for path in folder.iterdir()) == ["boxes.csv", "photos", "run"]


def test_its_share_of_peaks_is_what_its_own_tables_say(shown: tuple[dict, Path]) -> None:
    numbers, folder = shown
    with (folder / "boxes.csv").open(encoding="utf-8", newline="") as file:
        boxes = {row["file"]: row for row in csv.DictReader(file)}
    with (folder / "run" / "predictions.csv").open(encoding="utf-8", newline="") as file:
        predictions = list(csv.DictReader(file))
    assert sorted(boxes) == sorted(row["file"] for row in predictions)
    inside = [_is_inside(row, boxes[row["file"]]) for row in predictions]
    assert numbers["peak_in_box"] == pytest.approx(sum(inside) / len(inside))
    assert numbers["accuracy"] == pytest.approx(sum(row["correct"] == "1" for row in predictions) / len(predictions))
    metrics = json.loads((folder / "run" / "metrics.json").read_text())
    assert metrics["pointing_game"]["value"] == numbers["peak_in_box"]
    assert metrics["pointing_game"]["value"] > metrics["pointing_game_random"]["value"]


def _is_inside(prediction: dict[str, str], box: dict[str, str]) -> bool:
    x, y = float(prediction["peak_x"]), float(prediction["peak_y"])
    return int(box["xmin"]) <= x <= int(box["xmax"]) and int(box["ymin"]) <= y <= int(box["ymax"])


def test_a_folder_that_exists_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(ResourceError, match="exists already"):
        demo(tmp_path / "mine")
    assert not list((tmp_path / "mine").iterdir())


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_place_where_nothing_may_be_made_is_told_with_the_option(tmp_path: Path, monkeypatch, number: int) -> None:
    """Seen: `pcn demo` in a read-only folder was "a bug of pcn: PermissionError"."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ResourceError) as caught:
        demo(tmp_path / "new")
    assert caught.value.hint in (
        "name a folder elsewhere: pcn demo --output FOLDER",
        "free some space, then run the same command again",
    )


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "letter").touch()
    with pytest.raises(ResourceError, match="letter is a file, not a folder"):
        demo(tmp_path / "letter" / "demo")
