"""What `nano` brings to photos it has never seen, beside what needs no network: the table in examples/nano.md.

    python tests/benchmarks/transfer.py PHOTOS
    python tests/benchmarks/transfer.py PHOTOS… --compare nano nano-new

PHOTOS should come with their own split. Prints Markdown; takes about half an hour on two cores. With `--compare` it
says in minutes which weights bring more: a logistic regression on the mean tokens of the training and validation
photos, cross-validated; the test photos are not opened.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import pcn_cli
from pcn_cli.data.load.loaders import PhotoBatches, PhotoDataset
from pcn_cli.data.scan.scan_photos import scan_photos
from pcn_cli.models.sources import find_source
from pcn_cli.models.weights import Fetcher
from pcn_cli.records.metrics import Candidate

PIXELS = 32  # side of the picture that the regression on raw pixels sees
FOLDS = 5
STRENGTHS = (0.01, 0.03, 0.1, 0.3)  # C of the compared regressions; each model has its best, by log-loss


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="Measure what nano brings to other photos.")
    parser.add_argument(
        "photos", type=Path, nargs="+", help="a folder of photos with its own split; several to compare"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--compare", nargs="+", default=(), help="models, each against the first")
    arguments = parser.parse_args()
    if arguments.compare:
        compare(arguments.photos, arguments.compare, arguments.seeds)
        return
    photos = arguments.photos[0].resolve()
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


def compare(folders: Sequence[Path], models: Sequence[str], seeds: Sequence[int]) -> None:
    """Print what each model's mean tokens are worth on each set, and the differences from the first with 95 %."""
    print("| cross-validated | photos | accuracy | log-loss | C |", "|---|---|---|---|---|", sep="\n")
    differences: dict[str, list[np.ndarray]] = {name: [] for name in models[1:]}
    for folder in folders:
        found = [photo for photo in scan_photos(folder).photos if photo.split != "test"]
        files = [photo.file for photo in found]
        labels = np.unique([photo.label for photo in found], return_inverse=True)[1]
        first = np.empty(0)
        for name in models:
            tokens = mean_tokens(folder, files, labels, name)
            by_strength = {strength: answer(tokens, labels, strength, seeds) for strength in STRENGTHS}
            best = min(STRENGTHS, key=lambda strength: by_strength[strength][1].mean())
            figures = np.stack(by_strength[best])  # (2, N): right, log-loss
            print(
                f"| {name}: {folder.name} | {len(files)} | {figures[0].mean():.1%} | {figures[1].mean():.3f} | {best} |"
            )
            if name == models[0]:
                first = figures
            else:
                differences[name].append(figures - first)
    for name, sets in differences.items():
        change = np.mean([one.mean(axis=1) for one in sets], axis=0)
        error = 1.96 * np.sqrt(sum(one.var(axis=1, ddof=1) / one.shape[1] for one in sets)) / len(sets)
        points, loss = f"{change[0]:+.1%} ± {error[0]:.1%}", f"{change[1]:+.3f} ± {error[1]:.3f}"
        print(f"\n{name} against {models[0]}, mean of the sets: accuracy {points}, log-loss {loss}")


@torch.inference_mode()
def mean_tokens(folder: Path, files: Sequence[str], labels: np.ndarray, name: str) -> np.ndarray:
    """The mean token (N, d) of each photo."""
    network, config = find_source(name).read(fetch=Fetcher(offline=True))
    photos = PhotoDataset(folder, list(files), labels, preprocessing=config.preprocessing)
    device = torch.device("cpu")
    batches = PhotoBatches(photos, batch_size=50, workers=0, device=device).batches()
    return torch.cat([network.forward_features(batch.inputs(device)).mean((2, 3)) for batch in batches]).numpy()


def answer(
    tokens: np.ndarray, labels: np.ndarray, strength: float, seeds: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Whether each photo is answered right (N,), and its log-loss (N,), by regressions that did not learn from it."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=500))
    rows, right, loss = np.arange(len(labels)), [], []
    for seed in seeds:
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
        chances = cross_val_predict(model, tokens, labels, cv=folds, method="predict_proba")
        right.append(chances.argmax(axis=1) == labels)
        loss.append(-np.log(chances[rows, labels]))
    return np.mean(right, axis=0), np.mean(loss, axis=0)


def read_small(path: Path) -> np.ndarray:
    """The pixels of the shrunken photo, (3 · 32 · 32,) in 0 … 1."""
    with Image.open(path) as photo:
        return np.asarray(photo.convert("RGB").resize((PIXELS, PIXELS), Image.Resampling.BICUBIC)).ravel() / 255


if __name__ == "__main__":
    main()
