import numpy as np
import pytest
import torch

from pcn_cli.files.cache import FileCache
from pcn_cli.models.head import AttentionNetwork
from pcn_cli.models.patchconvnet import PatchConvNet
from pcn_cli.training.known_tokens import KnownPhoto, KnownTokens, hash_trunk

DIGEST = "ab" * 32


@pytest.fixture
def cache(tmp_path):
    return FileCache(folder=tmp_path / "tokens", limit=2**30)


def tokens_of(dtype):
    return np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_tokens_come_back_to_the_last_bit(cache, dtype):
    known = KnownTokens(cache=cache, form="form")
    assert known.read(DIGEST) is None
    known.write(DIGEST, KnownPhoto(tokens_of(dtype), (640, 480)))
    found = known.read(DIGEST)
    assert known.holds(DIGEST)
    assert found.size == (640, 480)
    assert found.tokens.dtype == dtype
    assert np.array_equal(found.tokens, tokens_of(dtype))


def test_another_form_or_photo_is_another_entry(cache):
    KnownTokens(cache=cache, form="form").write(DIGEST, KnownPhoto(tokens_of(np.float16), (1, 1)))
    assert not KnownTokens(cache=cache, form="another").holds(DIGEST)
    assert not KnownTokens(cache=cache, form="form").holds("cd" * 32)


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:10], lambda b: b"", lambda b: b[:-3] + b"xyz"])
def test_damaged_tokens_are_none(cache, damage):
    known = KnownTokens(cache=cache, form="form")
    known.write(DIGEST, KnownPhoto(tokens_of(np.float16), (640, 480)))
    (path,) = (path for path in cache.folder.rglob("*") if path.is_file())
    path.write_bytes(damage(path.read_bytes()))
    assert known.read(DIGEST) is None


def network() -> AttentionNetwork:
    torch.manual_seed(0)
    return PatchConvNet(embed_dim=16, depth=1, num_classes=3)


def test_only_the_trunk_is_hashed():
    model = network()
    begun = hash_trunk(model)
    model.reset_classifier(5)
    with torch.no_grad():
        model.pooling.cls_token += 1
    assert hash_trunk(model) == begun == hash_trunk(network())
    with torch.no_grad():
        model.stem[0].weight[0, 0, 0, 0] += 1
    assert hash_trunk(model) != begun
    model = network()
    model.mirror = True
    assert hash_trunk(model) != begun
