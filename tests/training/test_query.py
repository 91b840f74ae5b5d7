"""Where to look is learned: a query that finds the place that tells classes apart, and no change where none helps."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from pcn_cli.errors import StoppedError
from pcn_cli.models.build import make_model
from pcn_cli.training.logistic import choose_head
from pcn_cli.training.probe import pooled_features, token_probabilities
from pcn_cli.training.query import STRENGTHS, QuerySearch
from pcn_cli.training.stop import StopRequest
from pcn_cli.training.tokens import TokenCache

CPU = torch.device("cpu")
SIZE = {"embed_dim": 16, "depth": 1}


def make_cache(tokens: np.ndarray, targets: np.ndarray, folder: Path) -> TokenCache:
    count = len(targets)
    return TokenCache(
        tokens=tokens.astype(np.float16), targets=targets, indices=np.arange(count),
        sizes=np.full((count, 2), 64), scratch=folder / "no-such-folder",
    )  # fmt: skip


def make_tokens(count: int, *, seed: int = 0, views: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Tokens (N, views, 4, 4, 16): one marked patch tells the class, many others tell another one."""
    rng = np.random.default_rng(seed)
    targets = np.arange(count) % 3
    tokens = rng.normal(size=(count, views, 16, 16))
    for row in range(count):
        for patch in range(16):
            tokens[row, :, patch, rng.integers(0, 3)] += 3
        place = rng.integers(0, 16)
        tokens[row, :, place, :3] = 0
        tokens[row, :, place, targets[row]] += 3
        tokens[row, :, place, 8] += 6  # the mark
    return tokens.reshape(count, views, 4, 4, 16), targets


@pytest.fixture
def model():
    torch.manual_seed(0)
    made = make_model("patchconvnet", 3, SIZE).eval()
    made.pooling.start_averaging()
    return made


def solve(model, train, val):
    features = np.concatenate([pooled_features(model, train, device=CPU, view=view) for view in range(train.views)])
    return choose_head(
        features, np.concatenate([train.targets] * train.views),
        val_features=pooled_features(model, val, device=CPU), val_targets=val.targets, classes=3,
    )  # fmt: skip


def shifts(model, train, head, **options):
    options = {"photo_weights": None, "seed": 0, "stop": StopRequest()} | options
    return list(QuerySearch(model, train, head, **options).shifts())


def test_the_query_finds_the_patch_that_tells_the_classes_apart(model, tmp_path):
    train, val = (make_cache(*make_tokens(150, seed=seed), tmp_path) for seed in (0, 1))
    head = solve(model, train, val)
    before = (head.probabilities(pooled_features(model, val, device=CPU)).argmax(1) == val.targets).mean()
    found = shifts(model, train, head)
    assert len(found) == len(STRENGTHS)
    assert [float(shift.norm()) for shift in found] == sorted(float(shift.norm()) for shift in found)
    model.pooling.shift_query(found[-1])
    head = solve(model, train, val)
    after = (head.probabilities(pooled_features(model, val, device=CPU)).argmax(1) == val.targets).mean()
    assert before < 0.65
    assert after > 0.85
    weights = model.attend_tokens(val.read(np.arange(len(val)))).weights[:, 0, 1:]
    marked = torch.from_numpy(val.tokens[:, 0, :, :, 8].reshape(len(val), -1).astype(np.float32)).argmax(1)
    assert (weights.argmax(1) == marked).float().mean() > 0.85
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(head.weight))
        model.head.bias.copy_(torch.from_numpy(head.bias))
    np.testing.assert_allclose(
        token_probabilities(model, val, device=CPU),
        head.probabilities(pooled_features(model, val, device=CPU)), atol=1e-5,
    )  # fmt: skip


def test_it_is_the_same_again_and_leaves_the_model_as_it_was(model, tmp_path, monkeypatch):
    train = make_cache(*make_tokens(32), tmp_path)
    head = solve(model, train, train)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    first, second = (shifts(model, train, head) for _ in range(2))
    monkeypatch.setattr("pcn_cli.training.query._KEPT_BYTES", 0)
    read_anew = shifts(model, train, head)
    for other in (second, read_anew):
        assert all(torch.equal(one, own) for one, own in zip(first, other, strict=True))
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_classes_may_weigh_more_and_labels_may_be_several(model, tmp_path):
    tokens, targets = make_tokens(32)
    train = make_cache(tokens, targets, tmp_path)
    head = solve(model, train, train)
    plain = shifts(model, train, head)[-1]
    weighed = shifts(model, train, head, photo_weights=np.where(targets == 0, 5.0, 0.1))[-1]
    assert not torch.allclose(plain, weighed, atol=1e-2)
    several = make_cache(tokens, np.eye(3, dtype=np.int64)[targets], tmp_path)
    head = solve(model, several, several)
    assert head.several
    assert all(bool(torch.isfinite(shift).all()) for shift in shifts(model, several, head))


def test_of_many_photos_a_sample_is_enough(model, tmp_path, monkeypatch):
    train = make_cache(*make_tokens(120), tmp_path)
    head = solve(model, train, train)
    monkeypatch.setattr("pcn_cli.training.query.MOST_PHOTOS", 60)
    read = []
    monkeypatch.setattr(train, "read", lambda rows, views, own=train.read: read.extend(rows) or own(rows, views))
    assert bool(torch.isfinite(shifts(model, train, head)[-1]).all())
    assert len(set(read)) == 60


def test_of_many_photos_more_go_together_with_the_same_loss(model, tmp_path, monkeypatch):
    train = make_cache(*make_tokens(120), tmp_path)
    head = solve(model, train, train)
    monkeypatch.setattr("pcn_cli.training.query.MOST_PHOTOS", 100)
    groups, own = [], QuerySearch._group_loss
    monkeypatch.setattr(
        QuerySearch, "_group_loss", lambda self, numbers, first: groups.append(first) or own(self, numbers, first)
    )

    def measure():
        search = QuerySearch(model, train, head, photo_weights=None, seed=0, stop=StopRequest())
        return search._loss(search._start, 100.0)

    loss, gradient = measure()
    assert groups == [0]
    monkeypatch.setattr("pcn_cli.training.query._NUMBERS", 0)
    other_loss, other_gradient = measure()
    assert groups == [0, 0, 32, 64, 96]
    assert loss == pytest.approx(other_loss, rel=1e-5)
    np.testing.assert_allclose(gradient, other_gradient, atol=1e-3)


def test_a_stop_is_heard(model, tmp_path):
    train = make_cache(*make_tokens(30), tmp_path)
    head = solve(model, train, train)
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(StoppedError):
            shifts(model, train, head, stop=stop)


def test_what_is_added_to_the_query_lies_where_the_network_does(model, tmp_path, monkeypatch):
    train = make_cache(*make_tokens(12), tmp_path)
    head = solve(model, train, train)
    model.to("meta")  # another device, if one that computes nothing
    monkeypatch.setattr(QuerySearch, "_loss", lambda _, numbers, strength: (0.0, np.zeros_like(numbers)))
    found = shifts(model, train, head)
    assert [shift.device.type for shift in found] == ["meta"] * len(STRENGTHS)
