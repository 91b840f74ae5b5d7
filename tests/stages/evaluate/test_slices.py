from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.photos import Photo, Scan, SplitRow
from pcn_cli.records.predictions import Prediction
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.store import SLICES
from pcn_cli.stages.evaluate.slices import gather_facts, write_slices


@pytest.fixture
def measured(photo_folder):
    """Predictions of the 36 photos, all of those from camera 2 wrong, with rows and scan."""
    files = sorted(str(path.relative_to(photo_folder)) for path in photo_folder.rglob("*.jpg"))
    lines = ["file,label,camera,note", *(f"{file},{file[:-7]},{n % 3},n{n}" for n, file in enumerate(files))]
    (photo_folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    said = {"split": "test", "confidence": 1.0, "probabilities": (), "attention": None}
    predictions = [
        Prediction(file=file, label=file[:-7], predicted=file[:-7] if n % 3 != 2 else "else", **said)
        for n, file in enumerate(files)
    ]
    rows = [
        SplitRow(file=file, label=file[:-7], split="test", sha256=f"{n:064}", group=f"g{n % 2}")
        for n, file in enumerate(files)
    ]
    photos = tuple(
        Photo(file=file, label=file[:-7], width=56, height=40 + n, sha256=f"{n:064}", mode="RGB")
        for n, file in enumerate(files)
    )
    return predictions, rows, Scan(root=str(photo_folder), layout="table", photos=photos)


def test_a_camera_of_the_table_that_is_answered_worse_is_written_down(measured, photo_folder, tmp_path):
    predictions, rows, scan = measured
    given = {"root": photo_folder, "recipe": Recipe()}
    run = RunDir(tmp_path / "run")
    slices = write_slices(run, predictions, rows, scan, **given)
    assert [(one.fact, one.name, one.wrong) for one in slices.worse] == [("column camera", "2", 12)]
    assert SLICES.read(run) == slices
    facts = {one.fact for one in slices.slices}
    assert facts == {"brightness", "column camera", "file size in kB", "group", "picture size in pixels"}
    assert write_slices(run, [replace(predictions[0], multi_label=True)], rows, scan, **given) is None


def test_the_folder_is_that_beside_the_class(measured, photo_folder):
    predictions, rows, scan = measured
    facts = gather_facts(predictions, rows, scan, root=photo_folder, recipe=Recipe())
    assert set(facts["folder"]) == {None}
    assert all(0 < value < 1 for value in facts["brightness"])
    means = [np.asarray(Image.open(photo_folder / one.file)).mean() / 255 for one in predictions]
    np.testing.assert_allclose(facts["brightness"], means, atol=2e-3)
    moved = [replace(one, file=f"{one.label}/site 7/x.jpg") for one in predictions[:1]]
    moved += [replace(one, file=f"cam/{one.label}/x.jpg") for one in predictions[:1]]
    found = gather_facts(moved, rows, scan, root=photo_folder, recipe=Recipe())
    assert found["folder"] == ["site 7", "cam"]
    assert found["brightness"] == [None, None]
