"""The plan is made before anything is written, and refuses what could not be carried out."""

from dataclasses import replace

import pytest

from pcn_cli.errors import DownloadError
from pcn_cli.models.sources import find_source
from pcn_cli.models.sources.folder import save_model_folder
from pcn_cli.models.weights import Fetcher
from pcn_cli.recipe.load import load_recipe
from pcn_cli.recipe.schema import DataSection, Recipe
from pcn_cli.stages import plan as module
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.plan import Plan, make_plan
from pcn_cli.training.device import Cost


def plan_for(photos, model, *settings: str, offline: bool = True) -> Plan:
    loaded = load_recipe(None, settings=[f"model.name={model}", "train.device=cpu", *settings])
    return make_plan(photos, loaded, measure=False, callback=Callback(), offline=offline)


@pytest.mark.parametrize("model", ["s60", "timm:mobilenetv3_small_050"])
def test_offline_is_refused_before_a_photo_is_read(model, photo_folder, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(DownloadError, match="offline"):
        plan_for(tmp_path / "no photos", model)
    assert plan_for(photo_folder, model, offline=False).source.download_bytes > 0


def test_a_time_limit_shortens_the_schedule_from_the_beginning(photo_folder, tiny_weights, monkeypatch) -> None:
    measured = Cost(forward_seconds=1.0, head_seconds=0.1, activation_mb=1.0)
    monkeypatch.setattr(module, "measure_cost", lambda *_, **__: measured)
    plan = plan_for(photo_folder, tiny_weights, "train.time=5m")
    assert plan.recipe.train.epochs == max(1, int(0.85 * 300 / (plan.count("train") * 3.0)))
    assert plan.reasons["train.epochs"] == "what fits in 5m at 3 s per photo"


def test_the_fit_of_a_model_folder_is_kept(photo_folder, tiny_weights, tmp_path) -> None:
    model, config = find_source(str(tiny_weights)).start(
        ("a", "b"), Recipe(data=DataSection(size=64, fit="pad")), fetch=Fetcher(offline=True)
    )
    save_model_folder(tmp_path / "padded", model, replace(config, card=""))
    assert plan_for(photo_folder, tmp_path / "padded").recipe.data.fit == "pad"
    assert plan_for(photo_folder, tmp_path / "padded", "data.fit=crop").recipe.data.fit == "crop"
    assert plan_for(photo_folder, tiny_weights).recipe.data.fit == "crop"
