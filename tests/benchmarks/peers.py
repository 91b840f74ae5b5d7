"""How pcn does beside what else people use, with the same photos, split and backbone: the tables in RESULTS.md.

    python tests/benchmarks/peers.py PHOTOS … --models nano timm:local-dir:FOLDER --peers regression pcn-probe

PHOTOS come with a test part, which stays; training and validation photos are drawn anew by the seed, near duplicates
together. Every run is a process of its own with a line in RESULTS/runs.jsonl, so that a stopped benchmark goes on; its
time is that of its thread, but for the wall clock. Everybody's temperature is fitted on the validation photos. A peer
that trains the network takes its epochs as `timm:10`. Prints Markdown.

fastai needs not stand where pcn does: `python -m venv OTHER && OTHER/bin/pip install fastai timm`, then
`--fastai-python OTHER/bin/python`. A peer that is not installed is left out, with a line that says so.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from statistics import mean

import numpy as np

BATCH = 32  # photos at once, where nothing else is a peer's own default
LOCAL = "timm:"  # what pcn puts before the name of a timm model
REGRESSION, PROBE = "regression", "pcn-probe"
INTERVAL = 1.96  # standard errors on each side of a mean


@dataclass(frozen=True)
class Job:
    """One run: which peer learns what from which photos; `epochs` and `size` are the peer's own where they are 0.

    `table` is a CSV with file, label and split of the photos, `output` the folder of the run's files.
    """

    peer: str
    epochs: int
    photos: str
    model: str
    seed: int
    size: int
    table: str = ""
    output: str = ""
    started: float = 0.0

    @property
    def key(self) -> list[object]:
        """What tells runs apart."""
        return [self.peer, self.epochs, Path(self.photos).name, Path(self.model).name, self.seed, self.size]

    def part(self, *names: str) -> tuple[list[str], np.ndarray]:
        """The files of the photos of these parts, and their class numbers (N,)."""
        with Path(self.table).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        classes = sorted({row["label"] for row in rows})
        own = [row for row in rows if row["split"] in names]
        return [row["file"] for row in own], np.array([classes.index(row["label"]) for row in own])


@dataclass(frozen=True)
class Answers:
    """What a run gave: probabilities (N, K) of the validation and test photos before any temperature, and its cost.

    `first` is when the first accuracy was known, `whole` when everything was done, both as `now` tells it.
    """

    val: np.ndarray
    test: np.ndarray
    first: dict[str, float]
    whole: dict[str, float]
    facts: dict[str, object] = field(default_factory=dict)


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description="Measure pcn beside what else people use.")
    parser.add_argument("photos", type=Path, nargs="*", help="folders of photos with a test part")
    parser.add_argument("--models", nargs="+", default=["nano"], help="as pcn finetune --model")
    parser.add_argument("--peers", nargs="+", default=[REGRESSION, PROBE], help=f"of {', '.join(PEERS)}; NAME:EPOCHS")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--size", type=int, default=0, help="pixels of the input; otherwise the model's own")
    parser.add_argument("--results", type=Path, default=Path("peers"), help="folder of the results")
    parser.add_argument("--fastai-python", default=sys.executable, help="the interpreter that has fastai and timm")
    parser.add_argument("--only-run", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only_run:
        run_job(Job(**json.loads(arguments.only_run)))
        return
    results = arguments.results.resolve()
    results.mkdir(parents=True, exist_ok=True)
    jobs = list(list_jobs(arguments))
    for job in jobs:
        if job.key not in [row["key"] for row in read_rows(results)]:
            measure(job, results, arguments.fastai_python if job.peer == "fastai" else sys.executable)
    wanted = [job.key for job in jobs]
    print_tables([row for row in read_rows(results) if row["key"] in wanted])


def list_jobs(arguments: argparse.Namespace) -> Iterator[Job]:
    """The runs to make; peers change fastest, so that they share whatever else the machine does."""
    for seed, model, photos, peer in product(arguments.seeds, arguments.models, arguments.photos, arguments.peers):
        name, _, epochs = peer.partition(":")
        if name not in PEERS:
            raise SystemExit(f"no peer is called {name}; there are {', '.join(PEERS)}")
        if model.startswith(LOCAL) or name in (REGRESSION, *PCN):
            yield Job(name, int(epochs or 0), str(photos.resolve()), model, seed, arguments.size)
        else:
            print(f"{name} is left out with {model}, which is no model of timm", file=sys.stderr)


def measure(job: Job, results: Path, python: str) -> None:
    """Make a run in a process of its own and add its line to the results."""
    output = results / "-".join(map(str, job.key)).replace(":", "_")
    output.mkdir(exist_ok=True)
    job = replace(job, table=str(write_split(job, results)), output=str(output))
    job = replace(job, started=time.time())
    made = subprocess.run([python, __file__, "--only-run", json.dumps(asdict(job))], check=False)
    if made.returncode:
        print(f"{job.peer} is left out: it ended with {made.returncode}", file=sys.stderr)
        return
    row = {"key": job.key, "peer": job.peer, **json.loads((output / "cost.json").read_text()), **figures(job)}
    with (results / "runs.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def write_split(job: Job, results: Path) -> Path:
    """A table of the photos with the test part that they came with and the others divided by the seed, 3 to 1."""
    from pcn_cli.data.scan.scan_photos import scan_photos
    from pcn_cli.data.split import split_scan

    table = results / f"{Path(job.photos).name}-{job.seed}.csv"
    if not table.is_file():
        scan = scan_photos(Path(job.photos))
        free = tuple(replace(photo, split=photo.split if photo.split == "test" else None) for photo in scan.photos)
        rows = split_scan(replace(scan, photos=free), seed=job.seed, val=0.2, test=0.2)
        with table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["file", "label", "split"])
            writer.writerows([str(Path(job.photos, row.file)), row.label, row.split] for row in rows)
    return table


def figures(job: Job) -> dict[str, object]:
    """What the answers of a run are worth, with what each test photo lost and whether it was right."""
    from pcn_cli.metrics.calibration import fit_temperature, temper
    from pcn_cli.metrics.reliability import expected_calibration_error, reliability

    with np.load(Path(job.output) / "answers.npz") as answers:
        val, test = answers["val"].astype(float), answers["test"].astype(float)
    (_, val_targets), (_, targets) = job.part("val"), job.part("test")
    temperature = fit_temperature(val, val_targets)
    tempered = temper(test, temperature)
    right = tempered.argmax(axis=1) == targets
    losses = -np.log(tempered[np.arange(len(targets)), targets])
    return {
        "accuracy": float(right.mean()),
        "log_loss": float(losses.mean()),
        "temperature": temperature,
        "ece": expected_calibration_error(reliability(tempered.max(axis=1), right)),
        "right": right.astype(int).tolist(),
        "losses": losses.round(5).tolist(),
    }


def run_job(job: Job) -> None:
    """What the process of a run does: leave its answers and what they cost in the folder of the run."""
    try:
        answers = PEERS[job.peer](job)
    except ModuleNotFoundError as error:
        raise SystemExit(f"{error.name} is not installed: see the head of {Path(__file__).name}") from error
    np.savez(Path(job.output) / "answers.npz", val=answers.val, test=answers.test)
    cost = {"first": answers.first, "whole": answers.whole, **answers.facts}
    (Path(job.output) / "cost.json").write_text(json.dumps(cost))


def now(job: Job) -> dict[str, float]:
    """Seconds since the process of the run began, of the wall and of its processors, and its most memory in MiB."""
    cpu = sum(os.times()[:4])
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {"wall": time.time() - job.started, "cpu": cpu, "peak": peak / 1024}


def run_regression(job: Job) -> Answers:
    """Logistic regression on pooled features, as a person would write it."""
    import torch
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, log_loss
    from sklearn.preprocessing import StandardScaler

    embed, transform = load_trunk(job)

    def features(part: str) -> tuple[np.ndarray, np.ndarray]:
        files, targets = job.part(part)
        batches = (torch.stack([transform(file) for file in files[i : i + BATCH]]) for i in range(0, len(files), BATCH))
        with torch.inference_mode():
            return torch.cat([embed(batch) for batch in batches]).numpy(), targets

    (train, targets), (val, val_targets) = features("train"), features("val")
    scaler = StandardScaler().fit(train)
    models = [
        LogisticRegression(C=C, max_iter=1000).fit(scaler.transform(train), targets) for C in np.logspace(-4, 0, 9)
    ]
    best = min(models, key=lambda model: log_loss(val_targets, model.predict_proba(scaler.transform(val))))
    print(f"validation accuracy {accuracy_score(val_targets, best.predict(scaler.transform(val))):.3f}")
    first = now(job)
    test, test_targets = features("test")
    print(f"test accuracy {accuracy_score(test_targets, best.predict(scaler.transform(test))):.3f}")
    whole = now(job)
    val_answers, test_answers = (best.predict_proba(scaler.transform(part)) for part in (val, test))
    return Answers(val_answers, test_answers, first, whole, {"C": best.C})


def load_trunk(job: Job) -> tuple[Callable, Callable]:
    """What makes pooled features (B, F) of inputs (B, 3, H, W), and what makes an input of a file."""
    import timm
    import torch
    from PIL import Image

    if not job.model.startswith(LOCAL):
        from pcn_cli.data.load.loaders import preprocess
        from pcn_cli.models.weights import Fetcher
        from pcn_cli.stages.inference.load import open_model

        model = open_model(job.model, fetch=Fetcher(offline=True))
        size = {"height": job.size, "width": job.size} if job.size else {}
        wanted = replace(model.config.preprocessing, **size)
        trunk = model.network.forward_features
        return lambda images: trunk(images).mean(dim=(2, 3)), lambda file: torch.from_numpy(
            preprocess(Image.open(file), wanted)
        )
    network = timm.create_model(job.model.removeprefix(LOCAL), pretrained=True, num_classes=0).eval()
    config = timm.data.resolve_data_config(input_config(job), model=network)
    transform = timm.data.create_transform(**config)
    return network, lambda file: transform(Image.open(file).convert("RGB"))


def input_config(job: Job) -> dict[str, object]:
    """The input's size as timm wants it told, if it is not the model's own."""
    return {"input_size": (3, job.size, job.size)} if job.size else {}


def run_timm(job: Job) -> Answers:
    """A plain loop: a new head, everything trained by AdamW under a cosine, cuts and mirrored photos."""
    import timm
    import torch
    from PIL import Image
    from torch.nn.functional import cross_entropy
    from torch.optim.lr_scheduler import OneCycleLR

    torch.manual_seed(job.seed)
    (files, targets), classes = job.part("train"), len(set(job.part("train", "val", "test")[1].tolist()))
    network = timm.create_model(job.model.removeprefix(LOCAL), pretrained=True, num_classes=classes)
    config = timm.data.resolve_data_config(input_config(job), model=network)
    vary = timm.data.create_transform(**config, is_training=True, color_jitter=None)
    plain = timm.data.create_transform(**config)

    def load(some: Sequence[str], transform: Callable) -> torch.Tensor:
        return torch.stack([transform(Image.open(file).convert("RGB")) for file in some])

    def predict(part: str) -> np.ndarray:
        own, _ = job.part(part)
        network.eval()
        with torch.inference_mode():
            pieces = [network(load(own[at : at + BATCH], plain)).softmax(1) for at in range(0, len(own), BATCH)]
        return torch.cat(pieces).numpy()

    epochs, steps = job.epochs or 10, len(files) // BATCH
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-4, weight_decay=0.05)
    schedule = OneCycleLR(optimizer, max_lr=5e-4, total_steps=epochs * steps, pct_start=0.1)
    first = {}
    for _ in range(epochs):
        network.train()
        order = torch.randperm(len(files))
        for some in order[: steps * BATCH].split(BATCH):
            loss = cross_entropy(network(load([files[i] for i in some], vary)), torch.from_numpy(targets[some.numpy()]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        val = predict("val")
        first = first or now(job)
    test = predict("test")
    return Answers(val, test, first, now(job))


def run_fastai(job: Job) -> Answers:
    """fastai's `fine_tune` at its defaults, its usual cuts and augmentation."""
    import pandas as pd
    import torch
    from fastai.callback.core import Callback
    from fastai.vision.all import (
        ImageDataLoaders,
        RandomResizedCrop,
        accuracy,
        aug_transforms,
        set_seed,
        vision_learner,
    )

    first: dict[str, float] = {}

    class First(Callback):
        order = 60  # after the recorder, which knows the figures

        def after_epoch(self) -> None:
            first.update(first or now(job))

    set_seed(job.seed)
    table = pd.read_csv(job.table)
    learned = table[table.split != "test"].assign(chosen=table.split == "val")
    loaders = ImageDataLoaders.from_df(
        learned,
        path="/",
        valid_col="chosen",
        item_tfms=RandomResizedCrop(job.size or 224, min_scale=0.5),
        batch_tfms=aug_transforms(),
        num_workers=0,
        device=torch.device("cpu"),
    )
    learner = vision_learner(loaders, job.model.removeprefix(LOCAL), metrics=accuracy, cbs=First(), path=job.output)
    with learner.no_bar():
        learner.fine_tune(job.epochs or 10)
        val = learner.get_preds(dl=loaders.test_dl(job.part("val")[0]))[0].numpy()
        test = learner.get_preds(dl=loaders.test_dl(job.part("test")[0]))[0].numpy()
    assert list(loaders.vocab) == sorted(set(table.label))  # the order of the class numbers
    return Answers(val, test, first, now(job))


def run_pcn(job: Job) -> Answers:
    """pcn's own way, from the scan to the report; `val` was answered before the model learned from these photos."""
    import pcn_cli
    from pcn_cli.files.atomic import read_csv
    from pcn_cli.metrics.calibration import temper
    from pcn_cli.models.weights import Fetcher
    from pcn_cli.runs.predictions import read_predictions
    from pcn_cli.stages.callback import Callback
    from pcn_cli.stages.inference.load import open_model

    first: dict[str, float] = {}

    class First(Callback):
        def on_note(self, text: str) -> None:
            if " right (" in text:
                first.update(first or now(job))

    os.environ["PCN_CACHE"] = str(Path(job.output) / "cache")  # nothing is known from other runs
    options = {"size": job.size} if job.size else {}
    options |= {"epochs": job.epochs} if job.epochs else {}
    outcome = pcn_cli.finetune(
        job.photos,
        labels=job.table,
        model=job.model,
        tune=PCN[job.peer],
        seed=job.seed,
        output=Path(job.output) / f"run-{int(job.started)}",
        callback=First(),
        **options,
    )
    whole = now(job)
    model = open_model(outcome.run, fetch=Fetcher(offline=True))
    told = {Path(job.photos, row["file"]): row for row in read_csv(outcome.run / "validation.csv")}
    names = [f"p_{name}" for name in model.config.classes]
    val = np.array([[float(told[Path(file)][name]) for name in names] for file in job.part("val")[0]])
    predictions, _ = read_predictions(outcome.run / "predictions.csv")
    answers = {Path(job.photos, one.file): one.probabilities for one in predictions}
    test = np.array([answers[Path(file)] for file in job.part("test")[0]])
    facts = {"kept": outcome.kept, "own_temperature": model.config.temperature}
    facts["candidates"] = {one.name: one.accuracy.value for one in outcome.candidates}
    return Answers(val, temper(test, 1 / model.config.temperature), first, whole, facts)


PCN = {PROBE: "probe", "pcn-all": "all"}  # what each tunes
PEERS: dict[str, Callable[[Job], Answers]] = {
    REGRESSION: run_regression,
    "fastai": run_fastai,
    "timm": run_timm,
    **dict.fromkeys(PCN, run_pcn),
}


def read_rows(results: Path) -> list[dict]:
    """The lines of the results; none where there are no results yet."""
    path = results / "runs.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def print_tables(rows: Sequence[dict]) -> None:
    """A line for each model and peer, means over sets and seeds; then pcn's probe beside the regression, each pair."""
    header = "accuracy | log-loss | temperatures | ECE | first number: s (CPU) | in all: s (CPU) | MiB | runs"
    print(f"| model | peer | {header} |", "|---" * 10 + "|", sep="\n")
    for model, peer, epochs in dict.fromkeys((row["key"][3], row["peer"], row["key"][1]) for row in rows):
        own = [row for row in rows if (row["key"][3], row["peer"], row["key"][1]) == (model, peer, epochs)]
        accuracy, loss, ece = (mean(row[name] for row in own) for name in ("accuracy", "log_loss", "ece"))
        temperatures = [row["temperature"] for row in own]
        first, whole = (
            f"{mean(row[name]['wall'] for row in own):.0f} ({mean(row[name]['cpu'] for row in own):.0f})"
            for name in ("first", "whole")
        )
        print(
            f"| `{model}` | {peer}{f', {epochs} epochs' if epochs else ''} | {accuracy:.1%} | {loss:.3f} "
            f"| {min(temperatures):.2f}–{max(temperatures):.2f} | {ece:.3f} | {first} | {whole} "
            f"| {max(row['whole']['peak'] for row in own):.0f} | {len(own)} |"
        )
    print_pairs(rows)


def print_pairs(rows: Sequence[dict]) -> None:
    """What pcn's probe gains on the regression in each model, set and seed, with 95 % intervals of paired photos."""
    by_key = {tuple(row["key"]): row for row in rows}
    pairs = [(row, by_key.get((REGRESSION, *row["key"][1:]))) for row in rows if row["peer"] == PROBE]
    print("\n| model | photos | seed | kept | log-loss less | accuracy more | of the first number's CPU | of all |")
    print("|---" * 8 + "|")
    for ours, theirs in pairs:
        if theirs is None:
            continue
        _, _, photos, model, seed, _ = ours["key"]
        loss = interval(np.subtract(theirs["losses"], ours["losses"]))
        accuracy = interval(np.subtract(ours["right"], theirs["right"]))
        ratios = (f"{ours[name]['cpu'] / theirs[name]['cpu']:.2f}" for name in ("first", "whole"))
        print(f"| `{model}` | {photos} | {seed} | {ours['kept']} | {loss} | {accuracy} | {' | '.join(ratios)} |")


def interval(gains: np.ndarray) -> str:
    """The mean of gains (N,) with its 95 % interval."""
    width = INTERVAL * gains.std(ddof=1) / len(gains) ** 0.5
    return f"{gains.mean():+.3f} ({gains.mean() - width:+.3f} to {gains.mean() + width:+.3f})"


if __name__ == "__main__":
    main()
