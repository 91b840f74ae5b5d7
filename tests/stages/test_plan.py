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


def test_a_dry_run_counts_what_the_frozen_trunk_takes_and_no_epochs_of_a_probe(photo_folder, tiny_weights) -> None:
    """A dry run said 55 minutes for a run of one: it counted 40 epochs of a probe that is solved in steps."""

    def plan(*settings: str) -> Plan:
        return replace(
            plan_for(photo_folder, tiny_weights, "train.tune=probe", *settings),
            cost=Cost(forward_seconds=0.01, head_seconds=0.001, activation_mb=1.0, token_numbers=1000,
                      regression_seconds=0.001),
        )  # fmt: skip

    few, many = plan("train.probe_epochs=1"), plan("train.probe_epochs=1000")
    assert few.seconds() == many.seconds()
    assert plan("augment.flip=false").seconds() < few.seconds()
    per_class = [plan("model.pooling=per-class", f"train.probe_epochs={epochs}").seconds() for epochs in (1, 1000)]
    assert per_class[0] < per_class[1]


def test_a_dry_run_counts_the_file_of_tokens(photo_folder, tiny_weights) -> None:
    measured = Cost(forward_seconds=0.01, head_seconds=0.001, activation_mb=1.0, token_numbers=1000)
    plan = replace(plan_for(photo_folder, tiny_weights, "train.tune=probe"), cost=measured)
    train, others = plan.count("train"), plan.count("val") + plan.count("test")
    assert plan.scratch_bytes() == 1000 * (2 * 2 * train + 4 * others)
    plain = replace(plan_for(photo_folder, tiny_weights, "train.tune=probe", "augment.flip=false"), cost=measured)
    assert plain.scratch_bytes() == 1000 * (2 * train + 4 * others)
    folded = replace(plan_for(photo_folder, tiny_weights, "train.tune=probe", "evaluate.folds=2"), cost=measured)
    assert folded.scratch_bytes() == 1000 * (2 * 2 * train + 2 * 4 * others)
    assert plan.plain()["scratch_bytes"] == plan.scratch_bytes()
    assert replace(plan, cost=None).scratch_bytes() is None


def test_the_file_of_tokens_is_as_large_as_the_plan_says(photo_folder, tiny_weights) -> None:
    loaded = load_recipe(None, settings=[f"model.name={tiny_weights}", "train.device=cpu", "data.size=64"])
    plan = make_plan(photo_folder, loaded, measure=True, callback=Callback())
    assert plan.cost.token_numbers == 4 * 4 * 32
    assert plan.cost.regression_seconds > 0
    assert plan.seconds() > 0
