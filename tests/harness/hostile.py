"""Files, names, recipes, tables, boxes as an enemy or an accident makes them: each is refused in words, within bounds.

    python tests/harness/hostile.py weights              # pickles, archives, tensors, safetensors, model folders
    python tests/harness/hostile.py images --count 100000
    python tests/harness/hostile.py vast                 # photos of 119 megapixels in every command that opens photos
    python tests/harness/hostile.py names --count 2000   # of files and classes, from the scan to the report
    python tests/harness/hostile.py recipes
    python tests/harness/hostile.py tables
    python tests/harness/hostile.py boxes                # of a million entries, or of half a gigabyte
    python tests/harness/hostile.py flips --count 200    # of a run's model and of checkpoints

Prints a row of Markdown for each kind, and what went wrong below; exits with 1 if anything did. POSIX only.
"""

import argparse
import csv
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hostile_boxes import make_boxes
from hostile_weights import PROOF, make_files
from PIL import ExifTags, Image
from trials import Trial, preload, run_forked, run_pcn, table

LARGEST_MB, LONGEST = 1000, 5.0  # seconds of computing: how long that takes depends on what else runs
HEADER = ("what", "tried", "as it should be", "largest memory", "with all its processes", "longest (computing)")
QUICK = ("--set", "train.probe_epochs=1", "--set", "explain.checks=0", "--tune", "probe", "--workers", "0")


class Tally:
    """How many trials of a kind ended as they should, and what was wrong with the others."""

    def __init__(self, what: str, *, seconds: float = LONGEST) -> None:
        self.what, self.tried, self.wrong = what, 0, []
        self._memory, self._together, self._longest, self._limit = 0.0, 0.0, 0.0, seconds

    def add(self, name: str, trial: Trial, *problems: str) -> None:
        """Count a trial; `problems` are empty where there is none."""
        self.tried += 1
        self._memory, self._longest = max(self._memory, trial.memory_mb), max(self._longest, trial.seconds)
        self._together = max(self._together, trial.together_mb)
        found = [problem for problem in problems if problem]
        if trial.memory_mb > LARGEST_MB:
            found.append(f"took {trial.memory_mb:,.0f} MB")
        if trial.seconds > self._limit:
            found.append(f"took {trial.seconds:.1f} s")
        if "a bug of pcn" in trial.stderr or "Traceback" in trial.stderr:
            found.append(f"said: {trial.stderr[-300:]}")
        if found:
            self.wrong.append(f"{self.what}: {name}: {'; '.join(found)}")

    @property
    def row(self) -> tuple[object, ...]:
        """Its line of the table."""
        right = f"{self.tried - len(self.wrong):,}"
        memory = (f"{megabytes:,.0f} MB" for megabytes in (self._memory, self._together))
        return self.what, f"{self.tried:,}", right, *memory, f"{self._longest:.1f} s"


def expect(trial: Trial, *codes: int) -> str:
    """What to say where the exit code is none of `codes`."""
    return "" if trial.code in codes else f"exit {trial.code} ({trial.stderr.strip()[-200:]})"


def try_weights(folder: Path, count: int | None, seed: int) -> Iterator[Tally]:
    """Weight files and model folders: exit 4, nothing run, nothing left in the cache."""
    photo, tallies = folder / "photo.png", {}
    Image.new("RGB", (40, 40)).save(photo)
    for name, path in list(make_files(folder / "files"))[:count]:
        kind = name.partition(":")[0]
        tally = tallies.setdefault(kind, Tally(f"weights: {kind}"))
        words = ("models", "import", path) if path.suffix == ".pth" else ("predict", photo, "--model", path)
        trial = run_pcn(*words, folder=folder)
        ran = "code was run" if list(folder.rglob(PROOF)) else ""
        hidden = [
            one.name for one in Path(os.environ["PCN_CACHE"]).rglob("*") if one.suffix != ".lock" and one.is_file()
        ]
        advice = "advises to load it all the same" if "weights_only" in trial.stderr else ""
        tally.add(name, trial, expect(trial, 4), ran, advice, f"left {hidden[:2]}" if hidden else "")
    yield from tallies.values()


def try_images(folder: Path, count: int | None, seed: int) -> Iterator[Tally]:
    """Photos with bytes changed, cut, repeated or swapped: opened, or refused with a reason of one line."""
    tally, batch = Tally("images", seconds=300), 1000
    for number in range(0, count or 1000, batch):
        size = min(batch, (count or 1000) - number)
        trial = run_forked(lambda first=number, size=size: open_mutants(folder, first, size, seed), limit=600)
        tally.add(f"{number} to {number + size}", trial, expect(trial, 0), trial.stdout.strip())
    tally.tried = count or 1000
    yield tally


def try_vast(folder: Path, count: int | None, seed: int) -> Iterator[Tally]:
    """Photos of few bytes and 119 megapixels: answered, or named as unreadable."""
    rng, turned = np.random.default_rng(seed), Image.Exif()
    turned[ExifTags.Base.Orientation] = 6

    def grey() -> Image.Image:  # made where it is saved: what the harness holds, each trial seems to hold
        return Image.new("L", (11_900, 10_000), 90)

    kinds: dict[str, Callable[[Path], None]] = {
        "PNG": lambda path: grey().convert("RGB").save(path, "PNG", compress_level=1),
        "PNG with transparency": lambda path: grey().convert("RGBA").save(path, "PNG", compress_level=1),
        "PNG of 16 bits": lambda path: grey().convert("I;16").save(path, "PNG", compress_level=1),
        "TIFF of floating-point numbers": lambda path: grey().convert("F").save(path, "TIFF", compression="tiff_lzw"),
        "JPEG on its side": lambda path: grey().convert("RGB").save(path, "JPEG", exif=turned),
        "JPEG, progressive": lambda path: grey().save(path, "JPEG", progressive=True),
    }
    overlays, exports, masks = Tally("overlays"), Tally("exports compared on them"), Tally("masks of 119 megapixels")
    write_named(folder / "ordinary", rng, 4)
    words = ("export", "nano", "--images", folder / "ordinary", "--output", folder / "export")
    plain = run_pcn(*words, folder=folder, limit=300).seconds
    for kind, save in kinds.items():
        tally, place = Tally(f"119 megapixels: {kind}"), folder / kind
        write_named(place / "photos", rng, 24)
        photo = place / "photos" / next((place / "photos").iterdir()).name / "vast.img"
        run_forked(lambda save=save, photo=photo: save(photo))
        rows = (f"vast.img,{left},20,{left + 999},819,a" for left in (5, 5000, 9000))
        (place / "boxes.csv").write_text("\n".join(["file,xmin,ymin,xmax,ymax,label", *rows]) + "\n")
        boxes = ("--crop-boxes", place / "boxes.csv")
        for words in (
            ("inspect", place / "photos"),
            ("inspect", place / "photos", *boxes),
            ("predict", photo, "--model", "nano"),
            ("predict", photo, "--model", "nano", *boxes),
        ):
            trial = run_pcn(*words, folder=place, limit=300)
            tally.add(" ".join(map(str, words)), trial, expect(trial, 0, 3))
        yield tally
        trial = run_pcn("predict", photo, "--model", "nano", "--overlay", place / "overlays", folder=place, limit=300)
        overlays.add(kind, trial, expect(trial, 0))
        trial = run_pcn("export", "nano", "--images", photo, "--output", place / "export", folder=place, limit=300)
        exports.add(kind, replace(trial, seconds=trial.seconds - plain), expect(trial, 0))
    for mode in ("RGB", "L", "P", "1", "I;16"):
        path = folder / f"mask of {mode.replace(';', '')}.png"
        run_forked(lambda mode=mode, path=path: grey().convert(mode).save(path, "PNG", compress_level=1))
        masks.add(mode, trial := run_forked(lambda path=path: read_whole_mask(path)), expect(trial, 0))
    yield overlays
    yield exports
    yield masks


def read_whole_mask(path: Path) -> None:
    """Read the mask at `path`, with something on it."""
    from pcn_cli.data.masks import read_mask

    sys.exit(0 if read_mask(path).any() else 3)


SAVED = {"JPEG progressive": {"progressive": True}, "TIFF packed": {"compression": "tiff_lzw"}}


def open_mutants(folder: Path, first: int, count: int, seed: int) -> None:
    """Open so many mutated pictures, and print what is neither a picture nor a reason."""
    from pcn_cli.data.load.open_image import UnreadablePhotoError, open_photo

    rng, path = np.random.default_rng((seed, first)), folder / "mutant"
    picture = Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8))
    originals = []
    for kind in (*("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "MPO"), *SAVED):
        file = BytesIO()
        picture.save(file, format=kind.partition(" ")[0], **SAVED.get(kind, {}))
        originals.append(file.getvalue())
    for _ in range(count):
        path.write_bytes(mutate(bytearray(originals[rng.integers(len(originals))]), rng))
        try:
            open_photo(path)
        except UnreadablePhotoError as error:
            if not error.reason or "\n" in error.reason:
                sys.stdout.write(f"a reason {error.reason!r}\n")


def mutate(content: bytearray, rng: np.random.Generator) -> bytes:
    """The bytes with some changed, cut off, doubled or moved."""
    for at in rng.integers(0, len(content), rng.integers(1, 9)):
        content[at] = rng.integers(256)
    start, end = np.sort(rng.integers(0, len(content), 2))
    match rng.integers(5):
        case 0:
            content = content[: max(end, 1)]
        case 1:
            content = content[:start] + content[end:]
        case 2:
            content = content[:end] + content[start:]
    return bytes(content)


PARTS_OF_NAMES = (
    *("=cmd()", "+1", "-rf", "@x", "'", '"', "`id`", "$(id)", ";ls", "&&", "|", "<b>", "</script>", "{{7*7}}", "[/]"),
    *("{% raw %}", "<img src=x onerror=a>", "[red]", "\x1b[31m", "\x07", "\t", "\n", "\r", "\x7f", "\x85", "\u202e"),
    *("\u2066", "\u200b", "\ufeff", "\u2028", "é", "e\u0301", "日本", "😀", "%s", "%00", "%2e%2e", "..", "...", "~"),
    *("*", "?", "#", "a,b", "x;y", "a|b", "NaN", "null", "None", "True", "007", "1e5", "CON", "nul.txt", "x" * 80),
    *("ß", "İ", "ﬁ"),
)


def invent_name(rng: np.random.Generator) -> str:
    """A name for a file or a folder that a file system takes."""
    words = [PARTS_OF_NAMES[number] for number in rng.integers(0, len(PARTS_OF_NAMES), rng.integers(1, 4))]
    name = "".join(words).replace("/", "∕").strip().strip(".").lstrip("._") or "x"
    return os.fsdecode(os.fsencode(name)[:120]) if len(os.fsencode(name)) > 120 else name


def try_names(folder: Path, count: int | None, seed: int) -> Iterator[Tally]:
    """Names of photos and classes: trained on, predicted and reported, each photo under its own name."""
    tally, each = Tally("names, from the scan to the report", seconds=300), 48
    for number in range(0, count or each, each):
        place, rng = folder / f"names {number}", np.random.default_rng((seed, number))
        names = write_named(place / "photos", rng, min(each, max((count or each) - number, 12)))
        output = place / "run"
        words = ("--model", "nano", "--size", "32", *QUICK, "--output", output)
        trained = run_pcn("-q", "finetune", place / "photos", *words, folder=place, limit=300)
        tally.add(f"finetune {number}", trained, expect(trained, 0), missing_names(output / "split.csv", names))
        if trained.code == 0:
            predicted = run_pcn("predict", place / "photos", "--model", output, "--json", folder=place, limit=300)
            answered = {one["file"] for one in json.loads(predicted.stdout or "[]")} if predicted.code == 0 else set()
            lost = f"{len(names)} photos, {len(answered)} answers" if len(answered) != len(names) else ""
            tally.add(f"predict {number}", predicted, expect(predicted, 0), lost)
            plain = run_pcn("predict", place / "photos", "--model", output, "--csv", folder=place, limit=300)
            tally.add(f"table {number}", plain, expect(plain, 0), "an escape" if "\x1b[" in plain.stderr else "")
    tally.what += f" ({count or each:,} names)"
    yield tally


def write_named(root: Path, rng: np.random.Generator, count: int) -> set[str]:
    """Photos under hostile names in four hostile classes; their paths."""
    names: set[str] = set()
    classes: dict[str, str] = {}
    while len(classes) < 4:
        name = invent_name(rng)
        classes.setdefault(" ".join(name.casefold().split()), name)
    for number in range(count):
        label = list(classes.values())[number % 4]
        path = root / label / f"{invent_name(rng)}{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 120, (32, 32, 3), dtype=np.uint8)
        pixels[..., number % 3] += 60 + 60 * (number % 4 == 3)
        Image.fromarray(pixels).save(path)
        names.add(path.relative_to(root).as_posix())
    return names


def missing_names(split: Path, names: set[str]) -> str:
    """What of `names` the table does not have."""
    if not split.is_file():
        return "no split.csv"
    from pcn_cli.files.atomic import read_csv

    lost = names - {row["file"] for row in read_csv(split)}
    return f"{len(lost)} names are lost, such as {min(lost)!r}" if lost else ""


def try_recipes(folder: Path, count: int | None, seed: int) -> Iterator[Tally]:
    """Recipes and settings: exit 2."""
    tally, photos = Tally("recipes and settings"), folder / "photos"
    write_named(photos, np.random.default_rng(seed), 24)
    bombs = ["a: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    bombs += [f"b{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    texts = {
        "aliases": "\n".join(bombs),
        "an alias of itself": "a: &x [*x]",
        "merged aliases": "a: &x {b: 1}\ntrain: {<<: *x}",
        "a Python object": "train: !!python/object/apply:os.system [touch proof]",
        "deep lists": "train: " + "[" * 50_000,
        "deep mappings": "".join(" " * n + "a:\n" for n in range(300)),
        "a long line": "train: {lr: " + "9" * 100_000 + "}",
        "a long key": "x" * 100_000 + ": 1",
        "many keys": "\n".join(f"k{n}: 1" for n in range(8_000)),
        "a megabyte": "# " + "x" * 2**20,
        "no mapping": "- a\n- b",
        "a NUL": "a: \x00",
        "a negative number": "train: {epochs: -1}",
        "not a number": "train: {lr: nan}",
        "an infinite rate": "train: {lr: .inf}",
        "a key twice": "seed: 1\nseed: 2",
        "a section that is text": "train: all",
    }
    for name, text in texts.items():
        path = folder / "recipe.yaml"
        path.write_text(text)
        trial = run_pcn("finetune", photos, "--recipe", path, "--dry-run", "--model", "nano", folder=folder)
        tally.add(
            name,
            trial,
            expect(trial, 2),
            "a message of a page" if len(trial.stderr) > 10_000 and "many" not in name else "",
        )
    os.mkfifo(folder / "pipe.yaml")
    for place in ("/dev/zero", "/dev/random", folder / "pipe.yaml", folder, folder / "gone.yaml"):
        trial = run_pcn("finetune", photos, "--recipe", place, "--dry-run", "--model", "nano", folder=folder)
        tally.add(f"--recipe {place}", trial, expect(trial, 2))
    refused = (
        *("train.epochs=1e99", "train.lr=1e999", "evaluate.folds=1000000000", "data.size=1000000000", "seed=-1"),
        *("train.workers=1000000000", "train.time=12:30", "split.val=0.99", "nonsense=1", "=", "x" * 10_000),
    )
    for setting in refused:
        trial = run_pcn("finetune", photos, "--set", setting, "--dry-run", "--model", "nano", folder=folder)
        tally.add(f"--set {setting[:40]}", trial, expect(trial, 2))
    yield tally
    tally = Tally("patterns of names")
    (photos / "with a long name").mkdir()
    Image.new("RGB", (32, 32)).save(photos / "with a long name" / f"{'a' * 100}.png")
    patterns = (
        r"^(.+)+!$",
        r"^(.|..)+!$",
        r"^(\w*\d*)*-\1$",
        r"(.*.){30}!",
        r"/(?:[^/]+)+/$",
        "(",
        "a{99999999999}",
        "(" * 5000,
    )
    for flag in ("--group-by", "--label-from"):
        for pattern in patterns:
            trial = run_pcn("inspect", photos, flag, pattern, folder=folder)
            tally.add(
                f"{flag} {pattern[:40]}", trial, expect(trial, 2), "" if flag in trial.stderr else "names no option"
            )
    yield tally
    tally = Tally("settings of any size, planned", seconds=30)
    any_size = ("train.micro_batch", "explain.overlays", "evaluate.batch_size", "train.patience", "train.probe_epochs")
    for words in (
        *(("--batch-size", str(size)) for size in (10**9, 10**9 + 7, 2**62)),
        ("--epochs", "1000000000"),
        *(("--set", f"{key}=1000000000") for key in any_size),
    ):
        plan = ("--tune", "all", "--dry-run", "--model", "nano", "--size", "64")
        trial = run_pcn("finetune", photos, *words, *plan, folder=folder)
        tally.add(" ".join(words), trial, expect(trial, 0, 2))
    yield tally


def try_tables(folder: Path, count: int | None, seed: int) -> Iterator[Tally]:
    """Tables of labels: read, or exit 3."""
    tally, photos = Tally("tables of labels"), folder / "flat"
    photos.mkdir()
    rng = np.random.default_rng(seed)
    for number in range(24):
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(photos / f"{number}.png")
    rows = [f"{number}.png,{'ab'[number % 2]}" for number in range(24)]
    whole = "\n".join(["file,label", *rows]) + "\n"
    tables: dict[str, tuple[bytes, tuple[int, ...]]] = {
        "empty": (b"", (3,)),
        "only a header": (b"file,label\n", (3,)),
        "NUL bytes": (whole.replace("a", "\x00").encode(), (0, 3)),
        "UTF-16": (whole.encode("utf-16"), (3,)),
        "UTF-32": (whole.encode("utf-32"), (3,)),
        "Latin-1": (whole.replace("a", "ä").encode("latin-1"), (3,)),
        "an open quote": (whole.replace("0.png", '"0.png', 1).encode(), (3,)),
        "a cell of ten megabytes": (whole.encode() + b"x" * 10**7 + b",a\n", (0, 3)),
        "a row of a million cells": (whole.encode() + b"," * 10**6 + b"\n", (0, 3)),
        "a header of a thousand columns": (("file,label" + ",x" * 1000 + "\n" + "\n".join(rows)).encode(), (0, 3)),
        "paths that leave the folder": (whole.replace("0.png", "../../../etc/passwd").encode(), (0, 3)),
        "absolute paths": (whole.replace("0.png", "/etc/passwd").encode(), (0, 3)),
        "devices": (whole.replace("0.png", "/dev/zero").encode(), (0, 3)),
        "formulas": (whole.replace(",a", ",=cmd()").replace(",b", ",+1").encode(), (0,)),
        "escapes": (whole.replace(",a", ",\x1b[31m").replace(",b", ",\u202e").encode(), (0,)),
        **vast_tables(rows),
        "a photo twice": ((whole + "0.png,b\n").encode(), (0, 3)),
        "one class": (whole.replace(",b", ",a").encode(), (3,)),
        "random bytes": (bytes(rng.integers(0, 256, 10_000, dtype=np.uint8)), (3,)),
        "a picture": ((photos / "0.png").read_bytes(), (3,)),
        "a pickle": (b"\x80\x04\x95", (3,)),
    }
    for name, (content, codes) in tables.items():
        path = photos / "labels.csv"
        path.write_bytes(content)
        trial = run_pcn("inspect", photos, "--labels", path, folder=folder)
        tally.add(name, trial, expect(trial, *codes), "an escape" if "\x1b[31m" in trial.stdout + trial.stderr else "")
    os.mkfifo(folder / "pipe.csv")
    for place in ("/dev/zero", folder / "pipe.csv", folder, folder / "gone.csv"):
        trial = run_pcn("inspect", photos, "--labels", place, folder=folder)
        tally.add(f"--labels {place}", trial, expect(trial, 2, 3, 6))
    for _ in range(count or 0):
        content = mutate(bytearray(whole.encode()), rng)
        (photos / "labels.csv").write_bytes(content)
        trial = run_pcn("inspect", photos, "--labels", photos / "labels.csv", folder=folder)
        tally.add(f"mutated {content[:60]!r}", trial, expect(trial, 0, 3))
    yield tally


def vast_tables(rows: list[str]) -> dict[str, tuple[bytes, tuple[int, ...]]]:
    """Tables of a few megabytes about a few photos; `rows` are of those that are there."""
    million, places = 10**6, range(len(rows))
    numbers = ",".join(map(str, range(24_990)))

    def gone(count: int) -> list[str]:
        return [f"gone/photo {number}.jpg,{'ab'[number % 2]}" for number in range(count)]

    tables = {
        "a million rows": ["file,label", *gone(million)],
        "a million short rows": ["file,label", *(f"{number},a" for number in range(million))],
        "a million rows, of which a few fit": ["file,label", *rows, *gone(million)],
        "rows doubled a million times": ["file,label", *rows * (million // len(rows))],
        "a hundred thousand rows": ["file,label", *gone(million // 10)],
        "a hundred thousand rows, of which a few fit": ["file,label", *rows, *gone(million // 10 - len(rows))],
        "three thousand spellings of one photo": ["file,label", *(f"{'./' * n}0.png,a" for n in range(3_000))],
        "a class in each of a hundred thousand rows": ["file,label", *(f"{n}.png,c{n}" for n in range(million // 10))],
        "a million columns": [f"file,label{',x' * million}", *rows],
        "25,000 columns of numbers": [f"a,b,{numbers}", *(f"{row},{numbers}" for row in rows)],
        "25,000 columns of classes": [
            f"file,{numbers}",
            *(f"{n}.png,{','.join(str(int(column == n)) for column in range(24_990))}" for n in places),
        ],
        "80,000 rows of 90 classes": [
            f"file,{','.join(f'c{n}' for n in range(90))}",
            *(f"x{n}.jpg,{','.join(str(int(column == n % 90)) for column in range(90))}" for n in range(80_000)),
        ],
        "a million classes": [
            "file,labels",
            *(f"{n}.png,{';'.join(str(one) for one in range(n * 40_000, n * 40_000 + 40_000))}" for n in places),
        ],
        "classes of a hundred thousand letters": ["file,label", *(f"{n}.png,{'x' * 10**5}{n}" for n in places)],
        "names of a hundred thousand letters": ["file,label", *(f"{'x' * 10**5}{n}.png,a" for n in places)],
        "a column called by many words": [f"file,label,{'dataset' * 40}q", *(f"{row},train" for row in rows)],
        "a first line of commas": ["," * 200_000 + "x", "file,label", *rows],
        "five million lines": ["file,label", *["ab"] * (5 * million)],
    }
    return {name: ("\n".join(lines).encode(), (0, 3)) for name, lines in tables.items()}


def try_boxes(folder: Path, count: int | None, seed: int) -> Iterator[Tally]:
    """Files of boxes for photos that are there and that are not: read, or exit 3."""
    tallies, photos = {"json": Tally("boxes: JSON"), "csv": Tally("boxes: tables")}, folder / "photos"
    photos.mkdir()
    Image.new("RGB", (32, 32)).save(photos / "0.png")
    for name, path in make_boxes(folder, count or 10**6):
        trial = run_pcn("inspect", photos, "--crop-boxes", path, folder=folder)
        long = "a message of a page" if len(trial.stderr) > 10_000 else ""
        tallies[name.partition(":")[0]].add(name, trial, expect(trial, 0, 3), long)
    yield from tallies.values()


def try_flips(folder: Path, count: int | None, seed: int) -> Iterator[Tally]:
    """One bit turned over in a run's model or in a checkpoint: noticed before anything is made of it."""
    write_named(folder / "photos", np.random.default_rng(seed), 24)
    run = folder / "run"
    words = ("--model", "nano", "--size", "32", "--tune", "all", "--epochs", "2", "--set", "explain.checks=0")
    words += ("--keep-checkpoints", "--workers", "0", "--output", run)
    made = run_pcn("-q", "finetune", folder / "photos", *words, folder=folder, limit=600)
    if made.code:
        raise SystemExit(f"no run to flip bytes of: {made.stderr}")
    rng, photo = np.random.default_rng((seed, 1)), next((folder / "photos").rglob("*.png"))
    tally = Tally("a bit in a run's model folder")
    for _ in range((count or 20) * 2 // 3):
        path = (run / "model" / "model.safetensors", run / "model" / "config.json")[rng.random() < 0.2]
        with flipped(path, rng):
            trial = run_pcn("predict", photo, "--model", run, folder=folder)
        tally.add(path.name, trial, expect(trial, 4))
    yield tally
    tally = Tally("a bit in a checkpoint")
    checkpoint = run / "checkpoints" / (run / "checkpoints" / "LAST").read_text().strip()
    files = sorted(path for path in checkpoint.iterdir() if path.stat().st_size)
    for _ in range((count or 20) - (count or 20) * 2 // 3):
        path = files[rng.integers(len(files))]
        with flipped(path, rng):
            trial = run_forked(lambda: load_damaged(run / "checkpoints"))
        tally.add(path.name, trial, expect(trial, 0))
    yield tally


class flipped:  # noqa: N801 - reads as a word of the sentence `with flipped(…)`
    """A context in which one bit of a file is turned over."""

    def __init__(self, path: Path, rng: np.random.Generator) -> None:
        self._path, self._before = path, path.read_bytes()
        self._at, self._bit = int(rng.integers(len(self._before))), 1 << int(rng.integers(8))

    def __enter__(self) -> None:
        content = bytearray(self._before)
        content[self._at] ^= self._bit
        self._path.write_bytes(content)

    def __exit__(self, *_: object) -> None:
        self._path.write_bytes(self._before)


def load_damaged(folder: Path) -> None:
    """Load the newest whole checkpoint; exits with 3 where no damage was told."""
    from pcn_cli.errors import RunError
    from pcn_cli.training.checkpoint import load_checkpoint

    told: list[str] = []
    try:
        load_checkpoint(folder, on_warning=told.append)
    except RunError as error:
        told.append(error.message)
    if not any("damaged" in text for text in told):
        sys.exit(3)


KINDS: dict[str, Callable[[Path, int | None, int], Iterator[Tally]]] = {
    "weights": try_weights,
    "images": try_images,
    "vast": try_vast,
    "names": try_names,
    "recipes": try_recipes,
    "tables": try_tables,
    "boxes": try_boxes,
    "flips": try_flips,
}


def main() -> None:
    """Try what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="+", choices=[*KINDS, "all"])
    parser.add_argument("--count", type=int, help="how many, where there is no end of them")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    preload()
    csv.field_size_limit(2**31 - 1)
    tallies: list[Tally] = []
    for kind in KINDS if "all" in arguments.kinds else arguments.kinds:
        with TemporaryDirectory(prefix="pcn-hostile-") as folder:
            os.environ |= {"PCN_CACHE": f"{folder}/cache", "HOME": folder}
            (Path(folder) / "work").mkdir()
            tallies += KINDS[kind](Path(folder) / "work", arguments.count, arguments.seed)
    print(table(HEADER, (tally.row for tally in tallies)))
    print(f"\nseed {arguments.seed}")
    wrong = [line for tally in tallies for line in tally.wrong]
    print(*wrong, sep="\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
