"""What the maps are worth and what they cost: the tables in RESULTS.md.

    python tests/benchmarks/maps.py boxes TINY          # where things are known to lie, with nano
    python tests/benchmarks/maps.py demo DEMO           # the same on the photos of a finished `pcn demo`
    python tests/benchmarks/maps.py order PHOTOS MODEL… # hiding in the map's order, and what the map depends on
    python tests/benchmarks/maps.py cost                # seconds beside those of the forward pass

TINY is Tiny-ImageNet as examples/unpack_tiny_imagenet.py unpacks it. Prints Markdown.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import timm
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

import pcn_cli
import pcn_cli.models.entrypoints  # importing is registering
from pcn_cli.attention.localisation import energy_in_boxes, even_energy, find_peak, middle_energy
from pcn_cli.data.boxes.read import read_boxes
from pcn_cli.data.load.loaders import PhotoBatches, PhotoDataset
from pcn_cli.files.atomic import read_csv
from pcn_cli.metrics.intervals import proportion
from pcn_cli.metrics.pointing import covered_share, hits_box
from pcn_cli.metrics.trust import mean_with_interval
from pcn_cli.models.weights import Fetcher
from pcn_cli.records.metrics import Metric
from pcn_cli.records.model import ModelConfig, Preprocessing
from pcn_cli.records.photos import Box
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.store import TRUST
from pcn_cli.stages.bench import explain
from pcn_cli.stages.inference.hiding import Hiding
from pcn_cli.stages.inference.load import open_model
from pcn_cli.stages.inference.score import Scored, score_photos
from pcn_cli.training.device import time_in_turns

BATCH = 32
CPU = torch.device("cpu")


def main() -> None:
    """Measure what was asked for and print its table."""
    parser = argparse.ArgumentParser(description="Measure what the maps are worth and what they cost.")
    kinds = parser.add_subparsers(dest="kind", required=True)
    boxes = kinds.add_parser("boxes", help="pointing game and energy-in-box on Tiny-ImageNet")
    boxes.add_argument("photos", type=Path)
    boxes.add_argument("--model", default="nano")
    boxes.add_argument("--pictures", type=int, default=2_000)
    demo = kinds.add_parser("demo", help="the same on the photos of a finished demo")
    demo.add_argument("folder", type=Path)
    order = kinds.add_parser("order", help="symmetric relevance gain, and parameter randomisation")
    order.add_argument("photos", type=Path)
    order.add_argument("models", nargs="+")
    cost = kinds.add_parser("cost", help="what the maps add to the forward pass of S60")
    cost.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.kind == "boxes":
        rows = [row["file"] for row in read_csv(arguments.photos / "labels.csv") if row["split"] == "test"]
        drawn = np.random.default_rng(0).choice(len(rows), min(arguments.pictures, len(rows)), replace=False)
        known = read_boxes(arguments.photos / "boxes.csv")
        files = [rows[place] for place in sorted(drawn) if rows[place] in known]
        print_localisation(arguments.model, arguments.photos, files, known)
    elif arguments.kind == "demo":
        known = read_boxes(arguments.folder / "boxes.csv")
        print_localisation(str(arguments.folder / "run"), arguments.folder / "photos", sorted(known), known)
    elif arguments.kind == "order":
        print_order(arguments.photos.resolve(), arguments.models)
    else:
        print_cost(arguments.rounds)


def print_localisation(model: str, photos: Path, files: Sequence[str], boxes: Mapping[str, Sequence[Box]]) -> None:
    """How look, evidence and Grad-CAM find the objects, beside guesses."""
    opened = open_model(model, fetch=Fetcher(offline=True))
    network, config = opened.network, opened.config
    scored = list(score_photos(opened, photos, files, batch_size=BATCH, workers=0, hiding=Hiding(seed=0)))
    maps = {
        "look": [one.look for one in scored],
        "evidence": [one.hidden.evidence[0] for one in scored if one.hidden],
        "Grad-CAM": grad_cams(network, config, photos, scored),
    }
    own = [boxes[one.prediction.file] for one in scored]
    print(
        f"| {len(scored):,} pictures | strongest place in a box | share of the map in the boxes |",
        "|---|---|---|",
        sep="\n",
    )
    for name, values in maps.items():
        hits, energy = [], []
        for one, each, some in zip(scored, values, own, strict=True):
            places = {"patch_grid": config.patch_grid, "placement": one.placement}
            hits.append(hits_box(*find_peak(each, **places), some))
            energy.append(energy_in_boxes(each, some, **places))
        print(f"| {name} | {share(count(hits))} | {share(mean_with_interval(energy, ''))} |")
    middle = [hits_box((some[0].width - 1) / 2, (some[0].height - 1) / 2, some) for some in own]
    blob = [middle_energy(some, one.placement) for one, some in zip(scored, own, strict=True)]
    even = [even_energy(some, one.placement) for one, some in zip(scored, own, strict=True)]
    covered = mean_with_interval([covered_share(some) for some in own], "")
    print(f"| the middle (a round blob there) | {share(count(middle))} | {share(mean_with_interval(blob, ''))} |")
    print(f"| at random (the same everywhere) | {share(covered)} | {share(mean_with_interval(even, ''))} |")


def grad_cams(network: nn.Module, config: ModelConfig, photos: Path, scored: Sequence[Scored]) -> list[np.ndarray]:
    """Grad-CAM of each photo's predicted class at the tokens, as a map of the patch grid, so that geometry is alike."""
    files = [one.prediction.file for one in scored]
    labels = [config.classes.index(one.prediction.predicted) for one in scored]
    dataset = PhotoDataset(photos, files, labels, preprocessing=config.preprocessing)
    batches = PhotoBatches(dataset, batch_size=BATCH)
    layer, found = network.get_submodule("blocks")[-1], []
    with GradCAM(model=network, target_layers=[layer]) as cam:
        for batch in batches.batches():
            targets = [ClassifierOutputTarget(label) for label in batch.targets.tolist()]
            cam(input_tensor=batch.images, targets=targets)
            inside = cam.activations_and_grads
            activations, gradients = (values[0].detach().numpy() for values in (inside.activations, inside.gradients))
            found.extend(cam.get_cam_image(batch.images, layer, targets, activations, gradients))
    return found


def print_order(photos: Path, models: Sequence[str]) -> None:
    """What a probe of each model passes, on at most 200 test photos."""
    rows: dict[str, dict[str, str]] = {}
    settings = ["explain.checks=200", "explain.overlays=0"]
    for model in models:
        with TemporaryDirectory() as folder:
            run = pcn_cli.finetune(
                photos, model=model, tune="probe", settings=settings, output=Path(folder) / "run"
            ).run
            trust = TRUST.find(RunDir(run))
        if trust is None:
            raise SystemExit(f"{model}: the run holds no trust.json")
        values = {f"{check.key}: {name}": value for check in trust.checks for name, value in check.values.items()}
        for name, value in values.items():
            rows.setdefault(name, {})[Path(model).name] = interval(value)
    names = [Path(model).name for model in models]
    print(f"| on the test photos | {' | '.join(names)} |", f"|---{'|---' * len(names)}|", sep="\n")
    for name, cells in rows.items():
        print(f"| {name} | {' | '.join(cells.get(one, '–') for one in names)} |")


def print_cost(rounds: int) -> None:
    """Processor seconds of the pass with everything over those of the plain forward pass, interleaved."""
    print("| S60 at 224, batch 32, eager float32, channels-last | added to the forward pass |", "|---|---|", sep="\n")
    images = torch.randn(BATCH, 3, 224, 224).contiguous(memory_format=torch.channels_last)
    for classes in (5, 100):
        network = timm.create_model("patchconvnet_s60", num_classes=classes).eval()
        config = ModelConfig(
            architecture="patchconvnet_s60",
            classes=tuple(map(str, range(classes))),
            preprocessing=Preprocessing(height=224, width=224),
        )
        works = {
            "plain": partial(network, images),
            "full": partial(explain, network, images, config),
        }
        with torch.inference_mode():
            # Processor seconds: what other programs on the machine do counts less.
            taken = time_in_turns(works, rounds=rounds, device=CPU, clock=time.process_time)
        ratios = sorted(more / less - 1 for less, more in zip(taken["plain"], taken["full"], strict=True))
        print(f"| {classes} classes | {median(ratios):.1%} ({ratios[0]:.1%} – {ratios[-1]:.1%} in {rounds} rounds) |")


def count(hits: Sequence[bool]) -> Metric:
    """The share of hits."""
    return proportion(sum(hits), len(hits), "")


def share(metric: Metric) -> str:
    """A share in percent with its interval."""
    return f"{metric.value:.1%} ({metric.ci_low:.1%} – {metric.ci_high:.1%})"


def interval(metric: Metric) -> str:
    """A number with its interval, where it has one."""
    known = f" ({metric.ci_low:.3f} – {metric.ci_high:.3f})" if metric.ci_low is not None else ""
    return f"{metric.value:.3f}{known}"


if __name__ == "__main__":
    main()
