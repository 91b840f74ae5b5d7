import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from pcn_cli.errors import ModelError
from pcn_cli.models.build import make_model
from pcn_cli.models.sources import find_source
from pcn_cli.models.sources.folder import load_model_folder, save_model_folder
from pcn_cli.records.model import ModelConfig, PatchGrid, Preprocessing

CONFIGS = {
    "patchconvnet": ModelConfig(
        architecture="patchconvnet",
        model_args={"embed_dim": 16, "depth": 2},
        classes=("oak", "beech, copper", "Ærø"),
        preprocessing=Preprocessing(height=64, width=96, fit="pad", mean=(0.5, 0.5, 0.5)),
        temperature=1.5,
        card="s60",
        licence="Apache-2.0",
    ),
    "class tokens": ModelConfig(
        architecture="patchconvnet",
        model_args={"embed_dim": 16, "depth": 2, "class_tokens": True},
        classes=("oak", "beech"),
        preprocessing=Preprocessing(height=64, width=64),
    ),
    "pooled": ModelConfig(
        architecture="attention_pooled",
        model_args={"backbone": "mobilenetv2_050", "backbone_args": {"pad_type": "same"}},
        classes=("oak", "beech"),
        preprocessing=Preprocessing(height=96, width=96, crop_pct=0.9, interpolation="bilinear"),
        patch_grid=PatchGrid(stride=32.0, offset=31.5),
    ),
}


def write(folder: Path, config: ModelConfig) -> torch.nn.Module:
    torch.manual_seed(0)
    model = make_model(config.architecture, len(config.classes), config.model_args)
    save_model_folder(folder, model, config)
    return model.eval()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "model", CONFIGS["patchconvnet"])
    return tmp_path / "model"


def edit(folder: Path, **changes) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_what_was_saved_comes_back(tmp_path: Path, name: str) -> None:
    config = CONFIGS[name]
    model = write(tmp_path, config)
    loaded, found = load_model_folder(tmp_path)
    images = torch.randn(2, 3, config.preprocessing.height, config.preprocessing.width)
    assert found == config
    assert not loaded.training
    assert loaded.patch_grid == config.patch_grid
    assert torch.equal(loaded(images), model(images))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_timm_reads_the_folder(tmp_path: Path, name: str) -> None:
    config = CONFIGS[name]
    model = write(tmp_path, config)
    found = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(found(images), model(images), atol=1e-5, rtol=0)
    assert found.num_classes == len(config.classes)
    assert found.pretrained_cfg["label_names"] == list(config.classes)
    data = timm.data.resolve_model_data_config(found)
    assert tuple(data["input_size"]) == (3, config.preprocessing.height, config.preprocessing.width)
    assert tuple(data["mean"]) == config.preprocessing.mean
    assert data["crop_pct"] == (config.preprocessing.crop_pct if config.preprocessing.fit == "crop" else 1.0)
    other = timm.create_model(f"local-dir:{tmp_path}", pretrained=True, num_classes=7)
    assert other(images).shape == (2, 7)


def test_our_own_facts_stand_at_the_top_level(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    calibrated = {"temperature", "calibration", "selection", "conformal", "thresholds", "precision", "agreement"}
    ours = {"classes", "multi_label", "preprocessing", "patch_grid", "card", "licence"} | calibrated
    timms = {"architecture", "model_args", "num_classes", "num_features", "label_names", "pretrained_cfg"}
    assert set(config) == ours | timms
    assert config["classes"] == ["oak", "beech, copper", "Ærø"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ["oak"]}, "1 classes"),
        ({"classes": []}, "names no classes"),
        ({"classes": ["oak", "oak", "elm"]}, "twice"),
        ({"classes": "oak"}, "expected list"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": "warm"}, "config"),
        ({"selection": {"target": 0.9, "photos": 9, "threshold": 2}}, "threshold from 0 to 1"),
        ({"conformal": [{"level": 0.9, "photos": 20, "least_probability": -1}]}, "no such conformal sets"),
        ({"preprocessing": {"height": 0, "width": 4}}, "no such preprocessing"),
        ({"preprocessing": {"height": 8, "width": 8, "std": [0, 1, 1]}}, "no such preprocessing"),
        ({"preprocessing": {"height": 8, "width": 8, "fit": "stretch"}}, "stretch"),
        ({"architecture": "resnet50"}, "no network called 'resnet50'"),
        ({"architecture": "../evil"}, "no network called"),
        ({"model_args": {"embed_dim": 16, "depth": 2, "checkpoint_path": "x"}}, "no setting checkpoint_path"),
        ({"model_args": {"embed_dim": 16, "depth": 3}}, r"blocks\.2\.gamma is missing"),
        ({"model_args": {"embed_dim": 20, "depth": 2}}, "multiple of 8"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(folder: Path, changes: dict, message: str) -> None:
    edit(folder, **changes)
    with pytest.raises(ModelError, match=message):
        load_model_folder(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"text"', '{"architecture": 3}', "[" * 100_000])
def test_a_damaged_config_is_named(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"config\.json is not a config of ours"):
        load_model_folder(folder)


@pytest.mark.parametrize("name", ["resnet 18", "-resnet18"])
def test_a_folder_that_timm_saved_is_named_with_what_opens_it(tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    timm.models.save_for_hf(timm.create_model("resnet18", num_classes=3), place, safe_serialization=True)
    with pytest.raises(ModelError, match="holds a network as timm saves it") as caught:
        find_source(str(place))
    option, source = shlex.split(caught.value.hint)
    assert option == "--model"
    assert find_source(source).name == "resnet18"


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"there is no file .*model\.safetensors"):
        load_model_folder(folder)
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match="is no model folder"):
        load_model_folder(folder)


def test_a_truncated_weight_file_is_named(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged"):
        load_model_folder(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(folder: Path, value: float) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["blocks.1.gamma"][3] = value
    save_file(tensors, path)
    with pytest.raises(ModelError, match=r"not finite: blocks\.1\.gamma"):
        load_model_folder(folder)
    model = make_model("patchconvnet", 2, {"embed_dim": 16, "depth": 1})
    model.head.bias.data[0] = value
    with pytest.raises(ModelError, match=r"not finite: head\.bias"):
        save_model_folder(folder, model, CONFIGS["patchconvnet"])


def test_a_pooled_folder_needs_its_own_tensors(tmp_path: Path) -> None:
    write(tmp_path, CONFIGS["pooled"])
    edit(tmp_path, model_args={"backbone": "mobilenetv2_100", "backbone_args": {"pad_type": "same"}})
    with pytest.raises(ModelError, match=r"has shape .*, expected"):
        load_model_folder(tmp_path)
    edit(tmp_path, model_args={"backbone": "hf-hub:someone/evil"})
    with pytest.raises(ModelError, match="no backbone called"):
        load_model_folder(tmp_path)
    edit(tmp_path, model_args={"backbone": "resnet18", "backbone_args": {"pretrained": True}})
    with pytest.raises(ModelError, match="must not set pretrained"):
        load_model_folder(tmp_path)


def test_half_precision_is_read_as_float32(folder: Path) -> None:
    path = folder / "model.safetensors"
    save_file({name: tensor.half() for name, tensor in load_file(path).items()}, path)
    model, _ = load_model_folder(folder)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_a_facts_only_change_keeps_the_weights(folder: Path) -> None:
    model, config = load_model_folder(folder)
    save_model_folder(folder, model, replace(config, temperature=2.0))
    again, found = load_model_folder(folder)
    assert found.temperature == 2
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize(
    "model_args",
    [
        {"embed_dim": 16, "depth": 10**9},
        {"embed_dim": 10**9, "depth": 2},
        {"embed_dim": 16, "depth": 60_000},
        {"embed_dim": 60_000, "depth": 2},
        {"embed_dim": 16, "depth": 1e308},
        {"embed_dim": "x" * 10**6, "depth": 2},
        {"embed_dim": [[[[[[16]]]]]], "depth": 2},
        {"embed_dim": [16] * 10**5, "depth": 2},
        {"embed_dim": -16, "depth": 2},
        {"embed_dim": None, "depth": 2},
    ],
    ids=str,
)
def test_sizes_that_the_weights_do_not_have_are_refused_before_a_network_is_built(folder: Path, model_args) -> None:
    """A config.json of a hundred bytes could ask for a network of any size."""
    edit(folder, model_args=model_args)
    with pytest.raises(ModelError) as caught:
        load_model_folder(folder)
    assert len(caught.value.message) < 1000


def test_sizes_of_a_pooled_backbone_are_bounded_too(tmp_path: Path) -> None:
    write(tmp_path, CONFIGS["pooled"])
    for settings in ({"channel_multiplier": 1000.0}, {"depth_multiplier": 5000.0}, {"channel_multiplier": 10**9}):
        edit(tmp_path, model_args={"backbone": "mobilenetv2_050", "backbone_args": settings})
        with pytest.raises(ModelError):
            load_model_folder(tmp_path)


def test_a_larger_backbone_is_refused_while_it_is_built(tmp_path: Path) -> None:
    write(tmp_path, CONFIGS["pooled"])
    edit(tmp_path, model_args={"backbone": "resnet50"})
    with pytest.raises(ModelError, match="settings ask for a much larger one"):
        load_model_folder(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"preprocessing": {"height": 10**9, "width": 64}},
        {"preprocessing": {"height": 64, "width": 64, "crop_pct": 1e400}},
        {"preprocessing": {"height": 64, "width": 64, "mean": [0.5, 1e400, 0.5]}},
        {"preprocessing": {"height": 64, "width": 64, "std": [0.5, 0.0, 0.5]}},
        {"temperature": 1e400},
        {"classes": [["oak"], "beech", "pine"]},
        {"classes": {"oak": 1}},
    ],
    ids=str,
)
def test_facts_that_make_no_sense_are_refused(folder: Path, change) -> None:
    edit(folder, **change)
    with pytest.raises(ModelError, match="is not a config of ours"):
        load_model_folder(folder)


@pytest.mark.parametrize("text", ["[" * 100_000, "{}" + " " * 2**24, "NaN", '{"classes": [' + "[" * 5000])
def test_a_config_out_of_all_proportion_is_refused(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelError, match="is not a config of ours"):
        load_model_folder(folder)


@pytest.mark.parametrize("header", [b"", b"\xff" * 8, (2**40).to_bytes(8, "little"), (2**23 + 1).to_bytes(8, "little")])
def test_a_header_out_of_all_proportion_is_refused(folder: Path, header: bytes) -> None:
    (folder / "model.safetensors").write_bytes(header + b"{}")
    with pytest.raises(ModelError, match=r"model.safetensors is damaged"):
        load_model_folder(folder)


def test_a_header_out_of_all_proportion_is_not_read_though_it_is_whole(folder: Path) -> None:
    text = b"{}" + b" " * 2**23
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(ModelError, match="its header is said to take 8,388,610 bytes"):
        load_model_folder(folder)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.complex64])
def test_numbers_that_no_network_has_are_refused_by_name(folder: Path, dtype: torch.dtype) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {"head.bias": torch.zeros(3).to(dtype)}, folder / "model.safetensors")
    with pytest.raises(ModelError, match=str(dtype).removeprefix("torch.")):
        load_model_folder(folder)


def test_a_head_without_a_length_is_refused(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {"head.bias": torch.tensor(1.0)}, folder / "model.safetensors")
    with pytest.raises(ModelError, match="has 3 classes"):
        load_model_folder(folder)


@pytest.mark.parametrize(
    "settings", [{"depth": 10**9}, {"embed_dim": [[[[[16]]]]]}, {"embed_dim": "x" * 2000}, {"depth": 1e30}]
)
def test_nothing_is_built_with_settings_out_of_bounds(folder: Path, settings, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(folder, model_args={"embed_dim": 16, "depth": 2} | settings)
    monkeypatch.setattr(timm, "create_model", lambda *_, **__: pytest.fail("it was built"))
    with pytest.raises(ModelError, match="a value is too large or too deep"):
        load_model_folder(folder)
