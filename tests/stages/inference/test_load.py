"""One word, one network: cards, files, folders and runs give the same logits, also through timm."""

import sys

import numpy as np
import pytest
import timm
import torch

import pcn_cli
import pcn_cli.models.entrypoints
from pcn_cli.errors import ModelError, RunError
from pcn_cli.models.aggregation import AttentionPooled
from pcn_cli.stages.inference.load import for_inference

CASES = ("S60_2x224x224_seed0", "S60_multi_1x224x224_seed3", "tiny_1x224x224_seed1", "tiny_2x96x96_seed0")


@pytest.fixture(scope="module")
def fill(shared):
    sys.path.insert(0, str(shared / "golden"))
    import fill

    sys.path.pop(0)
    return fill


def published_file(name, shared, fill, folder):
    import json

    keys = json.loads((shared / "golden" / "keys.json").read_text())
    if name in keys:
        shapes = keys[name]
    else:
        from pcn_cli.models.published import PatchConvNetSpec

        shapes = PatchConvNetSpec(embed_dim=64, depth=3, num_classes=10, class_tokens=False).shapes()
    tensors = {key: torch.from_numpy(fill.parameter(key, tuple(shape))) for key, shape in shapes.items()}
    path = folder / f"{name}.pth"
    torch.save({"model": tensors}, path)
    return path


@pytest.mark.parametrize("case", CASES)
def test_golden_parity_through_the_import_of_a_pth(case, shared, fill, tmp_path):
    golden = np.load(shared / "golden" / f"{case}.npz")
    size, shape, seed = case.rsplit("_", 2)
    model = pcn_cli.load_model(published_file(size, shared, fill, tmp_path))
    images = torch.from_numpy(fill.images(*map(int, shape.split("x")), seed=int(seed.removeprefix("seed"))))
    with torch.inference_mode():
        attended = model.attend(images)
        logits = model(images)
    weights = attended.weights.numpy()
    assert np.abs(logits.numpy() - golden["logits"]).max() <= 2e-5
    assert np.abs(attended.logits.numpy() - golden["logits"]).max() <= 2e-5
    assert np.abs((weights[:, ::50] if "multi" in case else weights) - golden["attention"]).max() <= 1e-6
    assert not model.training
    assert attended.grid == (images.shape[2] // 16, images.shape[3] // 16)
    assert attended.values.shape[:2] == (len(images), weights.shape[2])


def test_a_network_answers_from_a_copy_with_its_norms_folded_where_it_has_some():
    cpu = torch.device("cpu")
    with_norms, without = (
        AttentionPooled(backbone=name, num_classes=3) for name in ("mobilenetv3_small_050", "convnext_atto")
    )
    before = {name: tensor.clone() for name, tensor in with_norms.state_dict().items()}
    ready = for_inference(with_norms, cpu)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in ready.modules())
    assert not ready.training
    assert ready.backbone.conv_stem.weight.is_contiguous(memory_format=torch.channels_last)
    assert with_norms.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in with_norms.state_dict().items())
    assert for_inference(without, cpu) is without
    assert not without.training


@pytest.mark.parametrize("kind", ["patchconvnet", "timm"])
def test_timm_reads_a_run_s_model_folder(kind, tiny_weights, photo_folder, shared):
    source = tiny_weights if kind == "patchconvnet" else f"timm:local-dir:{shared / 'weights' / 'mobilenetv2_100'}"
    options = {"tune": "probe", "size": 64, "settings": ["train.probe_epochs=1", "explain.overlays=1"]}
    run = pcn_cli.finetune(photo_folder, model=source, **options).run
    ours = pcn_cli.load_model(run)
    theirs = timm.create_model(f"local-dir:{run / 'model'}", pretrained=True).eval()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert (ours(images) - theirs(images)).abs().max() <= 1e-5
        assert theirs(images).shape == (2, 3)


def test_unknown_sources_name_the_nearest():
    with pytest.raises(ModelError, match="s60"):
        pcn_cli.load_model("s61")
    with pytest.raises(ModelError, match="no weights"):
        pcn_cli.load_model("l60")
    with pytest.raises(RunError, match="no finished run"):
        pcn_cli.load_model()
