"""What acting on a report brings, on the frozen features of a network: three tables in tests/benchmarks/RESULTS.md.

    python tests/benchmarks/desk.py unlike|correct|queue|shift DATA NETWORK… [--seeds 0 1 2 3 4]

DATA holds flowers5, clothing10 and trash6, each with a split.csv; NETWORK is what `pcn finetune --model` takes.
Features are kept in --cache, since everything else takes seconds.
"""

import argparse
import csv
import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import gettempdir

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from sklearn.metrics import f1_score, roc_auc_score

from pcn_cli.data.drawing import draw_photos
from pcn_cli.data.load.loaders import PhotoBatches, PhotoDataset
from pcn_cli.metrics.shift import LEVEL, compare_photos, find_class_shifts
from pcn_cli.metrics.suspects import find_doubts
from pcn_cli.metrics.unlike import Learned
from pcn_cli.models.fold_norms import fold_norms
from pcn_cli.models.sources import find_source
from pcn_cli.models.weights import Fetcher
from pcn_cli.recipe.schema import Recipe
from pcn_cli.training.folds import divide_folds
from pcn_cli.training.logistic import choose_head, fit_head

SETS = ("flowers5", "clothing10", "trash6")
MADE = 120  # photos of each made-up kind
WORDS = (
    *("the", "of", "and", "to", "in", "is", "that", "for", "it", "was", "on", "are", "as", "with", "his", "they"),
    *("at", "be", "this", "from", "have", "or", "by", "one", "had", "not", "but", "what", "all", "were", "when"),
)


class Photos:
    """Features (N, C) of a set's photos with class numbers (N,) and parts (N,)."""

    def __init__(self, features: np.ndarray, labels: list[str], parts: list[str]) -> None:
        self.features, self.parts = features, np.array(parts)
        self.classes, self.targets = np.unique(labels, return_inverse=True)

    def places(self, *parts: str) -> np.ndarray:
        """Where the photos of some parts stand."""
        return np.flatnonzero(np.isin(self.parts, parts))

    def without_test(self) -> "Photos":
        """The training and validation photos."""
        own = self.places("train", "val")
        return Photos(self.features[own], self.classes[self.targets[own]].tolist(), self.parts[own].tolist())


def main() -> None:
    """Read the command line and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("unlike", "correct", "queue", "shift"))
    parser.add_argument("data", type=Path)
    parser.add_argument("networks", nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--cache", type=Path, default=Path(gettempdir()) / "pcn-desk")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.cache.mkdir(exist_ok=True)
    for network in arguments.networks:
        read = partial(read_set, arguments.data, network=network, cache=arguments.cache)
        print(f"\n{network}\n")
        if arguments.what == "unlike":
            tell_unlike({name: read(name) for name in SETS}, make_strange(network, arguments.cache))
        elif arguments.what == "correct":
            tell_corrections(read("flowers5"), arguments.seeds)
        elif arguments.what == "shift":
            tell_alarms({name: read(name) for name in SETS})
        else:
            tell_queue(read("clothing10"), arguments.seeds)


def tell_unlike(sets: dict[str, Photos], made: dict[str, np.ndarray]) -> None:
    """By own set: the share of own test photos that is called unlike, and of foreign ones, with the AUROC."""
    print("| learned from | own test photos refused | foreign | AUROC | refused |", "|---|---|---|---|---|", sep="\n")
    for own, photos in sets.items():
        train, val, test = (photos.features[photos.places(part)] for part in ("train", "val", "test"))
        labels = [str(number) for number in photos.targets[photos.places("train")]]
        learned = Learned.of(train, val, labels, seed=0)
        mine = learned.unlike(test)
        foreign = {name: one.features[one.places("test")] for name, one in sets.items() if name != own} | made
        for name, features in foreign.items():
            theirs = learned.unlike(features)
            area = roc_auc_score(np.repeat([0, 1], [len(mine), len(theirs)]), np.concatenate([mine, theirs]))
            first = f"{own} | {(mine > 1).mean():.1%} of {len(mine)}"
            print(f"| {first} | {name} ({len(theirs)}) | {area:.3f} | {(theirs > 1).mean():.1%} |")


def tell_alarms(sets: dict[str, Photos], *, halves: int = 20) -> None:
    """How often the shift check speaks: of halves of one set, with a class drawn three times as often, of another set.

    Test photos of the sets are left out.
    """
    print(
        "| | halves of one set | one class three times as frequent | half of them foreign |",
        "|---|---|---|---|",
        sep="\n",
    )
    sets = {name: photos.without_test() for name, photos in sets.items()}
    for name, photos in sets.items():
        alarms = np.zeros(3, dtype=int)
        foreign = next(one for other, one in sets.items() if other != name).features
        for seed in range(100, 100 + halves):
            rng = np.random.default_rng(seed)
            order = rng.permutation(len(photos.features))
            first, second = np.array_split(order, 2)
            weights = np.where(photos.targets[second] == seed % len(photos.classes), 3.0, 1.0)
            uneven = rng.choice(second, len(second) // 2, replace=False, p=weights / weights.sum())
            mixed = np.concatenate([photos.features[second[:30]], rng.permutation(foreign)[:30]])
            labels, names = photos.classes[photos.targets], photos.classes.tolist()
            tried = (
                (photos.features[second], labels[second]),
                (photos.features[uneven], labels[uneven]),
                (mixed, labels[second[:30]]),
            )
            alarms += [
                compare_photos(photos.features[first], new, seed=seed)[0] < LEVEL
                or bool(find_class_shifts(labels[first].tolist(), own.tolist(), names))
                for new, own in tried
            ]
        print(f"| {name} |", " | ".join(f"{count} of {halves}" for count in alarms), "|")


def tell_corrections(photos: Photos, seeds: list[int], *, share: float = 0.1) -> None:
    """What correcting the suspects brings where a share of the labels is wrong, in all parts but the test's."""
    print("| seed | wrong labels | suspects | wrong among them | as it is | suspects corrected | all right |")
    print("|---|---|---|---|---|---|---|")
    figures = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        own = photos.places("train", "val")
        spoilt = photos.targets.copy()
        wrong = rng.choice(own, round(share * len(own)), replace=False)
        spoilt[wrong] = (spoilt[wrong] + rng.integers(1, len(photos.classes), len(wrong))) % len(photos.classes)
        suspects = own[find_suspects(photos.features[own], spoilt[own], classes=len(photos.classes), seed=seed)]
        corrected = spoilt.copy()
        corrected[suspects] = photos.targets[suspects]  # what a person at the desk knows
        before, after, best = (accuracy_of(photos, labels) for labels in (spoilt, corrected, photos.targets))
        found = int(np.isin(suspects, wrong).sum())
        figures.append((len(suspects), found, before, after, best))
        print(f"| {seed} | {len(wrong)} | {len(suspects)} | {found} | {before:.1%} | {after:.1%} | {best:.1%} |")
    means = np.mean(figures, axis=0)
    shares = " | ".join(f"{value:.1%}" for value in means[2:])
    print(f"| mean | {len(wrong)} | {means[0]:.0f} | {means[1]:.0f} | {shares} |")


def find_suspects(features: np.ndarray, targets: np.ndarray, *, classes: int, seed: int) -> np.ndarray:
    """The places of doubtful labels, as a run finds them: by regressions that are blind to a fifth each."""
    probabilities = np.empty((len(targets), classes))
    for fold in divide_folds(targets, np.arange(len(targets)), folds=5, seed=seed):
        head = fit_head(features[fold.learn], targets[fold.learn], C=0.003, classes=classes)
        probabilities[fold.held_out] = head.probabilities(features[fold.held_out])
    places, _ = find_doubts(targets, probabilities, judged=np.ones(len(targets), dtype=bool))
    return places


def accuracy_of(photos: Photos, labels: np.ndarray) -> float:
    """The accuracy on the test photos, whose labels are right, of a regression on the others with these labels."""
    train, val, test = (photos.places(part) for part in ("train", "val", "test"))
    head = choose_head(
        photos.features[train],
        labels[train],
        val_features=photos.features[val],
        val_targets=labels[val],
        classes=len(photos.classes),
    )
    return float((head.probabilities(photos.features[test]).argmax(axis=1) == photos.targets[test]).mean())


def tell_queue(photos: Photos, seeds: list[int], *, first: int = 100, rounds: int = 5, each: int = 50) -> None:
    """Macro-F1 on the test photos after each round of labels, for the queue and for a random choice."""
    curves = {"queue": [], "random": []}
    for seed in seeds:
        start = np.random.default_rng(seed).permutation(photos.places("train", "val"))[:first]
        for way, gathered in curves.items():
            gathered.append(list(label_rounds(photos, start, way=way, seed=seed, rounds=rounds, each=each)))
    counts = [first + each * number for number in range(rounds + 1)]
    print("| labelled |", " | ".join(map(str, counts)), "| mean |", "\n|" + "---|" * (len(counts) + 2))
    for way, gathered in curves.items():
        for seed, curve in zip(seeds, gathered, strict=True):
            print(f"| {way}, seed {seed} |", " | ".join(f"{one:.1%}" for one in curve), f"| {np.mean(curve[1:]):.1%} |")
        means = np.mean(gathered, axis=0)
        print(f"| **{way}, mean** |", " | ".join(f"{one:.1%}" for one in means), f"| {means[1:].mean():.1%} |")
    won = sum(np.mean(q[1:]) > np.mean(r[1:]) for q, r in zip(curves["queue"], curves["random"], strict=True))
    last = sum(q[-1] > r[-1] for q, r in zip(curves["queue"], curves["random"], strict=True))
    print(f"\nThe queue is better in {won} of {len(seeds)} seeds over all rounds, in {last} after the last.")


def label_rounds(photos: Photos, start: np.ndarray, *, way: str, seed: int, rounds: int, each: int) -> Iterator[float]:
    """The macro-F1 at the start and after each round."""
    from pcn_cli.metrics.queue import choose_queue

    rng, labelled, test = np.random.default_rng((seed, 1)), start, photos.places("test")
    pool = photos.places("train", "val")
    for number in range(rounds + 1):
        targets = photos.targets[labelled]
        head = fit_head(photos.features[labelled], targets, C=0.01, classes=len(photos.classes))
        guesses = head.probabilities(photos.features[test]).argmax(axis=1)
        yield float(f1_score(photos.targets[test], guesses, average="macro"))
        if number == rounds:
            return
        rest = np.setdiff1d(pool, labelled)
        if way == "random":
            chosen = rng.permutation(len(rest))[:each]
        else:
            features = photos.features[rest]
            kept, aside = labelled[::2], labelled[1::2]
            learned = Learned.of(photos.features[kept], photos.features[aside], list(map(str, kept)), seed=seed)
            chosen = choose_queue(
                head.probabilities(features),
                features,
                learned.unlike(features),
                count=each,
            )
        labelled = np.concatenate([labelled, rest[chosen]])


def read_set(data: Path, name: str, *, network: str, cache: Path) -> Photos:
    """A set's photos with their features."""
    with (data / name / "split.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    files = [data / name / row["file"] for row in rows]
    features = features_of(network, files, cache=cache, key=name)
    return Photos(features, [row["label"] for row in rows], [row["split"] for row in rows])


def features_of(network: str, files: list[Path], *, cache: Path, key: str) -> np.ndarray:
    """Mean tokens (N, C) of the files, computed once."""
    place = cache / f"{key}-{hashlib.sha256(network.encode()).hexdigest()[:8]}.npy"
    if place.is_file():
        return np.load(place)
    model, config = find_source(network).start(("a", "b"), Recipe(), fetch=Fetcher())
    trunk, photos = (
        fold_norms(model).eval(),
        PhotoDataset(Path(), [str(one) for one in files], preprocessing=config.preprocessing),
    )
    cpu = torch.device("cpu")
    with torch.inference_mode():
        batches = PhotoBatches(photos, batch_size=32, workers=0).batches()
        features = torch.cat([trunk.forward_features(one.inputs(cpu)).mean(dim=(2, 3)) for one in batches]).numpy()
    np.save(place, features)
    return features


def make_strange(network: str, cache: Path) -> dict[str, np.ndarray]:
    """Features of drawn shapes, pages of text and noise."""
    root, rng = cache / "strange", np.random.default_rng(0)
    if not root.is_dir():
        draw_photos(root / "drawn shapes", {"train": MADE // 4, "val": 0, "test": 0}, seed=1)
        for kind, make in (("text", make_page), ("noise", make_noise)):
            (root / kind).mkdir()
            for number in range(MADE):
                make(rng, number).save(root / kind / f"{number:03}.jpg", quality=88)
    kinds = sorted(path.name for path in root.iterdir())
    return {kind: features_of(network, sorted((root / kind).rglob("*.jpg")), cache=cache, key=kind) for kind in kinds}


def make_page(rng: np.random.Generator, number: int) -> Image.Image:
    """A page of words."""
    page = Image.new("RGB", (256, 320), tuple(int(value) for value in rng.integers(225, 256, 3)))
    pen, font, line = ImageDraw.Draw(page), ImageFont.load_default(int(rng.integers(11, 22))), 10
    while line < 305:
        pen.text((12, line), " ".join(rng.choice(WORDS, 7)), fill=(20, 20, 25), font=font)
        line += int(rng.integers(16, 26))
    return page


def make_noise(rng: np.random.Generator, number: int) -> Image.Image:
    """Noise of one of three grains."""
    side = 256 // (1 + 3 * (number % 3))
    pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((256, 256), Image.Resampling.BICUBIC)


if __name__ == "__main__":
    main()
