"""Teach a PatchConvNet to name every pixel: UPerNet's head (segmentation_models_pytorch) on the pyramid of the trunk.

    pip install 'pcn-cli[dense]'
    python examples/segment.py --drawn 40                                # photos that it draws, with exact masks
    python examples/segment.py ./photos ./masks --model s60 --size 512
    python examples/segment.py --predict ./new_photos --output segmenter # writes segmenter/masks/*.png

Masks are PNGs by the photo's name with one number per pixel: 0 to K-1 are classes, 255 is left out. The first fifth of
the photos validates. Writes segmenter.safetensors, settings.json and history.csv. `--model timm:NAME` takes another
encoder.
"""

import argparse
import csv
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import timm
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file
from segmentation_models_pytorch.decoders.upernet.decoder import UPerNetDecoder
from torch import Tensor, nn

import pcn_cli
from pcn_cli.data.load.open_image import open_photo
from pcn_cli.data.scenes import draw_scenes
from pcn_cli.models.pyramid import Pyramid

IGNORED = 255  # a pixel whose class is not known
MEAN, STD = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


class Pair(NamedTuple):
    """A photo, (3, H, W) from 0 to 1, and the class of each pixel, (H, W)."""

    photo: Tensor
    classes: Tensor


class Segmenter(nn.Module):
    """Logits (B, K, H, W) of pictures (B, 3, H, W): UPerNet's head on an encoder with maps at strides 4, 8, 16, 32."""

    def __init__(self, encoder: nn.Module, num_classes: int, *, channels: int = 128) -> None:
        super().__init__()
        self.encoder = encoder
        # The decoder's list begins at the picture itself and at stride 2, which it leaves out.
        self.decoder = UPerNetDecoder([3, 0, *encoder.feature_info.channels()], decoder_channels=channels)
        self.head = nn.Conv2d(channels, num_classes, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """The logits at the size of the pictures."""
        logits = self.head(self.decoder([pictures, pictures, *self.encoder(pictures)]))
        return F.interpolate(logits, size=pictures.shape[-2:], mode="bilinear", align_corners=False)


def main() -> None:
    """Train, or predict, as the command line says."""
    parser = argparse.ArgumentParser(description="Segmentation on a PatchConvNet.")
    parser.add_argument("photos", type=Path, nargs="?", help="a folder of photos")
    parser.add_argument("masks", type=Path, nargs="?", help="their masks, as NAME.png")
    parser.add_argument("--drawn", type=int, default=0, metavar="N", help="draw N photos with their masks instead")
    parser.add_argument("--predict", type=Path, metavar="DIR", help="write masks of these photos; trains nothing")
    parser.add_argument("--model", default="nano", help="a card, a run or a model folder; or timm:NAME")
    parser.add_argument("--output", type=Path, default=Path("segmenter"))
    parser.add_argument("--size", type=int, default=128, help="shorter side of the pictures, in pixels")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    if wanted.predict:
        write_masks(wanted.predict, wanted.output)
        return
    with tempfile.TemporaryDirectory() as scratch:
        if wanted.drawn:
            draw_scenes(Path(scratch), wanted.drawn, seed=wanted.seed)
            wanted.photos, wanted.masks = Path(scratch) / "photos", Path(scratch) / "masks"
        if not (wanted.photos and wanted.masks):
            parser.error("name PHOTOS and MASKS, or --drawn N")
        pairs = read_pairs(wanted.photos, wanted.masks, size=wanted.size)
    held_out = max(1, len(pairs) // 5)
    training, validation = pairs[held_out:], pairs[:held_out]
    num_classes = 1 + max(int(one.classes[one.classes != IGNORED].max()) for one in pairs)
    torch.manual_seed(wanted.seed)
    network = Segmenter(make_encoder(wanted.model), num_classes)
    history = train(network, training, steps=wanted.steps, batch=wanted.batch, lr=wanted.lr, seed=wanted.seed)
    per_class = measure_iou(network, validation, num_classes)
    save(network, wanted, num_classes, history)
    for number, value in enumerate(per_class):
        print(f"class {number}: IoU {value:.3f}")
    print(f"mIoU {np.nanmean(per_class):.3f} on {len(validation)} photos that it did not learn from: {wanted.output}")


def make_encoder(model: str) -> nn.Module:
    """The pyramid on the trunk of a model of pcn, or the stages of a timm network at strides 4, 8, 16 and 32."""
    if model.startswith("timm:"):
        return timm.create_model(model.removeprefix("timm:"), features_only=True, out_indices=(1, 2, 3, 4))
    return Pyramid(pcn_cli.load_model(model))


def read_pairs(photos: Path, masks: Path, *, size: int) -> list[Pair]:
    """Each photo that has a mask, in an order that its name gives, with the shorter side at `size` pixels."""
    pairs = []
    for path in sorted(one for one in photos.iterdir() if one.suffix.lower() in SUFFIXES):
        truth = masks / f"{path.stem}.png"
        if truth.is_file():
            photo = open_photo(path)
            with Image.open(truth) as classes:
                if classes.size != photo.size or classes.mode not in ("L", "P"):
                    found = f"{classes.mode} of {classes.size}"
                    raise SystemExit(f"{truth}: expected one number per pixel of {photo.size}, found {found}")
                scaled = scale(photo.size, size)
                smaller = np.array(classes.resize(scaled, Image.Resampling.NEAREST), dtype=np.int64)
            pairs.append(Pair(to_tensor(photo, scaled), torch.from_numpy(smaller)))
    if not pairs:
        raise SystemExit(f"no photo of {photos} has a mask in {masks}")
    return pairs


def scale(size: tuple[int, int], shorter: int) -> tuple[int, int]:
    """Width and height with the shorter side at `shorter` pixels."""
    ratio = shorter / min(size)
    return max(shorter, round(size[0] * ratio)), max(shorter, round(size[1] * ratio))


def to_tensor(photo: Image.Image, size: tuple[int, int]) -> Tensor:
    """The photo at that width and height, (3, H, W) from 0 to 1."""
    return torch.from_numpy(np.array(photo.resize(size, Image.Resampling.BICUBIC))).permute(2, 0, 1) / 255


def vary(pair: Pair, size: int, rng: np.random.Generator) -> Pair:
    """A square of `size` pixels out of the pair: scaled by 0.75 to 1.5, cut anywhere, mirrored one time in two."""
    height, width = pair.classes.shape
    ratio = max(rng.uniform(0.75, 1.5), size / min(height, width))
    shape = (max(size, round(height * ratio)), max(size, round(width * ratio)))
    photo = F.interpolate(pair.photo[None], size=shape, mode="bilinear", antialias=True)[0]
    classes = F.interpolate(pair.classes[None, None].float(), size=shape, mode="nearest")[0, 0].long()
    top, left = int(rng.integers(shape[0] - size + 1)), int(rng.integers(shape[1] - size + 1))
    photo, classes = photo[:, top : top + size, left : left + size], classes[top : top + size, left : left + size]
    return Pair(photo.flip(2), classes.flip(1)) if rng.random() < 0.5 else Pair(photo, classes)


def draw_batches(
    pairs: list[Pair], steps: int, batch: int, rng: np.random.Generator, *, varied: bool
) -> Iterator[Pair]:
    """A batch for each step: all pairs in a new order, again and again, each varied, or as it is."""
    size, order = min(min(one.classes.shape) for one in pairs), list[int]()
    for _ in range(steps):
        while len(order) < batch:
            order += rng.permutation(len(pairs)).tolist()
        some = [pairs[order.pop(0)] for _ in range(batch)]
        chosen = [vary(one, size, rng) for one in some] if varied else some
        yield Pair(torch.stack([one.photo for one in chosen]), torch.stack([one.classes for one in chosen]))


def train(
    network: Segmenter, pairs: list[Pair], *, steps: int, batch: int, lr: float, seed: int = 0, varied: bool = True
) -> list[tuple[int, float, float]]:
    """Step, learning rate and loss, ten times over the training; AdamW, a short warm-up, then down to nothing."""
    device = pick_device()
    network.to(device).train()
    decaying = [one for one in network.parameters() if one.ndim > 1]
    others = [one for one in network.parameters() if one.ndim <= 1]
    optimizer = torch.optim.AdamW([{"params": decaying}, {"params": others, "weight_decay": 0.0}], lr=lr)
    warm = max(1, steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / warm, 1 - step / steps))
    history, losses = [], list[float]()
    for step, some in enumerate(draw_batches(pairs, steps, batch, np.random.default_rng(seed), varied=varied), 1):
        logits = network(normalise(some.photo).to(device))
        loss = F.cross_entropy(logits, some.classes.to(device), ignore_index=IGNORED)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
        if step % max(1, steps // 10) == 0:
            history.append((step, schedule.get_last_lr()[0], float(np.mean(losses))))
            print(f"step {step} of {steps}: loss {history[-1][2]:.4f}", flush=True)
            losses.clear()
        schedule.step()
    return history


def normalise(photos: Tensor) -> Tensor:
    """Photos from 0 to 1 as the trunk wants them."""
    return (photos - MEAN) / STD


def pick_device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@torch.inference_mode()
def predict(network: Segmenter, photo: Tensor) -> Tensor:
    """The class of each pixel (H, W) of a photo (3, H, W) from 0 to 1."""
    device = next(network.parameters()).device
    return network.eval()(normalise(photo)[None].to(device))[0].argmax(0).cpu()


def measure_iou(network: Segmenter, pairs: list[Pair], num_classes: int) -> np.ndarray:
    """For each class, pixels that are of it and found over pixels that are one or the other, over all photos."""
    counts = np.zeros((num_classes, num_classes), dtype=np.int64)
    for pair in pairs:
        found, known = predict(network, pair.photo).numpy(), pair.classes.numpy()
        used = known != IGNORED
        counts += np.bincount(num_classes * known[used] + found[used], minlength=num_classes**2).reshape(counts.shape)
    both = np.diag(counts)
    either = counts.sum(0) + counts.sum(1) - both
    return np.where(either, both / np.maximum(either, 1), np.nan)


def save(network: Segmenter, wanted: argparse.Namespace, classes: int, history: list[tuple[int, float, float]]) -> None:
    """Put the weights, what is needed to build the network again, and the losses into the output folder."""
    wanted.output.mkdir(parents=True, exist_ok=True)
    save_file(network.cpu().state_dict(), wanted.output / "segmenter.safetensors")
    settings = {"model": wanted.model, "num_classes": classes, "size": wanted.size}
    (wanted.output / "settings.json").write_text(json.dumps(settings))
    with (wanted.output / "history.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("step", "lr", "loss"), *history])


def write_masks(photos: Path, folder: Path) -> None:
    """Write the mask of each photo of `photos` below `folder`, at the photo's own size."""
    settings = json.loads((folder / "settings.json").read_text())
    network = Segmenter(make_encoder(settings["model"]), settings["num_classes"])
    network.load_state_dict(load_file(folder / "segmenter.safetensors"))
    network.to(pick_device())
    (folder / "masks").mkdir(exist_ok=True)
    for path in sorted(one for one in photos.iterdir() if one.suffix.lower() in SUFFIXES):
        photo = open_photo(path)
        classes = predict(network, to_tensor(photo, scale(photo.size, settings["size"]))).numpy().astype(np.uint8)
        Image.fromarray(classes).resize(photo.size, Image.Resampling.NEAREST).save(
            folder / "masks" / f"{path.stem}.png"
        )
    print(f"masks: {folder / 'masks'}")


if __name__ == "__main__":
    main()
