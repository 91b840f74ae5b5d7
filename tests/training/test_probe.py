"""The probe: tokens are computed once, only the pooling learns, and the baseline stands beside it."""

import copy
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from standin import Callbacks, ColourBatches, Standin, make_config, run_fit

from pcn_cli.errors import DataError, ResourceError, StoppedError
from pcn_cli.models.aggregation import AttentionPooled
from pcn_cli.models.patchconvnet import PatchConvNet
from pcn_cli.training import tokens
from pcn_cli.training.checkpoint import load_checkpoint
from pcn_cli.training.fit import FitResult
from pcn_cli.training.fit_config import Validation
from pcn_cli.training.probe import TokenHead, fit_probe, pooled_features, token_probabilities
from pcn_cli.training.stop import StopRequest
from pcn_cli.training.tokens import TokenBatches, TokenCache, TokenPick, TokenPiece, cache_tokens, keep_tokens

CPU = torch.device("cpu")


class InOrder(ColourBatches):
    def batches(self, epoch: int = 0, *, start: int = 0):
        for batch in super().batches(epoch, start=start):
            rows = batch.indices.sort().values
            yield batch._replace(images=self.images[rows], targets=self.targets[rows], indices=rows)


def make_cache(
    model: Standin | PatchConvNet, folder: Path, batches: ColourBatches | None = None, **options: object
) -> TokenCache:
    batches = ColourBatches(count=30) if batches is None else batches
    return cache_tokens(
        model, batches, photos=len(batches.images), device=CPU, folder=folder, **{"stop": StopRequest(), **options}
    )  # type: ignore[arg-type]


def score(targets: np.ndarray, probabilities: np.ndarray) -> Validation:
    hits = float((probabilities.argmax(1) == targets).mean())
    loss = float(-np.log(probabilities[np.arange(len(targets)), targets]).mean())
    return Validation(log_loss=loss, accuracy=hits, macro_f1=hits)


def probe(model: Standin, cache: TokenCache) -> FitResult:
    config = make_config(epochs=10, lr=2e-2, tune="probe", phase="probe")
    told = Callbacks(on_note=pytest.fail)
    return fit_probe(model, cache, cache, score, config=config, device=CPU, callback=told, stop=StopRequest())


def test_cached_tokens_are_the_trunk_s_in_half_precision(tmp_path: Path) -> None:
    model, batches, seen = Standin(), ColourBatches(count=30), []
    cache = make_cache(model, tmp_path, batches, flip=True, on_photos=lambda *n: seen.append(n))
    assert seen == [(n, 30) for n in (8, 16, 24, 30)]
    assert cache.tokens.dtype == np.float16
    assert cache.tokens.shape == (30, 2, 4, 4, 8)
    assert sorted(cache.indices) == list(range(30))
    images = batches.images[torch.from_numpy(cache.indices)]
    with torch.no_grad():
        for view, shown in enumerate((images, images.flip(3))):
            expected = model.forward_features(shown)
            torch.testing.assert_close(cache.read(np.arange(30), view), expected, rtol=1e-3, atol=1e-3)
            if view == 0:
                np.testing.assert_allclose(cache.mean_features(), expected.mean((2, 3)).numpy(), rtol=1e-2, atol=1e-3)
    assert np.array_equal(cache.targets, batches.targets[cache.indices].numpy())
    with cache:
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())


class Sized(InOrder):
    def batches(self, epoch: int = 0, *, start: int = 0):
        for batch in super().batches(epoch, start=start):
            yield batch._replace(sizes=torch.stack([100 + batch.indices, 200 + batch.indices], dim=1))


def test_exact_tokens_come_back_in_their_order_to_the_last_bit(tmp_path: Path) -> None:
    model, batches = Standin(), Sized(count=30, batch_size=30)
    with make_cache(model, tmp_path, batches, exact=True) as cache:
        assert cache.tokens.dtype == np.float32
        with torch.no_grad():
            expected = model.forward_features(batches.images)
        parts = list(cache.in_order(7))
        assert [len(part.indices) for part in parts] == [7, 7, 7, 7, 2]
        assert torch.equal(torch.cat([part.images for part in parts]), expected)
        assert torch.cat([part.indices for part in parts]).tolist() == list(range(30))
        assert torch.cat([part.targets for part in parts]).tolist() == batches.targets.tolist()
        assert torch.cat([part.sizes for part in parts]).tolist() == [[100 + n, 200 + n] for n in range(30)]
        assert all(part.images.is_contiguous(memory_format=torch.channels_last) for part in parts)


def test_what_was_kept_of_a_batch_does_not_hold_its_memory(tmp_path: Path) -> None:
    known = []

    def pieces():
        for first in range(0, 30, 10):
            assert not any(one() is not None for one in known[:-4])  # whoever asked may still hold the last
            places = np.arange(first, first + 10)
            piece = TokenPiece(np.ones((10, 1, 2, 2, 4), np.float16), places % 3, places, places[:, None] + [1, 2])
            known.extend(map(weakref.ref, piece))
            yield piece

    with keep_tokens(pieces(), photos=30, folder=tmp_path) as cache:
        assert len(known) == 12
        assert cache.targets.tolist() == [place % 3 for place in range(30)]


def test_a_cache_that_is_handed_on_outlives_its_context(tmp_path: Path) -> None:
    with make_cache(Standin(), tmp_path) as cache:
        kept = cache.hand_on()
        before = kept.read(np.arange(30))
    assert torch.equal(kept.read(np.arange(30)), before)
    with kept:
        assert len(list(tmp_path.iterdir())) == 1
    assert not list(tmp_path.iterdir())


def test_a_cache_that_nobody_closes_goes_with_its_last_user(tmp_path: Path) -> None:
    cache = make_cache(Standin(), tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    del cache
    assert not list(tmp_path.iterdir())


def test_a_failed_cache_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = StopRequest()
    stop.request(15)
    with pytest.raises(StoppedError):
        make_cache(Standin(), tmp_path, stop=stop)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10})())
    with pytest.raises(ResourceError, match=r"the tokens need 0 MB and the disk of .* has 0 MB free"):
        make_cache(Standin(), tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(DataError, match="no photo"):
        make_cache(Standin(), tmp_path, ColourBatches(count=0))


def test_token_batches_follow_seed_and_epoch_and_skip(tmp_path: Path) -> None:
    with make_cache(Standin(), tmp_path, flip=True) as cache:
        batches = TokenBatches(cache, batch_size=7, seed=3)
        whole = list(batches.batches(2))
        assert len(whole) == len(batches) == 5
        assert sorted(torch.cat([b.indices for b in whole]).tolist()) == list(range(30))
        for one, other in zip(batches.batches(2, start=3), whole[3:], strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one[:4], other[:4], strict=True))
        assert not torch.equal(whole[0].indices, next(batches.batches(3)).indices)
        assert whole[0].images.is_contiguous(memory_format=torch.channels_last)


def test_even_classes_come_equally_often_in_token_batches(tmp_path: Path) -> None:
    with make_cache(Standin(), tmp_path, flip=True) as cache:
        cache.targets = np.repeat([0, 1, 2], [24, 4, 2])
        batches = TokenBatches(cache, batch_size=7, seed=3, even_classes=True)
        whole = list(batches.batches(2))
        assert torch.cat([batch.targets for batch in whole]).bincount().tolist() == [10, 10, 10]
        for one, other in zip(batches.batches(2, start=3), whole[3:], strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one[:4], other[:4], strict=True))
        assert not torch.equal(whole[0].indices, next(batches.batches(3)).indices)


def test_photos_picked_from_several_caches_are_read_as_from_one(tmp_path: Path) -> None:
    model, batches = Standin(), InOrder(count=30, batch_size=30)
    with (
        make_cache(model, tmp_path, batches, flip=True) as one,
        make_cache(model, tmp_path, InOrder(count=11, batch_size=11), flip=True) as other,
    ):
        places = np.array([40, 3, 29, 30, 0, 35])
        pick = TokenPick([one, other], places)
        assert (len(pick), pick.views) == (6, 2)
        assert np.array_equal(pick.indices, places)
        assert np.array_equal(pick.targets, np.concatenate([one.targets, other.targets])[places])
        whole = [torch.cat([cache.read(np.arange(len(cache)), view) for cache in (one, other)]) for view in (0, 1)]
        rows, views = np.array([5, 0, 1, 5]), np.array([1, 0, 1, 0])
        expected = torch.stack([whole[view][places[row]] for row, view in zip(rows, views, strict=True)])
        assert torch.equal(pick.read(rows, views), expected)
        assert pick.read(rows, views).is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(pick.read(rows), whole[0][places[rows]])


def test_the_probe_learns_with_the_trunk_untouched(tmp_path: Path) -> None:
    model = Standin()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with make_cache(model, tmp_path) as cache:
        result = probe(model, cache)
        assert [row.phase for row in result.progress.history] == ["probe"] * 10
        assert result.best.log_loss < result.progress.history[0].val_loss
        fresh = Standin(seed=0)
        fresh.load_state_dict(result.best_state)
        for name, tensor in fresh.state_dict().items():
            in_pooling = name.startswith(Standin.pooling_prefixes)
            assert torch.equal(tensor, before[name]) != in_pooling, name
        probabilities = token_probabilities(fresh, cache, device=CPU)
        assert score(cache.targets, probabilities) == result.best


@pytest.mark.parametrize(
    "network",
    [
        PatchConvNet(embed_dim=64, depth=2, num_classes=3),
        AttentionPooled(backbone="mobilenetv3_small_100", num_classes=3, class_tokens=True),
    ],
    ids=["PatchConvNet", "mobilenetv3"],
)
def test_the_state_of_what_stands_behind_the_tokens_is_the_network_s_own(
    network: PatchConvNet | AttentionPooled,
) -> None:
    head = TokenHead(network.to(memory_format=torch.channels_last))
    state, whole = head.state_dict(), network.state_dict()
    behind = [one for one in whole if one.startswith(network.pooling_prefixes)]
    assert list(state) == behind
    assert all(state[one].data_ptr() == whole[one].data_ptr() and not state[one].requires_grad for one in behind)
    other = copy.deepcopy(head)
    other.load_state_dict({one: tensor + 1 for one, tensor in state.items()})
    assert all(torch.equal(other.state_dict()[one], tensor + 1) for one, tensor in state.items())
    assert all(torch.equal(network.state_dict()[one], tensor) for one, tensor in whole.items())


def test_what_stands_behind_the_tokens_resumes_with_the_same_bits_and_saves_no_trunk(tmp_path: Path) -> None:
    config = make_config(epochs=3, mixup=0.2, tune="probe", phase="probe")
    with make_cache(Standin(), tmp_path) as cache:
        batches = TokenBatches(cache, batch_size=8, seed=0)

        def fit_head(folder: str, stop: StopRequest, **options: object) -> FitResult:
            head = TokenHead(Standin(drop=0.3))

            def check(judged: torch.nn.Module) -> Validation:
                return score(cache.targets, token_probabilities(judged, cache, device=CPU))

            return run_fit(head, batches, check, config=config, checkpoints=tmp_path / folder, stop=stop, **options)

        expected = fit_head("whole", StopRequest())
        stop = StopRequest()
        with pytest.raises(StoppedError):
            fit_head("cut", stop, on_step=lambda step, *_: stop.request() if step == 6 else None)
        result = fit_head("cut", StopRequest())
    assert all(torch.equal(result.best_state[name], expected.best_state[name]) for name in expected.best_state)
    states = [load_checkpoint(tmp_path / name) for name in ("whole", "cut")]
    assert states[0] is not None
    assert states[1] is not None
    for kind in ("model", "ema", "optimizer"):
        one, other = (getattr(state, kind) for state in states)
        assert all(torch.equal(one[name], other[name]) for name in one)
        assert not any("stem" in name or "blocks" in name for name in one)


@pytest.mark.parametrize("class_tokens", [False, True])
def test_the_probe_of_a_patchconvnet_changes_what_stands_behind_the_tokens(tmp_path: Path, class_tokens: bool) -> None:
    torch.manual_seed(0)
    model = PatchConvNet(embed_dim=16, depth=2, num_classes=3, class_tokens=class_tokens, layer_scale=0.1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with make_cache(model, tmp_path, ColourBatches(count=30, size=64)) as cache:
        result = probe(model, cache)
    assert result.best.log_loss < result.progress.history[0].val_loss
    changed = {name for name, tensor in result.best_state.items() if not torch.equal(tensor, before[name])}
    assert changed == {name for name in before if name.startswith(("pooling.", "norm.", "head."))}
    model.load_state_dict(result.best_state)


class Hungry(Standin):
    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    def forward_head(self, tokens: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        raise RuntimeError("MPS backend out of memory")


def test_too_little_memory_for_tokens_is_said_so_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="while the tokens were computed") as caught:
        make_cache(Hungry(), tmp_path)
    assert caught.value.hint == "--set evaluate.batch_size=8"
    assert not list(tmp_path.iterdir())
    with make_cache(Standin(), tmp_path) as cache, pytest.raises(ResourceError, match="while the probe was measured"):
        token_probabilities(Hungry(), cache, device=CPU)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux tells which pages a process holds")
def test_tokens_that_were_read_do_not_stay_in_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def resident() -> int:
        """The kilobytes of the tokens' file that this process holds."""
        lines = iter(Path("/proc/self/smaps").read_text().splitlines())
        return sum(
            int(next(line for line in lines if line.startswith("Rss:")).split()[1])
            for line in lines
            if str(tmp_path) in line
        )

    size = 16 * 16 * 8 * 2  # bytes of a photo's tokens
    batches = ColourBatches(count=256, size=64)
    with make_cache(Standin(), tmp_path, batches) as cache:
        before = cache.read(np.arange(256))
        assert resident() > 0.9 * 256 * size / 1024
        monkeypatch.setattr(tokens, "_RESIDENT_BYTES", 32 * size)
        for first in range(0, 256, 8):
            assert torch.equal(cache.read(np.arange(first, first + 8)), before[first : first + 8])
        assert resident() <= 64 * size / 1024
    with make_cache(Standin(), tmp_path, batches) as cache:
        assert resident() <= 64 * size / 1024
        assert torch.equal(cache.read(np.arange(256)), before)


def test_photos_of_few_tokens_are_pooled_in_large_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, own = [], tokens.TokenCache.read
    monkeypatch.setattr(tokens.TokenCache, "read", lambda self, rows, *v: read.append(len(rows)) or own(self, rows, *v))
    device = torch.device("cpu")
    with make_cache(Standin(), tmp_path, InOrder(count=80, batch_size=40)) as cache:
        model = PatchConvNet(num_classes=3, embed_dim=cache.tokens.shape[-1], depth=1)
        together = pooled_features(model, cache, device=device)
        assert read == [1, 80]
        monkeypatch.setattr("pcn_cli.training.probe._NUMBERS", 0)
        np.testing.assert_allclose(pooled_features(model, cache, device=device), together, rtol=1e-5, atol=1e-5)
        assert read == [1, 80, 1, 32, 32, 16]
