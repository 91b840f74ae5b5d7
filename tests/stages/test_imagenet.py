"""A card on a made ImageNet of 1,000 synsets: figures by hand, the verdict, and what the card keeps."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from typer.testing import CliRunner

from pcn_cli.cli.app import app
from pcn_cli.data.load.loaders import preprocess
from pcn_cli.data.load.open_image import open_photo
from pcn_cli.data.scan.imagenet import synsets
from pcn_cli.errors import ModelError, RecipeError
from pcn_cli.models import zoo
from pcn_cli.models.build import register_network
from pcn_cli.models.patchconvnet import PatchConvNet
from pcn_cli.models.published import PatchConvNetSpec, to_published
from pcn_cli.models.reproduction import read_reproduction, reproduction_path
from pcn_cli.models.sources import find_source
from pcn_cli.models.weights import Fetcher, import_weights
from pcn_cli.models.zoo import Card
from pcn_cli.records import imagenet as records
from pcn_cli.records.imagenet import Protocol, Reproduction
from pcn_cli.records.model import Preprocessing
from pcn_cli.stages.imagenet import describe_reproduction, evaluate_imagenet, knows_imagenet, tell_protocol

SIDE, WIDTH = 32, 16


class SmallSpec(PatchConvNetSpec):
    """A PatchConvNet with a name of its own in timm."""

    architecture = "patchconvnet_thousand"


def patchconvnet_thousand(
    pretrained=False, pretrained_cfg=None, pretrained_cfg_overlay=None, cache_dir=None, **options
):
    """A network small enough to see 1,000 photos in a moment."""
    return PatchConvNet(**{"embed_dim": WIDTH, "depth": 1, "layer_scale": 0.1, **options})


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small photo in each of 1,000 folders."""
    root, rng = tmp_path_factory.mktemp("imagenet"), np.random.default_rng(0)
    for number, synset in enumerate(synsets()):
        (root / synset).mkdir()
        pixels = rng.integers(0, 256, (5, 6 + number % 3, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((44, 40)).save(root / synset / f"{number}.JPEG", quality=90)
    return root


@pytest.fixture(scope="module")
def prepared(imagenet: Path) -> dict[float, torch.Tensor]:
    """All photos in the order of the classes, as each crop prepares them: (1000, 3, 32, 32)."""
    opened = [open_photo(imagenet / synset / f"{number}.JPEG") for number, synset in enumerate(synsets())]
    ways = {crop: Preprocessing(height=SIDE, width=SIDE, crop_pct=crop) for crop in (0.875, 1.0)}
    return {
        crop: torch.from_numpy(np.stack([preprocess(photo, how) for photo in opened])) for crop, how in ways.items()
    }


@pytest.fixture(scope="module")
def network(prepared: dict[float, torch.Tensor]) -> PatchConvNet:
    """A network whose head was solved on the photos as crop 1.0 prepares them: no figure is by chance."""
    torch.manual_seed(0)
    made = patchconvnet_thousand(num_classes=1000).eval()
    with torch.no_grad():
        features = made.forward_head(made.forward_features(prepared[1.0]), pre_logits=True)
        middle = features.mean(0)
        centred = (features - middle).double()
        weights = torch.linalg.solve(
            centred.T @ centred + 3e-3 * centred.square().sum() / WIDTH * torch.eye(WIDTH), centred.T
        )  # (d, 1000): one-hot
        made.head.weight.copy_(weights.T)
        made.head.bias.copy_(-(made.head.weight @ middle))
    return made


@pytest.fixture
def card(network: PatchConvNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Card]:
    """The card of this network among the others, its weights in an own cache."""
    monkeypatch.setenv("PCN_CACHE", str(tmp_path / "cache"))
    register_network(patchconvnet_thousand, embed_dim=WIDTH, depth=1, class_tokens=False)
    made = Card(
        name="thousand",
        tag="test",
        network=SmallSpec(embed_dim=WIDTH, depth=1, num_classes=1000, class_tokens=False),
        preprocessing=Preprocessing(height=SIDE, width=SIDE),
        url="http://127.0.0.1:9/thousand.pth",
        top1=50.0,
    )
    monkeypatch.setattr(zoo, "CARDS", (made, *zoo.CARDS))
    torch.save({"model": to_published(network.state_dict())}, tmp_path / "thousand.pth")
    import_weights(tmp_path / "thousand.pth", made)
    yield made
    timm.models._registry._model_entrypoints.pop(patchconvnet_thousand.__name__, None)


def count_right(network: PatchConvNet, images: torch.Tensor, *, half: bool = False) -> list[float]:
    """Top-1 and top-5 in per cent."""
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        first = network(images).topk(5).indices == torch.arange(len(images))[:, None]
    return [100 * first[:, 0].float().mean().item(), 100 * first.any(1).float().mean().item()]


def test_figures_of_both_crops_are_those_of_the_network(imagenet, prepared, network, card):
    assert knows_imagenet("thousand", imagenet)
    measured = evaluate_imagenet("thousand", imagenet, device="cpu", batch_size=100)
    assert (measured.photos, measured.synsets, measured.published) == (1000, 1000, 50.0)
    assert [(one.crop_pct, one.precision) for one in measured.protocols] == [
        (0.875, "float32"), (0.875, "bfloat16"), (1.0, "float32"), (1.0, "bfloat16")
    ]  # fmt: skip
    for one in measured.protocols:
        expected = count_right(network, prepared[one.crop_pct], half=one.precision == "bfloat16")
        allowed = 0.11 if one.precision == "float32" else 1  # ties of half precision fall as they like
        assert [one.top1, one.top5] == pytest.approx(expected, abs=allowed)
        assert one.low < one.top1 < one.high
    figures = [one.top1 for one in measured.protocols]
    assert figures[2] > figures[0] + 3  # the crop that the head was solved for
    assert figures[0] != figures[1]  # half precision is another way of computing
    assert "say nothing of the published 50.0 %" in tell_protocol(measured)
    assert read_reproduction(card) is None


def test_the_crop_that_gives_the_published_figure_is_recorded(imagenet, prepared, network, card, monkeypatch):
    published = round(count_right(network, prepared[1.0])[0], 1)
    known = replace(card, top1=published)
    monkeypatch.setattr(zoo, "CARDS", (known, *zoo.CARDS[1:]))
    monkeypatch.setattr(records, "WHOLE", 1000)
    assert find_source("thousand").config().preprocessing.crop_pct == 0.875
    measured = evaluate_imagenet("thousand", imagenet, record=True, device="cpu", batch_size=250)
    assert measured.matching[0].crop_pct == measured.crop_pct == 1.0
    assert "is reproduced by crop 1 in float32" in tell_protocol(measured)
    assert find_source("thousand").config().preprocessing == replace(card.preprocessing, crop_pct=1.0)
    _, config = find_source("thousand").read(fetch=Fetcher(offline=True))
    assert config.preprocessing.crop_pct == 1.0
    assert describe_reproduction(measured)["matching"][0]["top1"] == pytest.approx(published, abs=0.051)
    # Weights that were not measured are prepared as the card says.
    path = reproduction_path(card)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"weights_sha256": "0" * 64}))
    assert find_source("thousand").config().preprocessing.crop_pct == 0.875
    path.write_text("{")
    with pytest.raises(ModelError, match=r"imagenet.json is damaged"):
        find_source("thousand").config()


def protocol(top1: float, crop_pct: float = 0.875) -> Protocol:
    return Protocol(crop_pct=crop_pct, precision="float32", top1=top1, top5=95, low=top1 - 0.3, high=top1 + 0.3)


@pytest.mark.parametrize(
    ("figures", "photos", "matching"),
    [
        ((82.06, 82.14), 50_000, [82.06, 82.14]),
        ((82.16, 82.12), 50_000, [82.12]),
        ((82.3, 81.9), 50_000, []),
        ((82.1, 82.1), 49_999, []),
    ],
)
def test_only_all_photos_reproduce_a_figure_to_its_last_place(figures, photos, matching):
    measured = Reproduction(
        card="c", weights_sha256="", device="cpu", photos=photos, synsets=1000, published=82.1,
        protocols=tuple(protocol(one, crop) for one, crop in zip(figures, (0.875, 1.0), strict=True)),
    )  # fmt: skip
    assert [one.top1 for one in measured.matching] == pytest.approx(sorted(matching, key=lambda one: abs(one - 82.1)))


def test_what_knows_other_classes_is_measured_as_before(imagenet, card, tmp_path):
    assert not knows_imagenet("nano", imagenet)
    assert not knows_imagenet(None, imagenet)
    with pytest.raises(ModelError, match=r"nano does not tell ImageNet's 1,000 classes apart"):
        evaluate_imagenet("nano", imagenet)
    loose = tmp_path / "thousand.pth"
    assert knows_imagenet(loose, imagenet)
    with pytest.raises(RecipeError, match=r"no card of `pcn models list`"):
        evaluate_imagenet(loose, imagenet, record=True)


def test_the_command_shows_the_figures_and_keeps_them(imagenet, card):
    # 50 of the photos, in the flat form with Kaggle's table.
    folder = imagenet.parent / "flat" / "val"
    folder.mkdir(parents=True)
    rows = ["ImageId,PredictionString"]
    for number, synset in enumerate(synsets()[:50]):
        name = f"ILSVRC2012_val_{number + 1:08}"
        shutil.copy(imagenet / synset / f"{number}.JPEG", folder / f"{name}.JPEG")
        rows.append(f"{name},{synset} 1 2 3 4")
    (folder.parent / "LOC_val_solution.csv").write_text("\n".join(rows))

    def pcn(*words: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, [*words], catch_exceptions=True)
        return result.exit_code, result.stdout, result.stderr

    code, shown, told = pcn("evaluate", "thousand", "--images", str(folder), "--record", "--device", "cpu")
    assert code == 0, told
    assert "50 photos of 50 classes, on cpu" in shown
    assert "50 of 50,000 photos say nothing of the published 50.0 %" in shown
    assert "keeps these figures, and its own crop" in told
    code, shown, _ = pcn("models", "info", "thousand")
    assert code == 0
    assert "at crop 0.875 in float32" in shown
    code, shown, _ = pcn("evaluate", "thousand", "--images", str(folder), "--json", "--device", "cpu")
    assert code == 0
    assert [one["crop_pct"] for one in json.loads(shown)["protocols"]] == [0.875, 0.875, 1.0, 1.0]
    for words, error in (
        (["evaluate", "thousand", "--images", str(folder), "--output", "run"], "--output has no effect on ImageNet"),
        (["evaluate", "nano", "--images", str(imagenet), "--record"], "--record has no effect but for a card"),
        (["evaluate", "--record"], "--record has no effect but for a card"),
    ):
        result = CliRunner().invoke(app, words)
        assert isinstance(result.exception, RecipeError)
        assert error in result.exception.message
