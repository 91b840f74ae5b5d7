"""With `evaluate.mirror` a model answers from each photo and its mirror image, in its run and wherever it is used."""

from pathlib import Path

import pytest
from PIL import Image, ImageOps

import pcn_cli
from pcn_cli.errors import RecipeError
from pcn_cli.files.atomic import read_csv
from pcn_cli.records.model import PatchGrid
from pcn_cli.runs.predictions import read_attention
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.store import MODEL_CONFIG

SETTINGS = ["evaluate.precision=float32", "explain.checks=3", "data.fit=squash"]
MIRROR = [*SETTINGS, "evaluate.mirror=true"]


def both_ways(photos: Path, run: Path, folder: Path) -> tuple[list[float], list[float]]:
    """How sure the model of a run is of each photo, and of its mirror image."""
    files = sorted(photos.glob("*/*.jpg"))[:12:3]
    folder.mkdir()
    turned = [folder / f"{file.parent.name}-{file.stem}.png" for file in files]
    for file, copy in zip(files, turned, strict=True):
        with Image.open(file) as image:
            ImageOps.mirror(image).save(copy)
    straight, other = (pcn_cli.predict(some, model=run) for some in (files, turned))
    return [one["confidence"] for one in straight], [one["confidence"] for one in other]


@pytest.mark.parametrize("tune", ["probe", "all"])
def test_a_photo_and_its_mirror_image_get_the_same_answer(photo_folder, tiny_weights, tmp_path, tune):
    options = {"model": tiny_weights, "tune": tune, "size": 32, "epochs": 1 if tune == "all" else None}
    plain = pcn_cli.finetune(photo_folder, output=tmp_path / "plain", settings=SETTINGS, **options).run
    run = pcn_cli.finetune(photo_folder, output=tmp_path / "mirror", settings=MIRROR, **options).run
    straight, turned = both_ways(photo_folder, run, tmp_path / "turned")
    assert straight == pytest.approx(turned, abs=1e-5)
    straight, turned = both_ways(photo_folder, plain, tmp_path / "turned too")
    assert straight != pytest.approx(turned, abs=1e-5)
    # What the run wrote of its photos is what the model says of them now.
    rows = read_csv(run / "predictions.csv")
    now = pcn_cli.predict([photo_folder / row["file"] for row in rows], model=run)
    assert [one["confidence"] for one in now] == pytest.approx([float(row["confidence"]) for row in rows], abs=1e-5)
    # Of 32 pixels two columns of 16 then lie alike from both sides; rows are centred on 0.5 and 16.5.
    maps = read_attention(run / "attention.npz")
    assert maps is not None
    assert maps.patch_grid == MODEL_CONFIG.read(RunDir(run)).patch_grid == PatchGrid(offset=0.5, offset_x=8.0)
    assert "the picture and its mirror image together" in (run / "model" / "README.md").read_text(encoding="utf-8")


def test_what_goes_on_from_such_a_model_sees_what_its_own_recipe_says(photo_folder, tiny_weights, tmp_path):
    options = {"tune": "probe", "size": 32}
    first = pcn_cli.finetune(photo_folder, model=tiny_weights, output=tmp_path / "a", settings=MIRROR, **options).run
    second = pcn_cli.finetune(photo_folder, model=str(first), output=tmp_path / "b", settings=SETTINGS, **options).run
    assert MODEL_CONFIG.read(RunDir(first)).model_args["mirror"] is True
    assert "mirror" not in MODEL_CONFIG.read(RunDir(second)).model_args


def test_it_is_refused_where_left_and_right_matter(photo_folder, tiny_weights):
    with pytest.raises(RecipeError, match=r"evaluate\.mirror.*: contradicts augment\.flip=false"):
        pcn_cli.finetune(photo_folder, model=tiny_weights, settings=[*MIRROR, "augment.flip=false"])
