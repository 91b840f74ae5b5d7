"""The pass that gives scores and maps."""

import pytest
import torch

from pcn_cli.errors import ResourceError
from pcn_cli.models.sources import find_source
from pcn_cli.models.weights import Fetcher
from pcn_cli.recipe.schema import DataSection, Recipe
from pcn_cli.stages.inference.load import LoadedModel
from pcn_cli.stages.inference.score import score_photos


def test_too_little_memory_is_said_with_what_helps(photo_folder, tiny_weights, monkeypatch) -> None:
    recipe = Recipe(data=DataSection(size=64))
    network, config = find_source(str(tiny_weights)).start(("a", "b"), recipe, fetch=Fetcher(offline=True))

    def attend(_: torch.Tensor) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(network, "attend", attend)
    files = sorted(str(path.relative_to(photo_folder)) for path in photo_folder.rglob("*.jpg"))
    assert files
    model = LoadedModel(network=network, config=config, device=torch.device("cpu"))
    scored = score_photos(model, photo_folder, files, batch_size=4, workers=0)
    with pytest.raises(ResourceError, match="the memory ran out while photos were scored") as caught:
        next(scored)
    assert "evaluate.batch_size=8" in caught.value.hint
