"""Small real things: photos that can be told apart, and a published-layout weight file of a tiny network."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pcn_cli.data.drawing import HUES, develop, draw_ground, draw_thing
from pcn_cli.models.published import PatchConvNetSpec


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weight file in the published layout: embed_dim 32, depth 2, 10 classes."""
    generator = torch.Generator().manual_seed(0)
    shapes = PatchConvNetSpec(embed_dim=32, depth=2, num_classes=10, class_tokens=False).shapes()
    tensors = {name: 0.2 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    tensors = {
        name: 1 + tensor if "norm" in name and name.endswith("weight") else tensor for name, tensor in tensors.items()
    }
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_file(tensors, path)
    return path


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weights cache and a working folder of the test's own."""
    monkeypatch.setenv("PCN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def several_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 drawn photos with up to four things each, and a table that names them; in some there is none."""
    folder = tmp_path_factory.mktemp("several") / "photos"
    folder.mkdir()
    lines = ["file,labels"]
    for number in range(120):
        rng = np.random.default_rng([7, number])
        names = [name for name, chance in zip(HUES, (0.5, 0.4, 0.3, 0.25), strict=True) if rng.random() < chance]
        photo = draw_ground(144, 144, rng)
        for name, corner in zip(names, rng.permutation(4), strict=False):
            thing = draw_thing(name, int(rng.integers(48, 68)), rng)
            left, top = ((corner % 2) * 72 + int(rng.integers(4)), (corner // 2) * 72 + int(rng.integers(4)))
            photo.paste(thing, (left, top), thing)
        develop(photo, rng).save(folder / f"{number:03}.jpg", quality=90)
        lines.append(f"{number:03}.jpg,{';'.join(names)}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
