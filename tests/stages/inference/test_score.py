"""The pass that gives scores and maps."""

import numpy as np
import pytest
import torch

from pcn_cli.data.load.loaders import PhotoBatches, PhotoDataset
from pcn_cli.errors import ResourceError
from pcn_cli.metrics.unlike import Learned
from pcn_cli.models.sources import find_source
from pcn_cli.models.weights import Fetcher
from pcn_cli.recipe.schema import DataSection, Recipe
from pcn_cli.stages.inference import score
from pcn_cli.stages.inference.hiding import Hiding, choose_hiding
from pcn_cli.stages.inference.load import LoadedModel, for_inference
from pcn_cli.stages.inference.score import decide_batch, score_photos
from pcn_cli.training.stop import StopRequest
from pcn_cli.training.tokens import cache_tokens


def test_too_little_memory_is_said_with_what_helps(photo_folder, tiny_weights, monkeypatch) -> None:
    recipe = Recipe(data=DataSection(size=64))
    network, config = find_source(str(tiny_weights)).start(("a", "b"), recipe, fetch=Fetcher(offline=True))

    def compute(_: torch.Tensor, **__: bool) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(network, "attend_tokens", compute)
    files = sorted(str(path.relative_to(photo_folder)) for path in photo_folder.rglob("*.jpg"))
    assert files
    model = LoadedModel(network=network, config=config, device=torch.device("cpu"))
    scored = score_photos(model, photo_folder, files, batch_size=4, workers=0)
    with pytest.raises(ResourceError, match="the memory ran out while photos were scored") as caught:
        next(scored)
    assert "evaluate.batch_size=8" in caught.value.hint


def test_values_are_formed_only_where_patches_are_hidden(photo_folder, tiny_weights, monkeypatch) -> None:
    recipe, formed = Recipe(data=DataSection(size=64)), []
    network, config = find_source(str(tiny_weights)).start(("a", "b"), recipe, fetch=Fetcher(offline=True))
    value = network.pooling.value
    monkeypatch.setattr(network.pooling, "value", lambda tokens: formed.append(len(tokens)) or value(tokens))
    model = LoadedModel(network=network, config=config, device=torch.device("cpu"))
    files = sorted(str(path.relative_to(photo_folder)) for path in photo_folder.rglob("*.jpg"))[:6]
    plain = list(score_photos(model, photo_folder, files, batch_size=4, workers=0))
    assert formed == []
    hiding = list(score_photos(model, photo_folder, files, batch_size=4, workers=0, hiding=Hiding(seed=0)))
    assert formed == [4, 2]
    for one, other in zip(plain, hiding, strict=True):
        assert one.prediction.probabilities == other.prediction.probabilities
        assert np.array_equal(one.look, other.look)


def test_a_decision_is_that_of_the_prediction_without_the_numbers(photo_folder, tiny_weights, monkeypatch) -> None:
    recipe = Recipe(data=DataSection(size=64))
    network, config = find_source(str(tiny_weights)).start(("a", "b"), recipe, fetch=Fetcher(offline=True))
    features = np.eye(30, network.embed_dim, dtype=np.float32)
    learned = Learned(features, np.linspace(0.1, 0.9, 40, dtype=np.float32))
    model = LoadedModel(network=network.eval(), config=config, device=torch.device("cpu"), learned=learned)
    files = sorted(str(path.relative_to(photo_folder)) for path in photo_folder.rglob("*.jpg"))[:3]
    scored = list(score_photos(model, photo_folder, files, batch_size=3, workers=0))
    dataset = PhotoDataset(photo_folder, files, preprocessing=config.preprocessing)
    (batch,) = PhotoBatches(dataset, batch_size=3).batches()
    monkeypatch.setattr(score, "attention_numbers", None)
    for one, (decision, look) in zip(scored, decide_batch(model, network, batch), strict=True):
        assert vars(one.prediction).items() >= (vars(decision) | {"file": one.prediction.file}).items()
        assert decision.unlike is not None
        assert np.array_equal(one.look, look)


def test_exact_tokens_give_the_same_scores_and_maps_as_the_photos(photo_folder, tiny_weights, tmp_path) -> None:
    recipe, cpu = Recipe(data=DataSection(size=64)), torch.device("cpu")
    network, config = find_source(str(tiny_weights)).start(("a", "b", "c"), recipe, fetch=Fetcher(offline=True))
    model = LoadedModel(network=network, config=config, device=cpu)
    files = sorted(str(path.relative_to(photo_folder)) for path in photo_folder.rglob("*.jpg"))
    photos = PhotoBatches(PhotoDataset(photo_folder, files, preprocessing=config.preprocessing), batch_size=5)
    options = {"batch_size": 5, "workers": 0, "hiding": choose_hiding(len(files), recipe, model)}
    from_photos = list(score_photos(model, photo_folder, files, **options))
    ready = for_inference(network, cpu)
    with cache_tokens(
        ready, photos, photos=len(files), device=cpu, folder=tmp_path, exact=True, stop=StopRequest()
    ) as tokens:
        from_tokens = list(score_photos(model, tmp_path / "nowhere", files, tokens=tokens, **options))
    assert len(files) == len(from_tokens) == 36
    for one, other in zip(from_photos, from_tokens, strict=True):
        assert (one.index, one.prediction, one.placement) == (other.index, other.prediction, other.placement)
        assert np.array_equal(one.look, other.look)
        assert np.array_equal(one.hidden.evidence, other.hidden.evidence)
        assert np.array_equal(one.hidden.forgotten, other.hidden.forgotten)
