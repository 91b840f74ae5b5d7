"""One card per published weight file, one for the network inside the package, and one for each without weights.

Published by Touvron et al. at dl.fbaipublicfiles.com/deit, with no checksums: `sha256` is None until a card pins one,
and the hash met at first use is recorded in the cache instead. The ratio `crop_pct` behind the published figures at 384
and 512 is not recorded anywhere; 0.875 is the official repository's default.
"""

import math
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from pcn_cli.errors import ModelError
from pcn_cli.models.published import Architecture, published_shapes

BASE_URL = "https://dl.fbaipublicfiles.com/deit/"
PAPER = "Touvron et al. 2021, arXiv:2112.13692"


@dataclass(frozen=True, kw_only=True)
class Card:
    """What is known of one set of weights.

    `name` is the short name, `architecture` and `tag` are timm's; `top1` is ImageNet-1k accuracy in per cent as
    published; `url` is None where there is nothing to download; `bundled` weights come inside this package; `note` says
    what a person should know before choosing it.
    """

    name: str
    architecture: str
    tag: str = ""
    embed_dim: int
    depth: int
    class_tokens: bool = False
    num_classes: int = 1000
    input_size: int = 224
    crop_pct: float = 0.875
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
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
        return f"{self.architecture}.{self.tag}" if self.tag else self.architecture

    @property
    def file(self) -> str:
        """The name of the published file; empty where there is none."""
        return self.url.rsplit("/", 1)[-1] if self.url else ""

    @property
    def folder(self) -> Path | None:
        """The model folder inside this package; None where the weights are elsewhere, or nowhere."""
        return Path(__file__).parent / "bundled" / self.name if self.bundled else None

    @property
    def network(self) -> Architecture:
        """The network that the weights must make up."""
        return Architecture(
            embed_dim=self.embed_dim, depth=self.depth, num_classes=self.num_classes, class_tokens=self.class_tokens
        )

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(math.prod(shape) for shape in published_shapes(self.network).values())

    @property
    def minimum_bytes(self) -> int:
        """The least a weight file can weigh: 4 bytes per parameter."""
        return 4 * self.parameters


def find_card(name: str) -> Card:
    """The card of that short name, alias or full timm name; an architecture without tag gives its first card.

    Raises:
        ModelError: there is none; the message offers the nearest names.
    """
    wanted = name.strip().lower()
    if found := _look_up(wanted):
        return found
    names = [known for card in CARDS for known in (card.name, *card.aliases, card.full_name)]
    near = get_close_matches(wanted, names, n=3, cutoff=0.5) or [card.name for card in CARDS[:3]]
    raise ModelError(f"there is no model called {name!r}; near: {', '.join(near)}", "pcn models list")


def is_card(name: str) -> bool:
    """Whether `find_card` knows that name."""
    return _look_up(name.strip().lower()) is not None


def _look_up(wanted: str) -> Card | None:
    exact = (card for card in CARDS if wanted in (card.name, card.full_name, *card.aliases))
    return next(exact, None) or next((card for card in CARDS if wanted == card.architecture), None)


def card_of_file(file_name: str) -> Card | None:
    """The card whose published file has this name."""
    return next((card for card in CARDS if card.file and card.file == file_name), None)


def _published(name: str, file: str, top1: float, *, size: str, tag: str, **facts: object) -> Card:
    embed_dim, depth = _SIZES[size]
    architecture = f"patchconvnet_{size}" + ("_multi" if facts.get("class_tokens") else "")
    return Card(
        name=name,
        architecture=architecture,
        tag=tag,
        embed_dim=embed_dim,
        depth=depth,
        url=BASE_URL + file,
        top1=top1,
        **facts,  # type: ignore[arg-type]
    )


_SIZES = {"s60": (384, 60), "s120": (384, 120), "b60": (768, 60), "b120": (768, 120)}

CARDS: tuple[Card, ...] = (
    _published("s60", "s60_224_21k.pth", 83.5, size="s60", tag="fb_in22k_ft_in1k"),
    _published("s60-384", "s60_384_21k.pth", 84.9, size="s60", tag="fb_in22k_ft_in1k_384", input_size=384),
    _published("s60-512", "s60_512_21k.pth", 85.4, size="s60", tag="fb_in22k_ft_in1k_512", input_size=512),
    _published("s60-1k", "s60_224_1k.pth", 82.1, size="s60", tag="fb_in1k"),
    _published(
        "s120", "s120_224_1k.pth", 83.2, size="s120", tag="fb_in1k", aliases=("s120-1k",), note="ImageNet-1k only"
    ),
    _published("b60", "b60_224_21k.pth", 85.4, size="b60", tag="fb_in22k_ft_in1k"),
    _published("b60-384", "b60_384_21k.pth", 86.5, size="b60", tag="fb_in22k_ft_in1k_384", input_size=384),
    _published("b60-1k", "b60_224_1k.pth", 83.5, size="b60", tag="fb_in1k"),
    _published("b120", "b120_224_21k.pth", 86.0, size="b120", tag="fb_in22k_ft_in1k"),
    _published("b120-384", "b120_384_21k.pth", 86.9, size="b120", tag="fb_in22k_ft_in1k_384", input_size=384),
    _published("b120-1k", "b120_224_1k.pth", 84.1, size="b120", tag="fb_in1k"),
    _published(
        "s60-multi",
        "s60_multi_finetune_1k.pth",
        82.0,
        size="s60",
        tag="fb_ft_in1k",
        class_tokens=True,
        note="one class token per class, fine-tuned",
    ),
    _published(
        "s60-multi-scratch",
        "s60_multi_scratch_1k.pth",
        81.1,
        size="s60",
        tag="fb_in1k",
        class_tokens=True,
        note="one class token per class, from scratch",
    ),
    Card(name="l60", architecture="patchconvnet_l60", embed_dim=1024, depth=60, note="weights were never released"),
    Card(
        name="l120",
        architecture="patchconvnet_l120",
        embed_dim=1024,
        depth=120,
        note="weights were never released (the paper reports 87.1 at 384)",
    ),
    Card(
        name="nano",
        architecture="patchconvnet_nano",
        tag="pcn_tin200",
        embed_dim=192,
        depth=16,
        num_classes=200,
        input_size=128,
        bundled=True,
        sha256="d38b922854acd6cfec9ecea72b3ea8268022dbd68de85438da32fd39284cf5b1",
        paper="",
        note="37.7 % top-1 on Tiny-ImageNet-200 (research terms), whose 64-pixel pictures it learned from",
    ),
)
