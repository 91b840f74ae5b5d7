import importlib.util
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import timm
import torch
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from safetensors.torch import load_file, save_file
from timm.data import ImageNetInfo
from timm.models import get_pretrained_cfg

from pcn_cli.errors import DownloadError, ModelError
from pcn_cli.models.published import PatchConvNetSpec, from_published
from pcn_cli.models.sources import find_source
from pcn_cli.models.sources.folder import save_model_folder
from pcn_cli.models.zoo import Card, find_card
from pcn_cli.recipe.schema import DataSection, ModelSection, Recipe
from pcn_cli.records.model import ModelConfig, PatchGrid

CLASSES = ("daisy", "rose", "tulip")


@dataclass(frozen=True)
class Gives:
    """Has one file for every card, or none."""

    path: Path | None = None
    offline: bool = False

    def __call__(self, card: Card, /) -> Path:
        assert self.path is not None, f"nobody asked for {card.name}"
        return self.path


no_fetch = Gives()


def start(
    source: str, classes: tuple[str, ...], *, fetch: Gives, **asked: object
) -> tuple[torch.nn.Module, ModelConfig]:
    """The network that a recipe which asks for this begins with."""
    data = {name: asked.pop(name) for name in ("size", "fit", "crop_pct") if name in asked}
    recipe = Recipe(data=DataSection(**data), seed=asked.pop("seed", 0), model=ModelSection(**asked))
    return find_source(source).start(classes, recipe, fetch=fetch)


def write_weights(path: Path, *, published: bool = False, **size: int | bool) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = PatchConvNetSpec(**({"embed_dim": 16, "depth": 2, "num_classes": 4} | size)).shapes()
    tensors = {name: 0.3 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    if path.suffix == ".pth":
        torch.save({"model": tensors}, path)
    else:
        save_file(
            {name: t.contiguous() for name, t in (tensors if published else from_published(tensors)).items()}, path
        )
    return tensors


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def backbone_folder(tmp_path: Path) -> Path:
    """A timm folder of mobilenetv3_small_050 with random weights, for 5 classes, with its own mean."""
    torch.manual_seed(0)
    network = timm.create_model("mobilenetv3_small_050", num_classes=5)
    folder = tmp_path / "timm folder"
    folder.mkdir()
    save_file(network.state_dict(), folder / "model.safetensors")
    config = {
        "architecture": "mobilenetv3_small_050",
        "num_classes": 5,
        "model_args": {"pad_type": "same"},
        "pretrained_cfg": {"input_size": [3, 96, 96], "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25],
                           "crop_pct": 0.9, "interpolation": "bilinear", "num_classes": 5, "classifier": "classifier",
                           "first_conv": "conv_stem", "license": "mit"},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@torch.no_grad()
def test_a_timm_folder_starts_as_its_average_pooling(backbone_folder: Path) -> None:
    model, config = start(f"timm:local-dir:{backbone_folder}", CLASSES, fetch=no_fetch)
    assert config.architecture == "attention_pooled"
    assert config.model_args == {
        "backbone": "mobilenetv3_small_050",
        "pooling_rank": 64,
        "backbone_args": {"pad_type": "same"},
    }
    assert config.classes == CLASSES
    assert config.card == "timm:mobilenetv3_small_050"
    assert config.licence == "mit"
    assert (config.preprocessing.height, config.preprocessing.mean) == (96, (0.5, 0.5, 0.5))
    assert (config.preprocessing.crop_pct, config.preprocessing.interpolation) == (0.9, "bilinear")
    assert config.patch_grid == PatchGrid(stride=32.0, offset=31.5)
    plain = timm.create_model(f"local-dir:{backbone_folder}", pretrained=True).eval()
    images = torch.randn(2, 3, 96, 96)
    torch.testing.assert_close(model.eval().forward_features(images), plain.forward_features(images))


@torch.no_grad()
def test_a_teacher_keeps_its_own_classes_and_is_asked_at_the_size_that_is_wanted(backbone_folder: Path) -> None:
    teacher, preprocessing = find_source(f"timm:local-dir:{backbone_folder}").read_teacher(fetch=no_fetch, size=64)
    plain = timm.create_model(f"local-dir:{backbone_folder}", pretrained=True).eval()
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(teacher(images), plain(images))
    assert (preprocessing.height, preprocessing.width, preprocessing.mean) == (64, 64, (0.5, 0.5, 0.5))
    assert teacher.num_classes == plain.num_classes == len(teacher(images)[0])
    teacher, preprocessing = find_source("nano").read_teacher(fetch=no_fetch)
    assert teacher(images).shape == (2, teacher.num_classes) == (2, 200)
    assert preprocessing.height == 128


def test_a_teacher_without_a_classifier_is_refused(backbone_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(backbone_folder, tmp_path / "headless")
    tensors = load_file(folder / "model.safetensors")
    save_file({k: v for k, v in tensors.items() if "classifier" not in k}, folder / "model.safetensors")
    with pytest.raises(ModelError, match="holds no classifier"):
        find_source(f"timm:local-dir:{folder}").read_teacher(fetch=no_fetch)


def test_a_relative_timm_folder_works(backbone_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(backbone_folder.parent)
    model, _ = start("timm:local-dir:timm folder", CLASSES, fetch=no_fetch)
    assert model.num_classes == 3


def test_a_timm_name_takes_a_local_weight_file(backbone_folder: Path) -> None:
    source = f"timm:mobilenetv3_small_050.lamb_in1k:{backbone_folder / 'model.safetensors'}"
    model, config = start(source, CLASSES, fetch=no_fetch)
    stored = timm.create_model(f"local-dir:{backbone_folder}", pretrained=True)
    assert torch.equal(model.backbone.conv_stem.weight, stored.conv_stem.weight)
    assert config.model_args == {"backbone": "mobilenetv3_small_050.lamb_in1k", "pooling_rank": 64}
    assert config.preprocessing.height == 224


def test_a_size_moves_the_patches(backbone_folder: Path) -> None:
    _, config = start(f"timm:local-dir:{backbone_folder}", CLASSES, fetch=no_fetch, size=97, fit="pad", crop_pct=1)
    assert (config.preprocessing.height, config.preprocessing.width, config.preprocessing.fit) == (97, 97, "pad")
    assert config.preprocessing.crop_pct == 1
    assert config.patch_grid == PatchGrid(stride=32.0, offset=0.5)  # odd sizes are padded on both sides


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("timm:no_such_net", "no network called 'no_such_net'"),
        ("timm:local-dir:nowhere", "should hold config.json"),
        ("timm:mobilenetv3_small_050:nowhere.safetensors", "there is no file"),
        ("timm:mobilenetv3_small_050:weights.pth", "is no safetensors"),
        ("timm:levit_128s:{}", "gives no grid"),
        ("nonsense", "no model called 'nonsense'"),
        ("some/where.pth", "there is no file or folder some/where.pth"),
    ],
)
def test_a_source_that_is_none_says_why(source: str, message: str, tmp_path: Path) -> None:
    if "{}" in source:
        network = timm.create_model("vit_tiny_patch16_224", num_classes=0)
        save_file(network.state_dict(), tmp_path / "vit.safetensors")
        source = source.format(tmp_path / "vit.safetensors")
    with pytest.raises(ModelError, match=message):
        start(source, CLASSES, fetch=no_fetch)


def test_backbone_weights_that_do_not_fit_are_refused(backbone_folder: Path) -> None:
    source = f"timm:mobilenetv3_small_100:{backbone_folder / 'model.safetensors'}"
    with pytest.raises(ModelError, match=r"does not fit the network: .* has shape"):
        start(source, CLASSES, fetch=no_fetch)


@pytest.mark.parametrize("asked", ["argument", "environment"])
def test_offline_opens_no_socket_for_a_timm_name(asked: str, hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if asked == "environment":
        monkeypatch.setenv("PCN_OFFLINE", "1")
    offline = asked == "argument"
    for source, message in (
        ("timm:mobilenetv3_small_050", "offline: the weights of timm:mobilenetv3_small_050"),
        ("s60", "offline, and .* is not in the cache"),
    ):
        with pytest.raises(DownloadError, match=message):
            find_source(source).check_available(offline=offline)
    with pytest.raises(DownloadError, match="offline: the weights of timm:mobilenetv3_small_050"):
        start("timm:mobilenetv3_small_050", CLASSES, fetch=Gives(offline=offline))


def test_what_is_here_or_may_be_fetched_is_available(backbone_folder: Path, hub: Path) -> None:
    for source in ("s60", "timm:mobilenetv3_small_050", "nano"):
        find_source(source).check_available(offline=False)
    find_source("nano").check_available(offline=True)
    find_source(f"timm:local-dir:{backbone_folder}").check_available(offline=True)
    find_source(f"timm:mobilenetv3_small_050:{backbone_folder / 'model.safetensors'}").check_available(offline=True)
    with pytest.raises(ModelError, match="is no safetensors"):
        find_source("timm:mobilenetv3_small_050:weights.pth").check_available(offline=False)


def test_the_cache_of_the_hub_is_enough_offline(hub: Path) -> None:
    torch.manual_seed(0)
    network = timm.create_model("mobilenetv3_small_050")
    snapshot = hub / "models--timm--mobilenetv3_small_050.lamb_in1k" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("a" * 40)
    save_file(network.state_dict(), snapshot / "model.safetensors")
    find_source("timm:mobilenetv3_small_050").check_available(offline=True)
    model, _ = start("timm:mobilenetv3_small_050", CLASSES, fetch=Gives(offline=True))
    for name, tensor in model.backbone.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name]), name
    (snapshot / "model.safetensors").write_bytes(b"\x80\x02.")
    with pytest.raises(ModelError, match="is damaged"):
        start("timm:mobilenetv3_small_050", CLASSES, fetch=Gives(offline=True))


def test_a_timm_network_without_safetensors_is_refused(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def no_such_file(repository: str, filename: str, **_: object) -> str:
        asked.append(filename)
        raise EntryNotFoundError("404: there is no such file")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", no_such_file)
    with pytest.raises(ModelError, match=r"holds no model\.safetensors") as caught:
        start("timm:mobilenetv3_small_050", CLASSES, fetch=no_fetch)
    assert caught.value.hint == "timm:mobilenetv3_small_050:FILE.safetensors"
    assert asked == ["model.safetensors"]
    with pytest.raises(ModelError, match=r"no safetensors for .*, only https://.*\.pth") as caught:
        find_source(f"timm:{(only_pickled := name_with_only_a_pickle())}").check_available(offline=False)
    assert caught.value.hint == f"timm:{only_pickled}:FILE.safetensors"


def name_with_only_a_pickle() -> str:
    known = ((name, get_pretrained_cfg(name)) for name in timm.list_pretrained())
    return next(name for name, cfg in known if not cfg.hf_hub_id and str(cfg.url).endswith(".pth"))


def test_a_hub_that_does_not_answer_is_a_failed_download(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object, **__: object) -> str:
        raise LocalEntryNotFoundError("nobody answers")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", nobody)
    with pytest.raises(DownloadError, match="nobody answers"):
        start("timm:mobilenetv3_small_050", CLASSES, fetch=no_fetch)


def test_the_fit_is_the_source_s_own_unless_asked_for(tmp_path: Path) -> None:
    model, config = start("nano", CLASSES, fetch=no_fetch)
    assert config.preprocessing.fit == find_source("nano").config().preprocessing.fit == "crop"
    padded = replace(config, preprocessing=replace(config.preprocessing, fit="pad"))
    save_model_folder(tmp_path / "model", model, padded)
    assert find_source(str(tmp_path)).config().preprocessing.fit == "pad"
    assert start(str(tmp_path), CLASSES, fetch=no_fetch)[1].preprocessing.fit == "pad"
    assert start(str(tmp_path), CLASSES, fetch=no_fetch, fit="crop")[1].preprocessing.fit == "crop"


def test_without_pretrained_weights_a_network_starts_from_its_seed() -> None:
    options = {"fetch": no_fetch, "pretrained": False}
    one, config = start("nano", CLASSES, seed=3, drop_path=0.1, dropout=0.2, **options)
    state = torch.random.get_rng_state()
    two, _ = start("nano", CLASSES, seed=3, **options)
    other, _ = start("nano", CLASSES, seed=4, **options)
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(one.head.weight, two.head.weight)
    assert not torch.equal(one.head.weight, other.head.weight)
    assert (config.architecture, config.card, config.classes) == ("patchconvnet_nano", "nano", CLASSES)
    assert one.blocks[3].drop_path.drop_prob == 0.1
    assert one.pooling.drop.p == 0.2
    assert not torch.equal(one.stem[1].weight, find_source("nano").read(fetch=no_fetch)[0].stem[1].weight)


@pytest.mark.parametrize("kind", ["file", "folder", "timm"])
def test_any_source_can_start_from_random_numbers(kind: str, tmp_path: Path, backbone_folder: Path) -> None:
    write_weights(tmp_path / "w.safetensors", num_classes=3)
    source = str(tmp_path / "w.safetensors") if kind == "file" else str(tmp_path)
    if kind == "timm":
        source = f"timm:local-dir:{backbone_folder}"
    elif kind == "folder":
        model, config = start(str(tmp_path / "w.safetensors"), CLASSES, fetch=no_fetch)
        save_model_folder(tmp_path / "model", model, config)
    trained, facts = start(source, CLASSES, fetch=no_fetch)
    fresh, same_facts = start(source, CLASSES, fetch=no_fetch, pretrained=False)
    assert same_facts == facts
    shapes = {name: tensor.shape for name, tensor in trained.state_dict().items()}
    assert {name: tensor.shape for name, tensor in fresh.state_dict().items()} == shapes
    convolutions = [name for name in shapes if name.endswith("weight") and len(shapes[name]) == 4]
    assert convolutions
    assert not any(torch.equal(trained.state_dict()[name], fresh.state_dict()[name]) for name in convolutions)


@torch.inference_mode()
def test_the_network_inside_the_package_opens_offline_and_through_timm() -> None:
    model, config = find_source("nano").read(fetch=no_fetch)
    theirs = timm.create_model("patchconvnet_nano", pretrained=True).eval()
    images = torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model(images), theirs(images))
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert len(config.classes) == 200


def test_a_card_whose_weights_were_never_released_is_refused() -> None:
    with pytest.raises(ModelError, match=r"l60 has no weights yet: .* never released"):
        find_source("l60").read(fetch=no_fetch)


@pytest.mark.parametrize("form", [".pth", ".safetensors", "published.safetensors"])
@pytest.mark.parametrize("size", [{}, {"class_tokens": True}, {"embed_dim": 40, "depth": 1, "num_classes": 7}])
@torch.no_grad()
def test_the_tensors_of_a_file_tell_the_network(tmp_path: Path, form: str, size: dict) -> None:
    path = tmp_path / f"weights{form}"
    tensors = write_weights(path, published="published" in form, **size)
    model, config = find_source(str(path)).read(fetch=no_fetch)
    assert model.embed_dim == size.get("embed_dim", 16)
    assert len(model.blocks) == size.get("depth", 2)
    assert model.num_classes == len(config.classes) == size.get("num_classes", 4)
    assert torch.equal(model.state_dict()["blocks.0.gamma"], tensors["blocks.0.gamma_1"])
    assert not model.training
    assert model(torch.randn(1, 3, 32, 32)).isfinite().all()


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    save_file({"conv1.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match=r"conv1\.weight"):
        find_source(str(tmp_path / "other.safetensors")).read(fetch=no_fetch)
    with pytest.raises(ModelError, match="cannot predict"):
        find_source("timm:resnet50").read(fetch=no_fetch)


def test_a_card_gets_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    write_weights(path, embed_dim=192, depth=16, num_classes=1000)
    with pytest.raises(ModelError, match="holds nano, the card is s60"):
        find_source("s60").read(fetch=Gives(path))


def test_imagenet_classes_have_names_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    write_weights(path, num_classes=1000)
    _, config = find_source(str(path)).read(fetch=no_fetch)
    assert len(set(config.classes)) == 1000
    assert config.classes[0] == "tench"
    cranes = [i for i, name in enumerate(config.classes) if name.startswith("crane (")]
    assert config.classes[cranes[0]] == f"crane ({ImageNetInfo().index_to_label_name(cranes[0])})"
    assert len(cranes) == 2


@pytest.mark.parametrize("class_tokens", [False, True])
@torch.no_grad()
def test_a_folder_keeps_its_head_for_the_same_classes_by_name(tmp_path: Path, class_tokens: bool) -> None:
    write_weights(tmp_path / "w.safetensors", num_classes=3, class_tokens=class_tokens)
    model, config = start(str(tmp_path / "w.safetensors"), CLASSES, fetch=no_fetch)
    save_model_folder(tmp_path / "model", model, config)
    images = torch.randn(2, 3, 48, 48)
    expected = model.eval()(images)
    again, _ = start(str(tmp_path / "model"), CLASSES, fetch=no_fetch)
    assert torch.equal(again.eval()(images), expected)
    moved, facts = start(str(tmp_path), ("tulip", "daisy", "rose"), fetch=no_fetch)  # a run, its model/ inside
    assert facts.classes == ("tulip", "daisy", "rose")
    torch.testing.assert_close(moved.eval()(images), expected[:, [2, 0, 1]])
    new, facts = start(str(tmp_path / "model"), ("oak", "daisy", "rose"), fetch=no_fetch)
    assert facts.classes == ("oak", "daisy", "rose")
    assert not torch.equal(new.head.weight, again.head.weight)
    assert torch.equal(new.blocks[0].gamma, again.blocks[0].gamma)


def test_a_source_is_described_without_a_download(backbone_folder: Path, tmp_path: Path) -> None:
    source = find_source("s60-384")
    assert (source.name, source.config().preprocessing.height, source.parameters) == ("s60-384", 384, 25_231_096)
    assert source.download_bytes == 4 * source.parameters
    assert find_source("nano").download_bytes == 0
    source = find_source(f"timm:local-dir:{backbone_folder}")
    preprocessing = source.config().preprocessing
    assert (source.name, preprocessing.height, preprocessing.crop_pct) == ("mobilenetv3_small_050", 96, 0.9)
    assert source.download_bytes == 0
    write_weights(tmp_path / "w.safetensors")
    model, config = start(str(tmp_path / "w.safetensors"), CLASSES, fetch=no_fetch)
    save_model_folder(tmp_path / "model", model, config)
    assert find_source(str(tmp_path)).parameters == sum(parameter.numel() for parameter in model.parameters())
    with pytest.raises(ModelError, match="no model called"):
        find_source("s61")


@torch.no_grad()
def test_a_published_pth_gives_the_golden_logits(shared: Path, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("fill", shared / "golden" / "fill.py")
    assert spec
    assert spec.loader
    fill = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fill)
    shapes = PatchConvNetSpec(embed_dim=64, depth=3, num_classes=10).shapes()
    tensors = {f"module.{name}": torch.from_numpy(fill.parameter(name, shape)) for name, shape in shapes.items()}
    torch.save({"model": tensors}, tmp_path / "tiny.pth")
    golden = np.load(shared / "golden" / "tiny_2x96x96_seed0.npz")
    model, config = find_source(str(tmp_path / "tiny.pth")).read(fetch=no_fetch)
    attended = model.attend(torch.from_numpy(fill.images(2, 96, 96, seed=0)))
    assert isinstance(config, ModelConfig)
    assert np.abs(attended.logits.numpy() - golden["logits"]).max() <= 2e-5
    assert np.abs(attended.weights.numpy() - golden["attention"]).max() <= 1e-6


def test_the_real_backbone_is_read(shared: Path) -> None:
    source = f"timm:local-dir:{shared / 'weights' / 'mobilenetv2_100'}"
    model, config = start(source, CLASSES, fetch=no_fetch)
    assert config.model_args == {
        "backbone": "mobilenetv2_100",
        "pooling_rank": 64,
        "backbone_args": {"pad_type": "same"},
    }
    assert config.patch_grid == PatchGrid(stride=32.0, offset=31.5)
    assert model.num_features == 1280
    assert find_card("s60").name not in config.card


def rewrite_tensors(folder: Path, change) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file(change(tensors), folder / "model.safetensors")


def without(*ends: str):
    return lambda tensors: {name: one for name, one in tensors.items() if not name.endswith(ends)}


def prefixed(prefix: str):
    return lambda tensors: {prefix + name: one for name, one in tensors.items()}


@torch.no_grad()
@pytest.mark.parametrize(
    "change",
    [
        without("num_batches_tracked"),
        without("bn1.num_batches_tracked"),
        prefixed("module."),
        prefixed("_orig_mod."),
        prefixed("module._orig_mod."),
    ],
    ids=["no counters", "some counters", "data parallel", "compiled", "both"],
)
def test_a_backbone_as_other_programs_write_it_is_read(backbone_folder: Path, change) -> None:
    """timm loads such files, as converters of other frameworks write them; they were refused once photos were read."""
    images = torch.randn(2, 3, 96, 96)
    whole, _ = start(f"timm:local-dir:{backbone_folder}", CLASSES, fetch=no_fetch)
    rewrite_tensors(backbone_folder, change)
    model, _ = start(f"timm:local-dir:{backbone_folder}", CLASSES, fetch=no_fetch)
    assert torch.equal(model.eval()(images), whole.eval()(images))


@torch.no_grad()
def test_tables_that_a_backbone_makes_for_itself_may_miss_or_stand_for_nothing(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = timm.create_model("swin_tiny_patch4_window7_224", depths=(1, 1, 1, 1), embed_dim=24, num_classes=2)
    state = network.state_dict()
    index = network.layers[0].blocks[0].attn.relative_position_index.clone()
    path = tmp_path / "swin.safetensors"
    settings = {"depths": [1, 1, 1, 1], "embed_dim": 24}
    config = {"architecture": "swin_tiny_patch4_window7_224", "num_classes": 2, "model_args": settings,
              "pretrained_cfg": {"input_size": [3, 224, 224], "classifier": "head.fc"}}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    outputs = []
    for more in (
        {},
        {"layers.0.blocks.0.attn.relative_position_index": index, "layers.0.blocks.0.attn_mask": index.clone()},
    ):
        path = tmp_path / "model.safetensors"
        save_file({name: one.contiguous() for name, one in (state | more).items()}, path)
        model, _ = start(f"timm:local-dir:{tmp_path}", CLASSES, fetch=no_fetch)
        outputs.append(model.eval().forward_features(torch.ones(1, 3, 224, 224)))
    assert torch.equal(*outputs)


@pytest.mark.parametrize("end", ["running_mean", "running_var", "bn1.weight", "conv_stem.weight"])
def test_what_carries_knowledge_may_not_miss(backbone_folder: Path, end: str) -> None:
    rewrite_tensors(backbone_folder, without(end))
    with pytest.raises(ModelError, match=f"{end} is missing"):
        start(f"timm:local-dir:{backbone_folder}", CLASSES, fetch=no_fetch)


@pytest.mark.parametrize(
    ("timms", "fit", "crop_pct"),
    [
        ({"crop_mode": "center"}, "crop", 0.9),
        ({"crop_mode": None}, "crop", 0.9),
        ({"crop_mode": "squash"}, "squash", 1.0),
        ({"crop_mode": "border"}, "pad", 1.0),
        ({"crop_mode": "squash", "crop_pct": 0.95}, "squash", 1.0),
    ],
)
def test_the_crop_mode_of_timm_is_honoured(backbone_folder: Path, timms, fit: str, crop_pct: float) -> None:
    """EVA, SigLIP and many ConvNeXts squash their photos; theirs were cropped, so their borders were lost."""
    edit_cfg(backbone_folder, **timms)
    source = find_source(f"timm:local-dir:{backbone_folder}")
    preprocessing = source.config().preprocessing
    assert (preprocessing.fit, preprocessing.crop_pct) == (fit, crop_pct)
    assert start(source_name(backbone_folder), CLASSES, fetch=no_fetch)[1].preprocessing.fit == fit
    assert start(source_name(backbone_folder), CLASSES, fetch=no_fetch, fit="crop")[1].preprocessing.fit == "crop"


def test_every_crop_mode_that_timm_names_is_known() -> None:
    modes = {(get_pretrained_cfg(name) or Gives()).__dict__.get("crop_mode") for name in timm.list_models()}
    assert modes - {None} <= {"center", "squash", "border"}
    assert len(modes) > 1


@pytest.mark.parametrize(
    "timms",
    [
        {"crop_mode": "fold"},
        {"input_size": [3, 10**9, 96]},
        {"input_size": "large"},
        {"mean": [0.5, "x", 0.5]},
        {"mean": 0.5},
        {"std": [0.0, 1.0, 1.0]},
        {"crop_pct": "all"},
        {"crop_pct": 1e400},
    ],
    ids=str,
)
def test_facts_of_a_backbone_that_make_no_sense_are_refused(backbone_folder: Path, timms) -> None:
    edit_cfg(backbone_folder, **timms)
    with pytest.raises(ModelError):
        find_source(source_name(backbone_folder)).config()


@pytest.mark.parametrize(
    "settings", [{"channel_multiplier": 1e9}, {"depth_multiplier": 10**12}, {"pad_type": "x" * 2000}]
)
def test_settings_of_a_backbone_are_bounded(backbone_folder: Path, settings) -> None:
    path = backbone_folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_args": settings}))
    with pytest.raises(ModelError, match="too large or too deep"):
        find_source(source_name(backbone_folder))


def source_name(folder: Path) -> str:
    return f"timm:local-dir:{folder}"


def edit_cfg(folder: Path, **changes) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["pretrained_cfg"] |= changes
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("name", ["head.1000000000000.weight", "blocks.1000000000000.norm1.weight"])
def test_numbers_in_names_of_tensors_are_no_loops(tmp_path: Path, name: str) -> None:
    for class_tokens in (False, True):
        path = tmp_path / f"{class_tokens}.safetensors"
        tensors = write_weights(path, published=True, class_tokens=class_tokens)
        save_file({key: one.contiguous() for key, one in tensors.items()} | {name: torch.zeros(1, 16)}, path)
        with pytest.raises(ModelError):
            start(str(path), CLASSES, fetch=no_fetch)
