"""What large sets of photos cost: processor seconds and peak memory of each stage, in processes of their own.

    python tests/benchmarks/large.py [PHOTOS] [--counts 1000 10000 100000] [--whole]

Of PHOTOS, a folder with a folder for each class, the first so many are linked into a folder of their own; without it,
photos of 64 pixels are drawn. `scan` reads and decodes all photos and finds near duplicates, `near duplicates` is that
part alone, `neighbours` compares made-up features of as many photos, `map` places them in the plane; `--whole` also
runs `pcn finetune` with nano and tells its stages.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

WORKS = ("scan", "near duplicates", "neighbours", "map")
CLASSES = 100
SIDE = 64


def main() -> None:
    """Print a row for each count and stage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("--counts", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--only", choices=[*WORKS, "whole"])
    parser.add_argument("--do", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.do:
        work(asked.do[0], Path(asked.do[1]))
        return
    works = [asked.only] if asked.only else [*WORKS, *(["whole"] if asked.whole else [])]
    for count in asked.counts:
        with tempfile.TemporaryDirectory() as folder:
            photos = Path(folder) / "photos"
            link_photos(asked.photos, photos, count) if asked.photos else draw_photos(photos, count)
            for name in works:
                done = subprocess.run(
                    [sys.executable, __file__, "--do", name, str(photos)], check=True, capture_output=True, cwd=folder
                )
                facts = json.loads(done.stdout.splitlines()[-1])
                print(
                    f"{count:>8,} {name:<16} {facts['own']:8.1f} s {facts['others']:8.1f} s in other processes "
                    f"{facts['wall']:8.1f} s of the wall {facts['peak_mb']:7,.0f} MB {facts['found']}",
                    flush=True,
                )


def work(name: str, photos: Path) -> None:
    """Do one piece of work and print what it took, as JSON."""
    started = time.perf_counter()
    if name == "whole":
        found = run_command(photos, photos.parent / "run")
    elif name == "map":
        found = f"{place_features(sum(1 for _ in photos.rglob('*.*'))):,} points"
    elif name == "neighbours":
        found = f"{compare_features(sum(1 for _ in photos.rglob('*.*')))} pairs"
    else:
        found = read_photos(photos, only_duplicates=name == "near duplicates")
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    facts = {
        "own": own.ru_utime + own.ru_stime,
        "others": others.ru_utime + others.ru_stime,
        "wall": time.perf_counter() - started,
        "peak_mb": own.ru_maxrss / 1024,
        "found": found,
    }
    print(json.dumps(facts))


def run_command(photos: Path, run: Path) -> str:
    """What `pcn finetune` came to in this process, as typed: unlike Python's API it settles how memory is kept."""
    from pcn_cli.cli.app import main

    os.environ["PCN_CACHE"] = str(run.parent / "cache")  # nothing is known from other runs
    sys.argv = ["pcn", "finetune", str(photos), "--model", "nano", "--tune", "probe", "--output", str(run)]
    with suppress(SystemExit):
        main()
    record, metrics = (json.loads((run / name).read_text()) for name in ("run.json", "metrics.json"))
    seconds = ", ".join(f"{name} {stage['seconds']:.0f}" for name, stage in record["stages"].items())
    return f"{record['kept']}, {metrics['accuracy']['value']:.1%} right; seconds of the wall: {seconds}"


def read_photos(photos: Path, *, only_duplicates: bool) -> str:
    """How many sets of near copies a scan finds."""
    from pcn_cli.data.load.open_image import open_reduced
    from pcn_cli.data.scan.decode import draw_sketch
    from pcn_cli.data.scan.scan_photos import scan_photos
    from pcn_cli.data.similar.duplicates import group_near

    if not only_duplicates:
        return f"{len(scan_photos(photos).near_duplicates)} sets"
    sketches = np.stack(
        [np.frombuffer(draw_sketch(open_reduced(path)), np.uint8).reshape(24, 24, 3) for path in photos.rglob("*.*")]
    )
    before = time.process_time()
    groups = group_near(sketches)
    return f"{len(groups) - len(set(groups.tolist()))} joined in {time.process_time() - before:.1f} s"


def place_features(photos: int) -> int:
    """How many photos with made-up features stand on the map."""
    from pcn_cli.records.photos import SplitRow
    from pcn_cli.records.predictions import PhotoFeatures
    from pcn_cli.stages.evaluate.surroundings import find_places

    parts = ("test", *["train"] * 9)
    rows = tuple(SplitRow(file=f"{n}.jpg", label="x", split=parts[n % 10], sha256="") for n in range(photos))
    return len(find_places(PhotoFeatures(rows=rows, features=make_features(photos)[0])))


def compare_features(photos: int) -> int:
    """How many pairs are found among made-up features."""
    from pcn_cli.data.similar.neighbours import find_neighbours

    features, subjects = make_features(photos)
    return len(find_neighbours(features, subjects % CLASSES, np.arange(photos)))


def make_features(photos: int) -> tuple[np.ndarray, np.ndarray]:
    """Features like a network's of photos of 2,000 subjects, (N, 512), and whose subject each shows."""
    rng = np.random.default_rng(0)
    subjects = rng.integers(0, 20 * CLASSES, photos)
    features = rng.standard_normal((photos, 512), np.float32)
    features += rng.standard_normal((20 * CLASSES, 512), np.float32)[subjects]
    return features, subjects


def link_photos(source: Path, target: Path, count: int) -> None:
    """Links to the first photos of each class, so many in all."""
    classes = sorted(path for path in source.iterdir() if path.is_dir())
    for number, folder in enumerate(classes):
        (target / folder.name).mkdir(parents=True)
        for file in sorted(folder.iterdir())[: (count + number) // len(classes)]:
            os.link(file, target / folder.name / file.name)


def draw_photos(target: Path, count: int) -> None:
    """Photos of smooth colours and an edge, each class with a hue of its own."""
    rng = np.random.default_rng(0)
    for number in range(CLASSES):
        (target / f"class {number:02}").mkdir(parents=True)
    hues = rng.uniform(60, 200, (CLASSES, 3))
    for number in range(count):
        ground = Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8)).resize(
            (SIDE, SIDE), Image.Resampling.BICUBIC
        )
        pixels = 0.5 * np.asarray(ground, np.float32) + 0.5 * hues[number % CLASSES]
        left, top = rng.integers(0, SIDE // 2, 2)
        pixels[top : top + 24, left : left + 24] += rng.uniform(-60, 60, 3)
        pixels += rng.normal(0, 6, pixels.shape)
        file = target / f"class {number % CLASSES:02}" / f"{number}.jpg"
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, quality=85)


if __name__ == "__main__":
    main()
