"""What `--balance` does where some classes are rare: the figures in RESULTS.md.

    python tests/benchmarks/balance.py PHOTOS --model MODEL --seeds 0 1 2

PHOTOS should come with their own split. Of the training and validation photos of three classes, drawn by the seed,
only a sixth is kept; all test photos are measured, once as they are and once weighed so that classes are as uneven as
in training. Prints Markdown.
"""

import argparse
import csv
import os
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

import numpy as np
from sklearn.metrics import accuracy_score, f1_score, log_loss

import pcn_cli
from pcn_cli.data.scan.scan_photos import scan_photos
from pcn_cli.runs.predictions import read_predictions

WAYS = ("none", "loss", "sampler")
RARE, KEPT = 3, 6  # classes that are cut, and one of how many photos stays
FIGURES = ("macro-F1", "accuracy", "log-loss", "accuracy as uneven", "log-loss as uneven")


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="Measure what --balance does where some classes are rare.")
    parser.add_argument("photos", type=Path, help="a folder of photos with its own split")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    photos = arguments.photos.resolve()
    print(f"| balance | {' | '.join(FIGURES)} |", "|---" * (1 + len(FIGURES)) + "|", sep="\n")
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        for way in WAYS:
            figures = [
                measure(photos, way, model=arguments.model, size=arguments.size, seed=seed) for seed in arguments.seeds
            ]
            cells = (
                f"{mean(own):.3f} ({', '.join(f'{value:.3f}' for value in own)})" for own in zip(*figures, strict=True)
            )
            print(f"| `{way}` | {' | '.join(cells)} |", flush=True)


def measure(photos: Path, way: str, *, model: str, size: int, seed: int) -> list[float]:
    """The FIGURES of a probe."""
    rare = write_uneven(photos, Path("uneven.csv"), seed=seed)
    settings = ["explain.overlays=0", "explain.checks=0"]
    run = pcn_cli.finetune(
        photos, labels="uneven.csv", model=model, tune="probe", size=size, seed=seed, balance=way, settings=settings
    ).run
    predictions, classes = read_predictions(run / "predictions.csv")
    labels = [one.label for one in predictions]
    predicted = [one.predicted for one in predictions]
    probabilities = np.array([one.probabilities for one in predictions])
    uneven = np.array([1 / KEPT if label in rare else 1.0 for label in labels])
    return [
        f1_score(labels, predicted, average="macro"),
        accuracy_score(labels, predicted),
        log_loss(labels, probabilities, labels=classes),
        accuracy_score(labels, predicted, sample_weight=uneven),
        log_loss(labels, probabilities, labels=classes, sample_weight=uneven),
    ]


def write_uneven(photos: Path, table: Path, *, seed: int) -> set[str]:
    """The rare classes of a table of the photos in which they are."""
    rng, found = np.random.default_rng(seed), scan_photos(photos).photos
    rare = set(rng.permutation(sorted({photo.label for photo in found}))[:RARE].tolist())
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label", "split"])
        for number, place in enumerate(rng.permutation(len(found))):
            photo = found[place]
            if photo.split == "test" or photo.label not in rare or number % KEPT == 0:
                writer.writerow([photos / photo.file, photo.label, photo.split])
    return rare


if __name__ == "__main__":
    main()
