"""Teach a PatchConvNet to find things: torchvision's Mask R-CNN on the pyramid of the trunk, measured by pycocotools.

    pip install 'pcn-cli[dense]'
    python examples/detect.py --drawn 40                                       # photos that it draws, with exact truth
    python examples/detect.py ./photos annotations.json --model s60 --size 640
    python examples/detect.py --predict ./new_photos --output detector         # writes detector/found.json

Annotations are COCO's JSON; where a thing has no mask, add --boxes-only (Faster R-CNN). The first fifth of the photos
validates. Writes detector.safetensors, settings.json and history.csv into --output. `--model timm:NAME` takes another
encoder.
"""

import argparse
import contextlib
import csv
import io
import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import timm
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from pycocotools.mask import decode, encode, frPyObjects, merge
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN, MaskRCNN

import pcn_cli
from pcn_cli.data.load.open_image import open_photo
from pcn_cli.data.scenes import draw_scenes
from pcn_cli.models.pyramid import DetectionBackbone, Pyramid

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
LEAST_SCORE = 0.05
# On small pictures torchvision's thousands of proposals take most of the time and bring nothing.
SMALL = 256  # pixels
FEW_PROPOSALS = {
    "rpn_pre_nms_top_n_train": 200, "rpn_post_nms_top_n_train": 100, "rpn_pre_nms_top_n_test": 200,
    "rpn_post_nms_top_n_test": 100, "box_batch_size_per_image": 32, "rpn_batch_size_per_image": 64,
}  # fmt: skip


class Example(NamedTuple):
    """A photo, (3, H, W) from 0 to 1, its number in the annotations, and torchvision's target of it."""

    number: int
    photo: Tensor
    target: dict[str, Tensor]


def main() -> None:
    """Train, or predict, as the command line says."""
    parser = argparse.ArgumentParser(description="Detection on a PatchConvNet.")
    parser.add_argument("photos", type=Path, nargs="?", help="a folder of photos")
    parser.add_argument("annotations", type=Path, nargs="?", help="COCO's JSON of them")
    parser.add_argument("--drawn", type=int, default=0, metavar="N", help="draw N photos with their truth instead")
    parser.add_argument("--predict", type=Path, metavar="DIR", help="find things on these photos; trains nothing")
    parser.add_argument("--boxes-only", action="store_true", help="Faster R-CNN: no masks")
    parser.add_argument("--model", default="nano", help="a card, a run or a model folder; or timm:NAME")
    parser.add_argument("--output", type=Path, default=Path("detector"))
    parser.add_argument("--size", type=int, default=128, help="shorter side of the pictures, in pixels")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    if wanted.predict:
        write_found(wanted.predict, wanted.output)
        return
    with tempfile.TemporaryDirectory() as scratch:
        if wanted.drawn:
            draw_scenes(Path(scratch), wanted.drawn, seed=wanted.seed)
            wanted.photos, wanted.annotations = Path(scratch) / "photos", Path(scratch) / "coco.json"
        if not (wanted.photos and wanted.annotations):
            parser.error("name PHOTOS and ANNOTATIONS, or --drawn N")
        truth = quietly(COCO, str(wanted.annotations))
        examples = read_examples(wanted.photos, truth, masks=not wanted.boxes_only)
    held_out = max(1, len(examples) // 5)
    torch.manual_seed(wanted.seed)
    settings = {
        "model": wanted.model,
        "names": {place + 1: truth.cats[number]["name"] for place, number in enumerate(sorted(truth.cats))},
        "numbers": {place + 1: number for place, number in enumerate(sorted(truth.cats))},
        "size": wanted.size,
        "masks": not wanted.boxes_only,
    }
    network = make_detector(settings)
    history = train(
        network, examples[held_out:], steps=wanted.steps, batch=wanted.batch, lr=wanted.lr, seed=wanted.seed
    )
    figures = measure_ap(network, examples[:held_out], truth, settings)
    save(network, wanted.output, settings, history)
    for kind, (every, at50, at75) in figures.items():
        print(f"{kind}: AP {every:.3f}, AP50 {at50:.3f}, AP75 {at75:.3f}")
    print(f"on {held_out} photos that it did not learn from: {wanted.output}")


def make_detector(settings: dict[str, Any], *, channels: int = 128) -> nn.Module:
    """Mask R-CNN, or Faster R-CNN without masks, for the classes of `settings`, the ground not counted."""
    name, size, classes = settings["model"], settings["size"], len(settings["names"]) + 1
    if name.startswith("timm:"):
        body = timm.create_model(name.removeprefix("timm:"), features_only=True, out_indices=(1, 2, 3, 4))
    else:
        body = Pyramid(pcn_cli.load_model(name))
    backbone = DetectionBackbone(body, out_channels=channels)
    kind = MaskRCNN if settings["masks"] else FasterRCNN
    limits = FEW_PROPOSALS if size <= SMALL else {}
    return kind(backbone, num_classes=classes, min_size=size, max_size=2 * size, box_score_thresh=LEAST_SCORE, **limits)


def read_examples(photos: Path, truth: COCO, *, masks: bool) -> list[Example]:
    """Each photo of the annotations, in the order of their numbers; classes are numbered from 1 in theirs."""
    places = {number: place + 1 for place, number in enumerate(sorted(truth.cats))}
    examples = []
    for number in sorted(truth.imgs):
        facts, photo = truth.imgs[number], open_photo(photos / truth.imgs[number]["file_name"])
        if photo.size != (facts["width"], facts["height"]):
            raise SystemExit(
                f"{facts['file_name']}: the annotations are of {facts['width']} × {facts['height']} pixels"
            )
        things = [one for one in truth.imgToAnns[number] if not one.get("iscrowd") and min(one["bbox"][2:]) > 0]
        boxes = torch.tensor([one["bbox"] for one in things], dtype=torch.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]  # COCO has width and height, torchvision the far corner
        target = {
            "boxes": boxes,
            "labels": torch.tensor([places[one["category_id"]] for one in things], dtype=torch.int64),
        }
        if masks:
            drawn = [draw_mask(one["segmentation"], photo.height, photo.width) for one in things]
            target["masks"] = torch.from_numpy(np.array(drawn, dtype=np.uint8).reshape(-1, photo.height, photo.width))
        examples.append(Example(number, torch.from_numpy(np.array(photo)).permute(2, 0, 1) / 255, target))
    if not any(len(one.target["boxes"]) for one in examples):
        raise SystemExit(f"the annotations name no thing on a photo of {photos}")
    return examples


def draw_mask(segmentation: Any, height: int, width: int) -> np.ndarray:  # noqa: ANN401 - COCO has three forms
    """The pixels (H, W) of polygons, of run lengths, or of packed run lengths."""
    if isinstance(segmentation, dict) and not isinstance(segmentation["counts"], list):
        return np.asarray(decode(segmentation))
    packed = frPyObjects(segmentation, height, width)
    return np.asarray(decode(merge(packed) if isinstance(packed, list) else packed))


def vary(example: Example, rng: np.random.Generator) -> tuple[Tensor, dict[str, Tensor]]:
    """The photo and its target, mirrored one time in two."""
    photo, target = example.photo, dict(example.target)
    if rng.random() < 0.5:
        left, top, right, bottom = target["boxes"].unbind(1)
        photo, width = photo.flip(2), photo.shape[2]
        target["boxes"] = torch.stack([width - right, top, width - left, bottom], 1)
        target |= {"masks": target["masks"].flip(2)} if "masks" in target else {}
    return photo, target


def train(
    network: nn.Module, examples: list[Example], *, steps: int, batch: int, lr: float, seed: int = 0
) -> list[tuple[int, float, float]]:
    """Step, learning rate and loss, ten times over the training; AdamW, a short warm-up, two falls at the end."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device).train()
    decaying = [one for one in network.parameters() if one.ndim > 1]
    others = [one for one in network.parameters() if one.ndim <= 1]
    groups = [{"params": decaying, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=lr)
    warm, falls = max(1, steps // 20), (int(steps * 0.75), int(steps * 0.92))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / warm) * 0.1 ** sum(step >= fall for fall in falls)
    )
    rng, order, history, losses = np.random.default_rng(seed), list[int](), [], list[float]()
    for step in range(1, steps + 1):
        while len(order) < batch:
            order += rng.permutation(len(examples)).tolist()
        chosen = [vary(examples[order.pop(0)], rng) for _ in range(batch)]
        targets = [{name: value.to(device) for name, value in target.items()} for _, target in chosen]
        loss = sum(network([photo.to(device) for photo, _ in chosen], targets).values())
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


@torch.inference_mode()
def find_things(network: nn.Module, photo: Tensor) -> list[dict[str, Any]]:
    """What is on a photo (3, H, W): label, score, bbox and packed segmentation, in COCO's words."""
    device = next(network.parameters()).device
    found = network.eval()([photo.to(device)])[0]
    things = []
    for place, (left, top, right, bottom) in enumerate(found["boxes"].tolist()):
        thing = {"label": int(found["labels"][place]), "score": float(found["scores"][place])}
        thing["bbox"] = [left, top, right - left, bottom - top]
        if "masks" in found:
            packed = encode(np.asfortranarray((found["masks"][place, 0] > 0.5).cpu().numpy().astype(np.uint8)))
            thing["segmentation"] = packed | {"counts": packed["counts"].decode()}
        things.append(thing)
    return things


def measure_ap(
    network: nn.Module, examples: list[Example], truth: COCO, settings: dict[str, Any]
) -> dict[str, tuple[float, float, float]]:
    """COCO's AP, AP50 and AP75 on these photos, of boxes, and of masks where there are some."""
    found = []
    for example in examples:
        for thing in find_things(network, example.photo):
            number = settings["numbers"][thing.pop("label")]
            found.append(thing | {"image_id": example.number, "category_id": number})
    if not found:
        return dict.fromkeys(("boxes", "masks") if settings["masks"] else ("boxes",), (0.0, 0.0, 0.0))
    answers = quietly(truth.loadRes, found)
    figures = {}
    for kind, name in (("bbox", "boxes"), ("segm", "masks")):
        if kind == "bbox" or settings["masks"]:
            measured = COCOeval(truth, answers, kind)
            measured.params.imgIds = [one.number for one in examples]
            for step in (measured.evaluate, measured.accumulate, measured.summarize):
                quietly(step)
            figures[name] = tuple(float(value) for value in measured.stats[:3])
    return figures


def quietly(function: Any, *arguments: Any) -> Any:  # noqa: ANN401 - whatever pycocotools has
    """What the function gives, without what it prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        return function(*arguments)


def save(network: nn.Module, folder: Path, settings: dict[str, Any], history: list[tuple[int, float, float]]) -> None:
    """Put the weights, what is needed to build the network again, and the losses into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(network.cpu().state_dict(), folder / "detector.safetensors")
    (folder / "settings.json").write_text(json.dumps(settings))
    with (folder / "history.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("step", "lr", "loss"), *history])


def write_found(photos: Path, folder: Path) -> None:
    """Write what is found on each photo of `photos` into found.json, in COCO's words with the file's name."""
    settings = json.loads((folder / "settings.json").read_text())
    network = make_detector(settings)
    network.load_state_dict(load_file(folder / "detector.safetensors"))
    rows = []
    for path in sorted(one for one in photos.iterdir() if one.suffix.lower() in SUFFIXES):
        photo = torch.from_numpy(np.array(open_photo(path))).permute(2, 0, 1) / 255
        found = find_things(network, photo)
        rows += [{"file_name": path.name, **one, "label": settings["names"][str(one["label"])]} for one in found]
    (folder / "found.json").write_text(json.dumps(rows))
    print(f"{len(rows)} things: {folder / 'found.json'}")


if __name__ == "__main__":
    main()
