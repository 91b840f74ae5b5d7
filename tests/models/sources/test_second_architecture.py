"""A card of another architecture needs its network, what its files hold, and nothing elsewhere."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
import timm
import torch
from timm.models import build_model_with_cfg, generate_default_cfgs
from torch import Tensor, nn
from typer.testing import CliRunner

from pcn_cli.cli.app import app
from pcn_cli.errors import ModelError
from pcn_cli.models import zoo
from pcn_cli.models.build import register_network
from pcn_cli.models.head import AttentionNetwork, make_head
from pcn_cli.models.pooling import AttentionPooling
from pcn_cli.models.sources import find_source
from pcn_cli.models.sources.folder import load_model_folder, save_model_folder
from pcn_cli.models.weights import Fetcher, import_weights
from pcn_cli.models.zoo import CARDS, Card
from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.model import PatchGrid, Preprocessing
from pcn_cli.stages import models as stage


class Tiles(AttentionNetwork):
    """One convolution over tiles of 32 pixels, then attention pooling."""

    pooling_prefixes = ("pooling.", "norm.", "head.")

    def __init__(self, *, width: int = 8, num_classes: int = 5, in_chans: int = 3, **_: object) -> None:
        super().__init__()
        self.num_classes, self.class_tokens, self.num_features, self.head_hidden_size = num_classes, False, width, width
        self.tiles = nn.Conv2d(3, width, 32, stride=32)
        self.pooling = AttentionPooling(width, drop_rate=0.0)
        self.norm = nn.LayerNorm(width)
        self.head = make_head(width, num_classes)

    def measure_patch_grid(self, height: int, width: int) -> PatchGrid:
        return PatchGrid(stride=32.0, offset=16.0)

    def forward_trunk(self, images: Tensor) -> Tensor:
        return self.tiles(images)


@dataclass(frozen=True)
class TilesSpec:
    """Which of them; the published names say `net.` before each of ours."""

    width: int = 8
    num_classes: int = 5
    class_tokens: bool = False
    architecture: str = "tiles_tiny"
    name: str = "tiles"

    @property
    def settings(self) -> dict[str, int]:
        return {"width": self.width}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        network = Tiles(width=self.width, num_classes=self.num_classes)
        return {f"net.{name}": tuple(tensor.shape) for name, tensor in network.state_dict().items()}

    def recognise(self, tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], "TilesSpec"]:
        ours = {name.removeprefix("net."): tensor for name, tensor in tensors.items()}
        if "tiles.weight" not in ours:
            raise ModelError("these are no tiles")
        return ours, TilesSpec(width=len(ours["tiles.weight"]), num_classes=len(ours["head.bias"]))


default_cfgs = generate_default_cfgs({"tiles_tiny": {"classifier": "head"}})


def tiles_tiny(pretrained: bool = False, **options) -> Tiles:
    return build_model_with_cfg(Tiles, "tiles_tiny", pretrained, **options)


CARD = Card(
    name="tiles",
    network=TilesSpec(),
    tag="test",
    preprocessing=Preprocessing(height=64, width=64, mean=(0.5, 0.5, 0.5)),
    url="http://127.0.0.1:9/tiles.pth",
    paper="",
)


@pytest.fixture(autouse=True)
def tiles_on_the_shelf(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    register_network(tiles_tiny, width=8, class_tokens=False)
    for place in (zoo, stage):
        monkeypatch.setattr(place, "CARDS", (*CARDS, CARD))
    yield
    registry = timm.models._registry
    for known in (registry._model_entrypoints, registry._model_to_module):
        known.pop("tiles_tiny")


@pytest.fixture
def pth(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    torch.save({"model": {f"net.{name}": one for name, one in Tiles().state_dict().items()}}, tmp_path / "tiles.pth")
    return tmp_path / "tiles.pth"


def test_it_is_listed_imported_started_saved_and_read(pth: Path, tmp_path: Path) -> None:
    listed = json.loads(CliRunner().invoke(app, ["models", "list", "--json"]).stdout)[-1]
    assert (listed["name"], listed["width"], listed["parameters"]) == ("tiles", 8, CARD.parameters)
    assert "parameters" in CliRunner().invoke(app, ["models", "info", "tiles"]).stdout
    stored = import_weights(pth, card=CARD)
    assert (stored.record.network, stored.record.num_classes) == ("tiles", 5)
    source, fetch = find_source("tiles"), Fetcher(offline=True)
    source.check_available(offline=True)
    side = source.config().preprocessing.height
    assert (side, source.parameters, source.download_bytes) == (64, CARD.parameters, 0)
    read, config = source.read(fetch=fetch)
    images = torch.randn(2, 3, 64, 96)
    assert torch.equal(read.tiles.weight, torch.load(pth)["model"]["net.tiles.weight"])
    assert read.attend(images).grid == (2, 3)
    model, config = source.start(("oak", "elm"), Recipe(), fetch=fetch)
    assert (config.patch_grid, config.preprocessing.mean) == (PatchGrid(stride=32.0, offset=16.0), (0.5, 0.5, 0.5))
    save_model_folder(tmp_path / "model", model, config)
    again, found = load_model_folder(tmp_path / "model")
    assert found == config
    assert torch.equal(again(images), model.eval()(images))


def test_weights_of_another_network_are_refused(pth: Path, tmp_path: Path) -> None:
    wide = Tiles(width=16).state_dict()
    torch.save({f"net.{name}": one for name, one in wide.items()}, tmp_path / "wide.pth")
    with pytest.raises(ModelError, match="this file holds Tiles, the card is Tiles"):
        import_weights(tmp_path / "wide.pth", card=CARD)
    torch.save({"a": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match="these are no tiles"):
        import_weights(tmp_path / "other.pth", card=CARD)
    assert asdict(CARD.network)["width"] == 8
