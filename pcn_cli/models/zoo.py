"""One card per published weight file, one for the network inside the package, and one for each without weights.

Published by Touvron et al. at dl.fbaipublicfiles.com/deit, with no checksums: `sha256` is None until a card pins one,
and the hash met at first use is recorded in the cache instead. The ratio `crop_pct` behind the published figures at 384
and 512 is not recorded anywhere; 0.875 is the official repository's default.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from pcn_cli.errors import ModelError
from pcn_cli.models.published import SIZES, PatchConvNetSpec
from pcn_cli.records.model import Preprocessing

if TYPE_CHECKING:
    from torch import Tensor

BASE_URL = "https://dl.fbaipublicfiles.com/deit/"
PAPER = "Touvron et al. 2021, arXiv:2112.13692"


class NetworkSpec(Protocol):
    """What a card says of its network; `PatchConvNetSpec` is that of every PatchConvNet."""

    @property
    def architecture(self) -> str:
        """Its name in timm."""

    @property
    def name(self) -> str:
        """The short name."""

    @property
    def num_classes(self) -> int:
        """The classes that its weights tell apart."""

    @property
    def settings(self) -> dict[str, Any]:
        """What tells it from others of its kind, by timm's words."""

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Name → shape of every tensor in the published file."""

    def recognise(self, tensors: Mapping[str, "Tensor"], /) -> tuple[dict[str, "Tensor"], Self]:
        """The tensors of a file by the names of its parameters, and the network of this kind that they make up."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """What is known of one set of weights.

    `name` is the short name, `tag` is timm's; `network` is what the weights must make up; `top1` is ImageNet-1k
    accuracy in per cent as published; `url` is None where there is nothing to download; `bundled` weights come inside
    this package; `note` says what a person should know before choosing it.
    """

    name: str
    tag: str = ""
    network: NetworkSpec
    preprocessing: Preprocessing
    url: str | None = None
    sha256: str | None = None
    bundled: bool = False
    top1: float | None = None
    licence: str = "Apache-2.0"
    paper: str = PAPER
    aliases: tuple[str, ...] = ()
    note: str = ""

    @property
    def full_name(self) -> str:
        """The name in timm: architecture.tag."""
        return f"{self.network.architecture}.{self.tag}" if self.tag else self.network.architecture

    @property
    def file(self) -> str:
        """The name of the published file; empty where there is none."""
        return self.url.rsplit("/", 1)[-1] if self.url else ""

    @property
    def folder(self) -> Path | None:
        """The model folder inside this package; None where the weights are elsewhere, or nowhere."""
        return Path(__file__).parent / "bundled" / self.name if self.bundled else None

    @property
    def input_size(self) -> int:
        """Pixels of a side of the network's input."""
        return self.preprocessing.height

    @cached_property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(map(math.prod, self.network.shapes().values()))

    @property
    def minimum_bytes(self) -> int:
        """The least a weight file can weigh: 4 bytes per parameter."""
        return 4 * self.parameters


def find_card(name: str) -> Card:
    """The card of that short name, alias or full timm name; an architecture without tag gives its first card.

    Raises:
        ModelError: there is none; the message offers the nearest names.
    """
    if found := look_up_card(name):
        return found
    names = [known for card in CARDS for known in (card.name, *card.aliases, card.full_name)]
    near = get_close_matches(name.strip().lower(), names, n=3, cutoff=0.5) or [card.name for card in CARDS[:3]]
    from timm import is_model  # what reads cards alone need not wait for it

    message = f"there is no model called {name!r}; near: {', '.join(near)}"
    other = f"for a network of timm write timm:{name}" if is_model(name.partition(".")[0]) else "pcn models list"
    raise ModelError(message, other)


def look_up_card(name: str) -> Card | None:
    """The card that `find_card` would find; None where there is none."""
    wanted = name.strip().lower()
    exact = (card for card in CARDS if wanted in (card.name, card.full_name, *card.aliases))
    return next(exact, None) or next((card for card in CARDS if wanted == card.network.architecture), None)


def card_of_file(file_name: str) -> Card | None:
    """The card whose published file has this name."""
    return next((card for card in CARDS if card.file and card.file == file_name), None)


def _patchconvnet(name: str, file: str = "", *, num_classes: int = 1000, side: int = 224, **facts: Any) -> Card:  # noqa: ANN401
    """The card of a PatchConvNet for photos of `side` pixels, published in `file` where there is one."""
    width, depth, _ = SIZES[name.partition("-")[0]]
    class_tokens = "-multi" in name
    return Card(
        name=name,
        network=PatchConvNetSpec(embed_dim=width, depth=depth, num_classes=num_classes, class_tokens=class_tokens),
        preprocessing=Preprocessing(height=side, width=side),
        url=BASE_URL + file if file else None,
        **facts,
    )


CARDS: tuple[Card, ...] = (
    _patchconvnet("s60", "s60_224_21k.pth", top1=83.5, tag="fb_in22k_ft_in1k"),
    _patchconvnet("s60-384", "s60_384_21k.pth", top1=84.9, tag="fb_in22k_ft_in1k_384", side=384),
    _patchconvnet("s60-512", "s60_512_21k.pth", top1=85.4, tag="fb_in22k_ft_in1k_512", side=512),
    _patchconvnet("s60-1k", "s60_224_1k.pth", top1=82.1, tag="fb_in1k"),
    _patchconvnet("s120", "s120_224_1k.pth", top1=83.2, tag="fb_in1k", aliases=("s120-1k",), note="ImageNet-1k only"),
    _patchconvnet("b60", "b60_224_21k.pth", top1=85.4, tag="fb_in22k_ft_in1k"),
    _patchconvnet("b60-384", "b60_384_21k.pth", top1=86.5, tag="fb_in22k_ft_in1k_384", side=384),
    _patchconvnet("b60-1k", "b60_224_1k.pth", top1=83.5, tag="fb_in1k"),
    _patchconvnet("b120", "b120_224_21k.pth", top1=86.0, tag="fb_in22k_ft_in1k"),
    _patchconvnet("b120-384", "b120_384_21k.pth", top1=86.9, tag="fb_in22k_ft_in1k_384", side=384),
    _patchconvnet("b120-1k", "b120_224_1k.pth", top1=84.1, tag="fb_in1k"),
    _patchconvnet(
        "s60-multi",
        "s60_multi_finetune_1k.pth",
        top1=82.0,
        tag="fb_ft_in1k",
        note="one class token per class, fine-tuned",
    ),
    _patchconvnet(
        "s60-multi-scratch",
        "s60_multi_scratch_1k.pth",
        top1=81.1,
        tag="fb_in1k",
        note="one class token per class, from scratch",
    ),
    _patchconvnet("l60", note="weights were never released"),
    _patchconvnet("l120", note="weights were never released (the paper reports 87.1 at 384)"),
    _patchconvnet(
        "nano",
        tag="pcn_tin200",
        num_classes=200,
        side=128,
        bundled=True,
        sha256="d38b922854acd6cfec9ecea72b3ea8268022dbd68de85438da32fd39284cf5b1",
        paper="",
        note="37.7 % top-1 on Tiny-ImageNet-200 (research terms), whose 64-pixel pictures it learned from",
    ),
)
