"""What `nano` brings to photos it has never seen, beside what needs no network: the table in examples/nano.md.

    python tests/benchmarks/transfer.py PHOTOS

PHOTOS should come with their own split. Prints Markdown; takes about half an hour on two cores.
"""

import argparse
import os
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import pcn_cli
from pcn_cli.data.scan.scan_photos import scan_photos
from pcn_cli.records.metrics import Candidate

PIXELS = 32  # side of the picture that the regression on raw pixels sees


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="Measure what nano brings to other photos.")
    parser.add_argument("photos", type=Path, help="a folder of photos with its own split")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    arguments = parser.parse_args()
    photos = arguments.photos.resolve()
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        rows = measure(photos, arguments.seeds)
    print("| on the test photos | accuracy |", "|---|---|", sep="\n")
    for name, accuracies in rows.items():
        each = f" ({', '.join(f'{accuracy:.1%}' for accuracy in accuracies)})" if len(accuracies) > 1 else ""
        print(f"| {name} | {mean(accuracies):.1%}{each} |")


def measure(photos: Path, seeds: list[int]) -> dict[str, list[float]]:
    """Test accuracies of each way, one per seed where the seed matters."""
    tuned = [train(photos, seed, tune="all") for seed in seeds]
    probed = [train(photos, seed, tune="probe") for seed in seeds]
    untrained = [train(photos, seed, tune="probe", settings=["model.pretrained=false"]) for seed in seeds]
    return {
        "`nano`, everything tuned": [accuracy(run, "tuned") for run in tuned],
        "the probe that the tuning began with": [accuracy(run, "probe") for run in tuned],
        "`nano`, probe": [accuracy(run, "probe") for run in probed],
        "logistic regression on `nano`'s mean token": [accuracy(run, "logistic regression") for run in probed[:1]],
        "the same network untrained, probe": [accuracy(run, "probe") for run in untrained],
        f"logistic regression on raw {PIXELS} × {PIXELS} pixels": [score_raw_pixels(photos)],
    }


def train(photos: Path, seed: int, **options: object) -> dict[str, Candidate]:
    """The compared models of a run, by name."""
    outcome = pcn_cli.finetune(photos, model="nano", seed=seed, **options)
    return {candidate.name: candidate for candidate in outcome.candidates}


def accuracy(run: dict[str, Candidate], name: str) -> float:
    """The test accuracy of one of the compared models."""
    measured = run[name].accuracy
    if measured is None:
        raise SystemExit(f"{name} was not measured")
    return measured.value


def score_raw_pixels(photos: Path) -> float:
    """The test accuracy of a strongly regularised regression on shrunken photos."""
    found = scan_photos(photos).photos
    raw = np.stack([read_small(photos / photo.file) for photo in found])
    labels, train = np.array([photo.label for photo in found]), np.array([photo.split == "train" for photo in found])
    test = np.array([photo.split == "test" for photo in found])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, max_iter=500))
    return float(model.fit(raw[train], labels[train]).score(raw[test], labels[test]))


def read_small(path: Path) -> np.ndarray:
    """The pixels of the shrunken photo, (3 · 32 · 32,) in 0 … 1."""
    with Image.open(path) as photo:
        return np.asarray(photo.convert("RGB").resize((PIXELS, PIXELS), Image.Resampling.BICUBIC)).ravel() / 255


if __name__ == "__main__":
    main()
