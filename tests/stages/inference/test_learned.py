from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from pcn_cli.data.drawing import draw_photos
from pcn_cli.data.load.loaders import PhotoBatches, PhotoDataset
from pcn_cli.errors import ModelError
from pcn_cli.metrics.unlike import Learned
from pcn_cli.models.weights import Fetcher
from pcn_cli.stages.answers import UNLIKE, answer_of
from pcn_cli.stages.inference.learned import LEARNED, read_learned, write_learned
from pcn_cli.stages.inference.load import open_model
from pcn_cli.stages.inference.score import score_photos


@pytest.fixture(scope="module")
def nano():
    return open_model("nano", fetch=Fetcher(offline=True))


def score(model, root):
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.*"))
    return [one.prediction for one in score_photos(model, root, files, batch_size=8, workers=0)]


def mean_tokens(model, root):
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.jpg"))
    batches = PhotoBatches(PhotoDataset(root, files, preprocessing=model.config.preprocessing), batch_size=8, workers=0)
    cpu = torch.device("cpu")
    with torch.inference_mode():
        tokens = [model.network.forward_features(one.inputs(cpu)).mean((2, 3)) for one in batches.batches()]
    return torch.cat(tokens).numpy()


def test_what_a_model_remembers_lies_beside_it_and_comes_back(nano, tmp_path):
    features = np.random.default_rng(0).normal(size=(60, nano.network.num_features)).astype("f4")
    learned = Learned.of(features[:30], features[30:], ["a"] * 30, seed=0)
    write_learned(tmp_path, learned)
    again = read_learned(tmp_path, nano.network)
    assert np.allclose(again.features, learned.features, atol=1e-3)
    assert again.bound == learned.bound
    (tmp_path / LEARNED).unlink()
    assert read_learned(tmp_path, nano.network) is None


def test_what_another_network_remembers_is_refused(nano, tmp_path):
    features = np.eye(30, 7, dtype="f4")
    write_learned(tmp_path, Learned.of(features, features, ["a"] * 30, seed=0))
    with pytest.raises(ModelError, match="does not belong to this network"):
        read_learned(tmp_path, nano.network)


def test_noise_is_unlike_drawn_things_and_the_answer_says_so(nano, tmp_path):
    draw_photos(tmp_path / "own", {"train": 6, "val": 5, "test": 3}, seed=0)
    (tmp_path / "noise").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (6, 200, 200, 3), dtype=np.uint8)
    for number, one in enumerate(pixels):
        Image.fromarray(one).save(tmp_path / "noise" / f"{number}.png")
    train, val = (mean_tokens(nano, tmp_path / "own" / part) for part in ("train", "val"))
    model = replace(nano, learned=Learned.of(train, val, ["a"] * len(train), seed=0))
    strange, own = score(model, tmp_path / "noise"), score(model, tmp_path / "own" / "test")
    assert all(one.is_unlike for one in strange)
    assert sum(one.is_unlike for one in own) <= 3
    answer = answer_of(strange[0], model.config, top=1)
    assert answer["reason"] == UNLIKE
    assert answer["label"] == strange[0].predicted
    refused = answer_of(strange[0], model.config, top=1, refuse_unlike=True)
    assert (refused["label"], refused["unknown"], refused["reason"]) == ("unknown", True, UNLIKE)
    assert score(nano, tmp_path / "noise")[0].unlike is None
