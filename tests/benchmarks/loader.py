"""How fast photos are decoded and varied, one core, against torchvision's folder with PIL and the usual transforms.

    python tests/benchmarks/loader.py [PHOTOS] [--rounds 5] [--count 12]

Without PHOTOS, drawn JPEGs of 1024 × 768 and of 4000 × 3000 pixels are used. All ways take turns in one process; a
ratio is the median of those of the rounds, by processor time. Below stands how far the pixels of a photo that was
decoded at a fraction of its size are from those of the whole one, in grey levels.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import default_collate
from torchvision import transforms
from torchvision.datasets.folder import default_loader

from pcn_cli.data.drawing import draw_ground
from pcn_cli.data.load.augment import Augmentation
from pcn_cli.data.load.loaders import PhotoDataset, stack_photos
from pcn_cli.data.load.photo_cache import PhotoCache
from pcn_cli.files.atomic import sha256_of
from pcn_cli.records.model import Preprocessing

SIZES = ((1024, 768), (4000, 3000))
NORMAL = transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
BICUBIC = transforms.InterpolationMode.BICUBIC
ENDS = [transforms.ToTensor(), NORMAL]
CROP = [transforms.RandomResizedCrop(224, interpolation=BICUBIC), transforms.RandomHorizontalFlip()]
PEERS = {
    "evaluation": [transforms.Resize(256, BICUBIC), transforms.CenterCrop(224), *ENDS],
    "light": [*CROP, *ENDS],
    "medium": [*CROP, transforms.ColorJitter(0.3, 0.3, 0.3), *ENDS],
}
DRAFTS = (0, 2, 1)
CPU = torch.device("cpu")


def main() -> None:
    """Print a table for each size of photo."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=12)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.photos:
        files = [path for path in sorted(asked.photos.rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg")]
        measure(asked.photos, files[: asked.count], str(asked.photos), asked.rounds)
        return
    for width, height in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / f"{number}.jpg" for number in range(max(2, asked.count * 768 // height))]
            for number, file in enumerate(files):
                file.write_bytes(draw_jpeg(width, height, number))
            measure(Path(folder), files, f"{width} × {height}", asked.rounds)


def draw_jpeg(width: int, height: int, seed: int) -> bytes:
    """A photo with about as much detail as a camera's."""
    rng = np.random.default_rng(seed)
    small = np.asarray(draw_ground(width // 4, height // 4, rng), dtype=np.float64)
    grain = np.asarray(
        Image.fromarray((small + rng.normal(0, 12, small.shape)).clip(0, 255).astype(np.uint8)).resize(
            (width, height), Image.Resampling.BICUBIC
        ),
        np.float64,
    )
    pixels = (grain + rng.normal(0, 6, grain.shape)).clip(0, 255).astype(np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG", quality=90)
    return file.getvalue()


def measure(root: Path, files: list[Path], title: str, rounds: int) -> None:
    """Print speeds, ratios and differences for some photos."""
    names = [str(file.relative_to(root)) for file in files]
    for kind, peer in PEERS.items():
        pipeline = transforms.Compose(peer)
        ways: dict[str, Callable[[], object]] = {
            "torchvision": lambda pipeline=pipeline: default_collate([pipeline(default_loader(str(f))) for f in files])
        }
        for draft in DRAFTS:
            photos = prepare(root, names, kind, draft)
            ways[f"pcn, draft {draft}"] = lambda photos=photos: load(photos)
        with tempfile.TemporaryDirectory() as folder:
            cached = prepare(root, names, kind, 2, PhotoCache(folder=Path(folder), limit=2**40))
            ways["pcn, cached"] = lambda cached=cached: load(cached)
            seconds = take_turns(ways, rounds)
        peer_seconds = np.array(seconds["torchvision"])
        for way, own in seconds.items():
            ratios = peer_seconds / own
            print(
                f"{title:>14} {kind:>10} {way:<14} {len(files) / np.median(own):8.1f} photos/s "
                f"{np.median(ratios):6.2f} [{ratios.min():.2f}, {ratios.max():.2f}]"
            )
    whole = [prepare(root, names, "evaluation", 0)[0, row].pixels.astype(float) for row in range(len(names))]
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("light", "medium", "strong"):
            plain = prepare(root, names, kind, 2)
            kept = prepare(root, names, kind, 2, PhotoCache(folder=Path(folder), limit=2**40))
            keys = [(epoch, row) for epoch in range(4) for row in range(len(names))]
            apart = np.array([np.abs(kept[key].pixels.astype(float) - plain[key].pixels).mean() for key in keys])
            print(
                f"{title:>14} {kind}: cached, mean difference {apart.mean():.3f} grey levels, worst {apart.max():.3f}"
            )
    for draft in DRAFTS[1:]:
        some = prepare(root, names, "evaluation", draft)
        apart = np.array([np.abs(some[0, row].pixels - one).mean() for row, one in enumerate(whole)])
        print(
            f"{title:>14} draft {draft}: mean difference {apart.mean():.3f} grey levels, worst photo {apart.max():.3f}"
        )


def prepare(root: Path, names: list[str], kind: str, draft: int, cache: PhotoCache | None = None) -> PhotoDataset:
    """The photos as pcn loads them."""
    wanted = Preprocessing(height=224, width=224, draft=draft)
    varied = None if kind == "evaluation" else Augmentation(level=kind, flip=True, preprocessing=wanted, seed=0)
    hashes = [sha256_of(root / name) for name in names]
    return PhotoDataset(root, names, preprocessing=wanted, augmentation=varied, cache=cache, hashes=hashes)


def load(photos: PhotoDataset) -> torch.Tensor:
    """A batch of all photos, normalised."""
    return stack_photos([photos[0, row] for row in range(len(photos))], norm=photos.norm).inputs(CPU)


def take_turns(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Processor seconds of each way in each round; a round before them warms up."""
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way, work in ways.items():
            start = time.process_time()
            work()
            if number:
                seconds[way].append(time.process_time() - start)
    return seconds


if __name__ == "__main__":
    main()
