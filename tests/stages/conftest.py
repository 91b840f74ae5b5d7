"""Small real things: photos that can be told apart, and a published-layout weight file of a tiny network."""

from pathlib import Path

import pytest
import torch

from pcn_cli.models.published import Architecture, published_shapes


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `.pth` in the published layout: embed_dim 32, depth 2, 10 classes."""
    generator = torch.Generator().manual_seed(0)
    shapes = published_shapes(Architecture(embed_dim=32, depth=2, num_classes=10, class_tokens=False))
    tensors = {name: 0.2 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    tensors = {
        name: 1 + tensor if "norm" in name and name.endswith("weight") else tensor for name, tensor in tensors.items()
    }
    path = tmp_path_factory.mktemp("weights") / "tiny.pth"
    torch.save({"model": tensors}, path)
    return path


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weights cache and a working folder of the test's own."""
    monkeypatch.setenv("PCN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "cache"
