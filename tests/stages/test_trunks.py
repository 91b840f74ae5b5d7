"""Several models to choose from: the better by the validation photos is trained, and of equals the smallest."""

import json
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

import pcn_cli
from pcn_cli.errors import DataError, DownloadError, ModelError, PcnError, RecipeError, RunError, StoppedError
from pcn_cli.files.atomic import read_csv, sha256_of
from pcn_cli.models.published import PatchConvNetSpec
from pcn_cli.runs.predictions import read_attention
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.store import TRUNKS, read_recipe
from pcn_cli.stages import trunks as module
from pcn_cli.stages.callback import Callback

SETTINGS = {"tune": "probe", "settings": ["train.probe_epochs=1", "explain.checks=0", "explain.overlays=0"], "size": 32}


@pytest.fixture(scope="session")
def trunks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Weight files of small and large networks: to `blind` and `dark` all photos are alike."""
    folder, generator = tmp_path_factory.mktemp("trunks"), torch.Generator().manual_seed(0)
    paths = {}
    for name, width, scale in (("blind", 16, 0.0), ("dark", 32, 0.0), ("large", 32, 0.2)):
        shapes = PatchConvNetSpec(embed_dim=width, depth=1, num_classes=4, class_tokens=False).shapes()
        tensors = {key: scale * torch.randn(shape, generator=generator) for key, shape in shapes.items()}
        tensors = {key: 1 + t if "norm" in key and key.endswith("weight") else t for key, t in tensors.items()}
        paths[name] = folder / f"{name}.pth"
        torch.save({"model": tensors}, paths[name])
    return paths


class Watcher(Callback):
    """Keeps the stages and notes, and does at a stage what a test wants done."""

    def __init__(self, **at: object) -> None:
        self.at, self.stages, self.notes, self.choices = at, [], [], {}

    def on_stage(self, title):
        self.stages.append(title)
        if act := self.at.get(title.partition(" ")[0]):
            act()

    def on_note(self, text):
        self.notes.append(text)

    def on_choice(self, key, value, reason):
        self.choices[key] = value


class StopAtTheSecond(Watcher):
    """Interrupts while the tokens of the second model are computed."""

    def on_progress(self, title, done, total):
        if title.startswith("computing tokens") and any("validation photos" in note for note in self.notes):
            raise KeyboardInterrupt


def finetune(photos, models, **options):
    return pcn_cli.finetune(photos, model=models, **(SETTINGS | options))


@pytest.mark.parametrize(("names", "kept"), [(("large", "blind"), "large"), (("dark", "blind"), "blind")])
def test_a_larger_model_is_trained_only_where_it_is_better_beyond_chance(names, kept, photo_folder, trunks):
    watcher = Watcher()
    outcome = finetune(photo_folder, [trunks[name] for name in names], callback=watcher)
    assert outcome.run == Path("runs/photos-best-of-2-1")
    assert [one.name for one in outcome.models] == [names[1], names[0]]
    assert [one.name for one in outcome.models if one.kept] == [kept]
    assert outcome.models == TRUNKS.read(RunDir(outcome.run)).models
    smaller, larger = outcome.models
    assert smaller.parameters < larger.parameters
    for one in outcome.models:
        assert one.accuracy.n == sum(row["split"] == "val" for row in read_csv(outcome.run / "split.csv"))
        assert 0 < one.val_log_loss < 2
    told = [note for note in watcher.notes if "M parameters" in note]
    assert [note.partition(" ")[0] for note in told] == [smaller.name, larger.name]
    assert "licence unknown" in told[0]
    assert told[1].endswith("the best so far" if kept == "large" else "no better, so not kept")
    assert watcher.choices["model.name"] == kept

    recipe = read_recipe(RunDir(outcome.run))
    assert recipe.model.name == str(trunks[kept])
    assert "model's own" in (outcome.run / "recipe.yaml").read_text()
    assert json.loads((outcome.run / "run.json").read_text())["card"] == kept
    alone = finetune(photo_folder, trunks[kept])
    assert alone.models == ()
    assert not (alone.run / "trunks.json").exists()
    for file in ("model/model.safetensors", "predictions.csv", "candidates.json", "recipe.yaml"):
        assert sha256_of(alone.run / file) == sha256_of(outcome.run / file), file
    assert "Models to choose from" in (outcome.run / "report" / "index.html").read_text()
    assert "Models to choose from" not in (alone.run / "report" / "index.html").read_text()


def test_no_test_photo_is_read_before_the_model_is_chosen(photo_folder, trunks, monkeypatch):
    photos = {path: path.read_bytes() for path in photo_folder.rglob("*.jpg")}
    models = [trunks["blind"], trunks["large"]]
    whole = finetune(photo_folder, models, output="whole")
    tests = [photo_folder / row["file"] for row in read_csv(whole.run / "split.csv") if row["split"] == "test"]
    assert len(tests) >= 3

    def spoil():
        for path in tests:
            path.write_bytes(b"no photo")

    def forget(folder):  # tokens that were kept would stand in for the photos
        monkeypatch.setenv("PCN_CACHE", str(Path(folder).resolve()))

    def restore():
        for path in tests:
            path.write_bytes(photos[path])

    forget("anew")
    spoiled = finetune(photo_folder, models, output="spoiled", callback=Watcher(choose=spoil, train=restore))
    assert spoiled.models == whole.models
    assert sha256_of(spoiled.run / "model/model.safetensors") == sha256_of(whole.run / "model/model.safetensors")
    forget("once more")
    with pytest.raises(PcnError):  # they are read soon after
        finetune(photo_folder, models, output="unreadable", callback=Watcher(choose=spoil))
    assert TRUNKS.read(RunDir(Path("unreadable"))).models == whole.models
    restore()


def test_a_run_stopped_while_models_are_measured_chooses_anew(photo_folder, trunks):
    models = [trunks["blind"], trunks["large"]]
    whole = finetune(photo_folder, models, output="whole")
    with pytest.raises(StoppedError):
        finetune(photo_folder, models, output="cut", callback=StopAtTheSecond())
    assert not list(Path("cut/checkpoints").glob("pcn-tokens-*"))
    Path("cut/checkpoints/pcn-tokens-left").mkdir()  # as a kill leaves them
    with pytest.raises(RunError, match=r"--model .*: the run has .*blind.pth, .*large.pth, now .*large.pth"):
        finetune(None, trunks["large"], resume="cut", settings=())
    watcher = Watcher()
    again = finetune(photo_folder, models[::-1], resume="cut", callback=watcher)
    assert "choose the model" in watcher.stages
    assert again.models == whole.models
    for file in ("model/model.safetensors", "recipe.yaml", "predictions.csv"):
        assert sha256_of(again.run / file) == sha256_of(whole.run / file), file
    assert not (again.run / "checkpoints").exists()


@pytest.mark.parametrize("when", ["before the recipe is written", "after it"])
def test_a_choice_that_was_made_stands(when, photo_folder, trunks, monkeypatch):
    models = [trunks["blind"], trunks["large"]]

    def fail(*_):
        raise RuntimeError("gone")

    with monkeypatch.context() as patch:
        if when == "before the recipe is written":
            patch.setattr(module, "write_recipe", fail)
        with pytest.raises(RuntimeError, match="gone"):
            finetune(photo_folder, models, output="cut", callback=Watcher(train=fail))
    watcher = Watcher()
    outcome = finetune(None, models, resume="cut", callback=watcher)
    assert not any("M parameters" in note for note in watcher.notes)
    assert read_recipe(RunDir(outcome.run)).model.name == str(trunks["large"])
    assert "model's own" in (outcome.run / "recipe.yaml").read_text()


def test_what_is_refused_is_refused_before_anything_is_written(photo_folder, trunks):
    with pytest.raises(RecipeError, match=r"large.pth: stands twice"):
        finetune(photo_folder, [trunks["large"], trunks["large"]])
    with pytest.raises(RecipeError, match="cannot become a single one"):
        finetune(photo_folder, ["s60-multi", trunks["large"]], pooling="single")
    with pytest.raises(ModelError, match="under cc-by-nc"):
        finetune(photo_folder, [trunks["large"], "timm:convnextv2_atto.fcmae"])
    with pytest.raises(DataError, match="no such folder"):
        finetune("no photos", "timm:convnextv2_atto.fcmae")
    with pytest.raises(DownloadError, match="offline"):
        finetune(photo_folder, "timm:convnextv2_atto.fcmae", accept_licence=True, offline=True)
    with pytest.raises(DataError):
        finetune("no photos", [trunks["large"]])
    assert not Path("runs").exists()


def test_a_vision_transformer_goes_the_whole_way_at_its_own_size(photo_folder, trunks, tmp_path):
    torch.manual_seed(0)
    weights = tmp_path / "vit.safetensors"
    save_file(timm.create_model("test_vit", num_classes=7).state_dict(), weights)
    options = SETTINGS | {"size": None, "settings": ["train.probe_epochs=1", "explain.checks=4"]}
    outcome = pcn_cli.finetune(photo_folder, model=[trunks["blind"], f"timm:test_vit:{weights}"], **options)
    assert [(one.name, one.kept) for one in outcome.models] == [("blind", False), ("test_vit", True)]
    config = json.loads((outcome.run / "model" / "config.json").read_text())
    assert config["preprocessing"]["height"] == 160
    assert config["patch_grid"] == {"stride": 16.0, "offset": 8.0, "offset_x": None}
    maps = read_attention(outcome.run / "attention.npz")
    assert maps is not None
    assert len(maps.files) == outcome.metrics["accuracy"].n


def test_photos_with_several_labels_choose_by_their_own_figures(several_photos, trunks):
    models, settings = [trunks["blind"], trunks["large"]], ["train.probe_epochs=1"]
    outcome = finetune(several_photos, models, labels=several_photos / "labels.csv", settings=settings)
    blind, large = outcome.models
    assert large.kept
    assert large.accuracy is None
    assert large.headline == large.mean_average_precision
    assert large.val_log_loss < blind.val_log_loss
