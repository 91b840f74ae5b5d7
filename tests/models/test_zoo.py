import hashlib
import json
import math
from pathlib import Path

import pytest

from pcn_cli.errors import ModelError
from pcn_cli.models.sources.folder import read_config
from pcn_cli.models.zoo import BASE_URL, CARDS, Card, card_of_file, find_card

PUBLISHED = {
    "s60_224_1k.pth": (82.1, 224, "s60-1k"),
    "s120_224_1k.pth": (83.2, 224, "s120"),
    "b60_224_1k.pth": (83.5, 224, "b60-1k"),
    "b120_224_1k.pth": (84.1, 224, "b120-1k"),
    "s60_224_21k.pth": (83.5, 224, "s60"),
    "s60_384_21k.pth": (84.9, 384, "s60-384"),
    "s60_512_21k.pth": (85.4, 512, "s60-512"),
    "b60_224_21k.pth": (85.4, 224, "b60"),
    "b60_384_21k.pth": (86.5, 384, "b60-384"),
    "b120_224_21k.pth": (86.0, 224, "b120"),
    "b120_384_21k.pth": (86.9, 384, "b120-384"),
    "s60_multi_scratch_1k.pth": (81.1, 224, "s60-multi-scratch"),
    "s60_multi_finetune_1k.pth": (82.0, 224, "s60-multi"),
}


def test_every_published_file_has_one_card_with_its_figures() -> None:
    assert {c.file: (c.top1, c.input_size, c.name) for c in CARDS if c.url} == PUBLISHED
    assert all(c.url == BASE_URL + c.file for c in CARDS if c.url)


def test_the_other_cards_say_that_they_have_no_weights() -> None:
    others = {c.name: c for c in CARDS if not c.url and not c.bundled}
    assert set(others) == {"l60", "l120"}
    assert all("never released" in card.note for card in others.values())


def test_the_weights_inside_the_package_are_those_of_their_card() -> None:
    bundled = [card for card in CARDS if card.bundled]
    assert [card.name for card in bundled] == ["nano"]
    for card in bundled:
        weights, config = card.folder / "model.safetensors", read_config(card.folder)
        assert hashlib.sha256(weights.read_bytes()).hexdigest() == card.sha256
        assert weights.stat().st_size <= 6_000_000
        assert (config.architecture, config.card, config.preprocessing) == (
            card.network.architecture,
            card.name,
            card.preprocessing,
        )
        assert len(config.classes) == card.network.num_classes
        assert card.url is None


def test_sizes_agree_with_the_published_key_lists(shared: Path) -> None:
    keys = json.loads((shared / "golden" / "keys.json").read_text())
    for name, shapes in keys.items():
        card = find_card(name.lower().replace("_", "-"))
        assert card.parameters == sum(math.prod(shape) for shape in shapes.values()), name


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("s60", 100_924_384),
        ("s120", 190_895_584),
        ("b60", 397_555_744),
        ("b120", 754_445_344),
        ("s60-multi", 102_458_848),
    ],
)
def test_the_least_bytes_are_four_per_parameter(name: str, least: int) -> None:
    assert find_card(name).minimum_bytes == least


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_a_card_is_found_by_each_of_its_names(card: Card) -> None:
    assert all(find_card(name) is card for name in (card.name, card.full_name, *card.aliases, card.name.upper()))
    assert card.network.size == card.network.architecture.removeprefix("patchconvnet_").split("_")[0]
    assert card.network.num_classes == (200 if card.bundled else 1000)


def test_no_two_cards_share_a_name() -> None:
    names = [name for card in CARDS for name in {card.name, card.full_name, *card.aliases}]
    assert len(names) == len(set(names))


def test_the_default_follows_timm_naming() -> None:
    assert find_card("s60").full_name == "patchconvnet_s60.fb_in22k_ft_in1k"
    assert find_card("patchconvnet_s60").name == "s60"


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ModelError) as error:
        find_card("s6O")
    assert "no model called 's6O'" in error.value.message
    assert "s60" in error.value.message
    assert error.value.hint == "pcn models list"


@pytest.mark.parametrize(
    "name", ["resnet50", "mobilenetv3_small_100", "convnext_tiny.fb_in22k", "vit_base_patch16_224"]
)
def test_the_name_of_a_network_of_timm_is_answered_with_what_to_write(name: str) -> None:
    with pytest.raises(ModelError) as error:
        find_card(name)
    assert error.value.hint == f"for a network of timm write timm:{name}"


def test_a_published_file_name_tells_its_card() -> None:
    assert card_of_file("b60_384_21k.pth") is find_card("b60-384")
    assert card_of_file("mine.pth") is None
    assert card_of_file("") is None
