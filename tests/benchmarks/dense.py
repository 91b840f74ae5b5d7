"""The heads of examples/segment.py and detect.py on several encoders, the same drawn photos, beside the libraries' own.

    python tests/benchmarks/dense.py --weights FOLDER [--seeds 3] [--steps 60] [--only segment|detect]

FOLDER holds config.json and model.safetensors of timm's mobilenetv2_100. Arms: the pyramid of `nano`, timm's stages of
mobilenetv2_100 as the examples take them, and the libraries' own: UPerNet of segmentation_models_pytorch with its
encoder tu-mobilenetv2_100, and torchvision's BackboneWithFPN below its Faster R-CNN, with the same weights. A line of
JSON for each network trained, then the means over seeds, and of each difference the 95 % interval of Student's t.
"""

import argparse
import contextlib
import importlib.util
import io
import json
import tempfile
import time
from collections import OrderedDict, defaultdict
from pathlib import Path
from types import ModuleType

import numpy as np
import segmentation_models_pytorch
import timm
import torch
from safetensors.torch import load_file
from scipy import stats
from torch import nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.backbone_utils import BackboneWithFPN

import pcn_cli
from pcn_cli.data.scenes import KINDS, draw_scenes
from pcn_cli.models.pyramid import DetectionBackbone, Pyramid

CHANNELS = 64
NAME = "mobilenetv2_100"
OWN = "library's own"
ARMS = ("nano's pyramid", f"{NAME}'s stages", OWN)


def main() -> None:
    """Train every arm on every seed and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--photos", type=int, default=60)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--only", choices=("segment", "detect"))
    asked = parser.parse_args()
    weights = load_file(asked.weights / "model.safetensors")
    for kind in (asked.only,) if asked.only else ("segment", "detect"):
        figures = defaultdict(list)
        for seed in range(asked.seeds):
            with tempfile.TemporaryDirectory() as place:
                draw_scenes(Path(place), asked.photos, seed=seed, size=(asked.size * 3 // 2, asked.size))
                for arm in ARMS:
                    began = time.process_time()
                    torch.manual_seed(seed)
                    measure = measure_segmentation if kind == "segment" else measure_detection
                    figures[arm].append(measure(arm, Path(place), weights, asked, seed))
                    seconds = round(time.process_time() - began)
                    line = {"kind": kind, "arm": arm, "seed": seed, "figure": figures[arm][-1], "seconds": seconds}
                    print(json.dumps(line), flush=True)
        show(kind, figures)


def measure_segmentation(arm: str, place: Path, weights: dict, asked: argparse.Namespace, seed: int) -> float:
    """The mean IoU of five classes on photos that the network did not learn from."""
    example, classes = load("segment"), 1 + len(KINDS)
    pairs = example.read_pairs(place / "photos", place / "masks", size=asked.size)
    held_out = len(pairs) // 3
    if arm == OWN:
        network = segmentation_models_pytorch.UPerNet(
            f"tu-{NAME}", encoder_weights=None, decoder_channels=CHANNELS, classes=classes
        )
        load_all(network.encoder.model, weights)
    else:
        network = example.Segmenter(make_body(arm, weights), classes, channels=CHANNELS)
    with contextlib.redirect_stdout(io.StringIO()):
        example.train(network, pairs[held_out:], steps=asked.steps, batch=8, lr=1e-3, seed=seed)
    return round(float(np.nanmean(example.measure_iou(network, pairs[:held_out], classes))), 4)


def measure_detection(arm: str, place: Path, weights: dict, asked: argparse.Namespace, seed: int) -> float:
    """COCO's AP50 of boxes on photos that the network did not learn from."""
    example = load("detect")
    truth = example.quietly(example.COCO, str(place / "coco.json"))
    examples = example.read_examples(place / "photos", truth, masks=False)
    held_out = len(examples) // 3
    body = own_backbone(weights) if arm == OWN else DetectionBackbone(make_body(arm, weights), out_channels=CHANNELS)
    limits = {"min_size": asked.size, "max_size": 2 * asked.size, "box_score_thresh": 0.05} | example.FEW_PROPOSALS
    network = FasterRCNN(body, num_classes=1 + len(KINDS), **limits)
    with contextlib.redirect_stdout(io.StringIO()):
        example.train(network, examples[held_out:], steps=asked.steps, batch=4, lr=5e-4, seed=seed)
    numbers = {place + 1: number for place, number in enumerate(sorted(truth.cats))}
    figures = example.measure_ap(network, examples[:held_out], truth, {"numbers": numbers, "masks": False})
    return round(figures["boxes"][1], 4)


def make_body(arm: str, weights: dict) -> nn.Module:
    """The encoder as the examples take it."""
    if arm == ARMS[0]:
        return Pyramid(pcn_cli.load_model("nano"))
    body = timm.create_model(NAME, features_only=True, out_indices=(1, 2, 3, 4))
    load_all(body, weights)
    return body


def own_backbone(weights: dict) -> nn.Module:
    """torchvision's pyramid on the stages of the same network."""
    network = timm.create_model(NAME)
    network.load_state_dict(weights)
    blocks = network.blocks
    stem = nn.Sequential(network.conv_stem, network.bn1, blocks[0], blocks[1])
    body = nn.Sequential(OrderedDict(a=stem, b=blocks[2], c=blocks[3:5], d=blocks[5:7]))
    return BackboneWithFPN(body, {"a": "0", "b": "1", "c": "2", "d": "3"}, [24, 32, 96, 320], CHANNELS)


def load_all(body: nn.Module, weights: dict) -> None:
    """Give `body` its weights; all that it has must be among them."""
    missing = body.load_state_dict(weights, strict=False).missing_keys
    if missing:
        raise SystemExit(f"{len(missing)} tensors are not in the weights, such as {missing[0]}")


def load(name: str) -> ModuleType:
    """The example script of that name as a module."""
    path = Path(__file__).resolve().parents[2] / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def show(kind: str, figures: dict[str, list[float]]) -> None:
    """Print the means, and each arm's difference to the library's own with its interval over seeds."""
    own = np.array(figures[OWN])
    for arm, found in figures.items():
        words = f"{kind}: {arm}: {np.mean(found):.3f} of {len(found)} seeds ({', '.join(f'{x:.3f}' for x in found)})"
        if arm != OWN and len(found) > 1:
            difference = np.array(found) - own
            half = stats.t.ppf(0.975, len(own) - 1) * difference.std(ddof=1) / np.sqrt(len(own))
            words += f"; {difference.mean():+.3f} ({difference.mean() - half:+.3f} to {difference.mean() + half:+.3f})"
        print(words, flush=True)


if __name__ == "__main__":
    main()
