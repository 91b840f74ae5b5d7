import json
from pathlib import Path

import pytest
import torch

from pcn_cli.errors import ModelError
from pcn_cli.models.published import PatchConvNetSpec, from_published, to_published

SIZES = {
    "S60": PatchConvNetSpec(embed_dim=384, depth=60, num_classes=1000),
    "S120": PatchConvNetSpec(embed_dim=384, depth=120, num_classes=1000),
    "B60": PatchConvNetSpec(embed_dim=768, depth=60, num_classes=1000),
    "B120": PatchConvNetSpec(embed_dim=768, depth=120, num_classes=1000),
    "L60": PatchConvNetSpec(embed_dim=1024, depth=60, num_classes=1000),
    "L120": PatchConvNetSpec(embed_dim=1024, depth=120, num_classes=1000),
    "S60_multi": PatchConvNetSpec(embed_dim=384, depth=60, num_classes=1000, class_tokens=True),
}


def tiny_shapes(**changes: int | bool) -> dict[str, tuple[int, ...]]:
    size: dict[str, int | bool] = {"embed_dim": 16, "depth": 2, "num_classes": 3} | changes
    return PatchConvNetSpec(**size).shapes()


def key_lists(shared: Path) -> dict[str, dict[str, tuple[int, ...]]]:
    lists = json.loads((shared / "golden" / "keys.json").read_text())
    return {name: {key: tuple(shape) for key, shape in keys.items()} for name, keys in lists.items()}


def test_the_seven_key_lists_are_the_published_ones(shared: Path) -> None:
    lists = key_lists(shared)
    assert set(lists) == set(SIZES)
    for name, keys in lists.items():
        assert list(SIZES[name].shapes().items()) == list(keys.items())
        assert PatchConvNetSpec.tell(keys) == SIZES[name]


def test_both_ways_through_our_names_lose_nothing(shared: Path) -> None:
    for keys in key_lists(shared).values():
        published = {name: torch.full((1,), i).expand(shape) for i, (name, shape) in enumerate(keys.items())}
        ours = from_published(published)
        back = to_published(ours)
        assert list(back) == list(published)
        assert all(torch.equal(back[name], tensor) for name, tensor in published.items())
        again = from_published(back)
        assert list(again) == list(ours)
        assert all(torch.equal(again[name], tensor) for name, tensor in ours.items())


@pytest.mark.parametrize(
    ("size", "name"),
    [
        ({"embed_dim": 384, "depth": 60}, "s60"),
        ({"embed_dim": 384, "depth": 60, "class_tokens": True}, "s60-multi"),
        ({"embed_dim": 768, "depth": 120}, "b120"),
        ({"embed_dim": 192, "depth": 16}, "nano"),
        ({"embed_dim": 64, "depth": 3}, "embed_dim 64, depth 3"),
    ],
)
def test_names_are_those_of_the_cards(size: dict[str, int], name: str) -> None:
    assert PatchConvNetSpec.tell(tiny_shapes(**size)).name == name


def test_one_class_token_is_told_from_a_plain_head() -> None:
    assert PatchConvNetSpec.tell(tiny_shapes(num_classes=1, class_tokens=True)).class_tokens
    assert not PatchConvNetSpec.tell(tiny_shapes(num_classes=1)).class_tokens
    tensors = {name: torch.zeros(shape) for name, shape in tiny_shapes(num_classes=1, class_tokens=True).items()}
    assert list(to_published(from_published(tensors))) == list(tensors)


def test_a_missing_tensor_is_named() -> None:
    shapes = tiny_shapes()
    del shapes["blocks.1.norm1.bias"]
    with pytest.raises(ModelError, match=r"blocks\.1\.norm1\.bias is missing"):
        PatchConvNetSpec.tell(shapes)


def test_an_unexpected_tensor_is_named() -> None:
    with pytest.raises(ModelError, match=r"pos_embed is unexpected"):
        PatchConvNetSpec.tell(tiny_shapes() | {"pos_embed": (1, 4, 16)})


def test_a_wrong_shape_is_named_with_the_right_one() -> None:
    with pytest.raises(ModelError, match=r"norm\.weight has shape \(8,\), expected \(16,\)"):
        PatchConvNetSpec.tell(tiny_shapes() | {"norm.weight": (8,)})


def test_something_else_altogether_is_refused() -> None:
    with pytest.raises(ModelError, match="not a PatchConvNet: no cls_token among 1 tensors"):
        PatchConvNetSpec.tell({"conv1.weight": (64, 3, 7, 7)})


def test_a_file_without_classifier_is_refused() -> None:
    shapes = {name: shape for name, shape in tiny_shapes().items() if not name.startswith("head.")}
    with pytest.raises(ModelError, match="no classifier"):
        PatchConvNetSpec.tell(shapes)


def test_a_foreign_name_is_refused_both_ways() -> None:
    with pytest.raises(ModelError, match=r"fc\.weight is no name"):
        from_published({"fc.weight": torch.zeros(1)})
    with pytest.raises(ModelError, match=r"fc\.weight is no name"):
        to_published({"fc.weight": torch.zeros(1)})


def test_a_gap_between_class_heads_is_named() -> None:
    tensors = {name: torch.zeros(shape) for name, shape in tiny_shapes(class_tokens=True).items()}
    del tensors["head.1.weight"]
    with pytest.raises(ModelError, match=r"head\.1\.weight is missing"):
        from_published(tensors)
