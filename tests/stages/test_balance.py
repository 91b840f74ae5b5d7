"""Uneven classes are noticed by the whole way: what is done about them is chosen with a reason, and trained with."""

from pathlib import Path

import pytest

import pcn_cli
from pcn_cli.errors import RecipeError
from pcn_cli.files.atomic import read_csv, sha256_of


@pytest.fixture
def uneven(photo_folder: Path) -> Path:
    """The three classes with four red photos instead of twelve."""
    for photo in sorted((photo_folder / "red").iterdir())[4:]:
        photo.unlink()
    return photo_folder


@pytest.mark.parametrize("tune", ["probe", "all"])
def test_each_way_trains_another_model(uneven, tiny_weights, tune):
    options = {"epochs": 1, "batch_size": 8, "settings": ["train.probe_epochs=0"]} if tune == "all" else {}
    losses, models = {}, {}
    for way in (None, "none", "loss", "sampler"):
        run = pcn_cli.finetune(
            uneven, model=tiny_weights, tune=tune, size=32, balance=way,
            **{"settings": ["train.probe_epochs=1"], **options},
        ).run  # fmt: skip
        models[way] = sha256_of(run / "model" / "model.safetensors")
        losses[way] = read_csv(run / "history.csv")[0]["train_loss"] if tune == "all" else ""
        if way is None:
            assert "balance: loss  # the largest class has" in (run / "recipe.yaml").read_text()
    assert models[None] == models["loss"]
    if tune == "all":
        assert len({*models.values()}) == len({*losses.values()}) == 3
    else:  # a regression sees all photos at once: drawing rare ones more often is weighing them more
        assert models["loss"] == models["sampler"] != models["none"]


def test_several_labels_are_not_balanced(several_photos):
    with pytest.raises(RecipeError, match="--balance loss: has no meaning where photos may have several labels"):
        pcn_cli.finetune(several_photos, model="nano", tune="probe", balance="loss", dry_run=True)
