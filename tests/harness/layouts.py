"""Folder trees and tables whose truth is known, each read by the scan: what becomes of them?

    python tests/harness/layouts.py --count 500

Every layout is drawn from a kind (split folders, a Kaggle table, a tree for detection …) by a seed. It must be read as
it is meant, or refused with the reason, or, where it may mean two things, be read with a finding that says so. A
reading that is wrong and says nothing is the one thing that must not happen.
"""

import argparse
import io
import random
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from pcn_cli.data.scan import scan_photos as module
from pcn_cli.data.scan.decode import inspect_files
from pcn_cli.errors import PcnError
from pcn_cli.recipe.schema import Labelling
from pcn_cli.records.photos import Scan

Reading = dict[str, tuple[str, str | None]]  # file → label, part


@dataclass(kw_only=True)
class Layout:
    """A tree, how it is read, and what must come of it: a `truth`, or a `refusal`, both with what must be said.

    `photos` are paths below the tree's root, `texts` other files with their bytes, `folders` empty ones; `start` is the
    photos folder, `labelling` the options. `said` must be found in the assumptions, doubts and left-out folders.
    """

    kind: str
    photos: list[str]
    truth: Reading | None = None
    refusal: str = ""
    said: str = ""
    texts: dict[str, bytes] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    start: str = "."
    labelling: dict[str, str] = field(default_factory=dict)

    def signature(self) -> tuple[object, ...]:
        """What makes it differ from others."""
        texts = tuple(sorted(self.texts.items()))
        return self.start, tuple(sorted(self.photos)), texts, tuple(self.folders), tuple(sorted(self.labelling.items()))


# Written by hand, apart from what the scan knows of such names.
TRAIN = (
    *(
        "train",
        "Train",
        "TRAIN",
        "training",
        "Training",
        "train ",
        "Training Set",
        "training_set",
        "train_set",
        "trainset",
    ),
    *(
        "seg_train",
        "train_images",
        "images_train",
        "train-images",
        "train2017",
        "TrainData",
        "train_data",
        "trn",
        "Train1",
    ),
)
VAL = (
    *(
        "val",
        "Val",
        "valid",
        "VALID",
        "validation",
        "Validation",
        "val_images",
        "valset",
        "validation set",
        "dev",
        "Dev",
    ),
    *("val2017", "valid_data", "validate", "images_val", "seg_val"),
)
TEST = (
    *("test", "Test", "TEST", "testing", "Testing", "test_set", "Test Set", "testset", "seg_test", "test_images"),
    *("test-images", "test2017", "TestData", "tst", "holdout", "hold-out", "eval", "evaluation", "test1", " test"),
)
CLASSES = (
    *(
        "cat",
        "dog",
        "oak",
        "roses",
        "Golden retriever",
        "snow_leopard",
        "t-shirt",
        "naïve",
        "日本",
        "0",
        "1",
        "2",
        "10",
        "a",
    ),
    *(
        "no",
        "class 7",
        "001.Black_footed_Albatross",
        "Apple___Black_rot",
        "n02085620-Chihuahua",
        "emoji😀",
        "O'Neil",
        "x,y",
    ),
    *("strain", "contest", "latest", "trailer", "mask", "imagery", "nan", "null", "1e5", "c++", "#hash", "100%"),
)
WRAPPERS = (
    ("dataset",),
    ("data",),
    ("images",),
    ("archive", "dataset"),
    ("my photos",),
    ("flowers_v2",),
    ("PetImages",),
)
SUFFIXES = (".jpg", ".png", ".JPG", ".jpeg")


def draw_names(rng: random.Random, least: int = 2, most: int = 5) -> list[str]:
    """Some classes that differ to the eye."""
    return rng.sample(CLASSES, rng.randint(least, most))


def draw_files(rng: random.Random, classes: list[str], *, least: int = 2, start: int = 0) -> list[tuple[str, str]]:
    """(class, file name) of a few photos of each class."""
    suffix = rng.choice(SUFFIXES)
    return [(name, f"p{start + n:02}{suffix}") for name in classes for n in range(rng.randint(least, 4))]


def class_folders(rng: random.Random) -> Layout:
    """Class folders, perhaps in wrappers, with what lies beside photos."""
    classes, wrapper = draw_names(rng), "/".join(rng.choice(((), (), *WRAPPERS)))
    truth: Reading = {f"{wrapper}/{name}/{file}".lstrip("/"): (name, None) for name, file in draw_files(rng, classes)}
    texts = {"README.md": b"# photos", f"{classes[0]}.txt": b"notes"} if rng.random() < 0.5 else {}
    if rng.random() < 0.3:
        texts["__MACOSX/._x.jpg"] = b"junk"
    return Layout(kind="class folders", photos=list(truth), truth=truth, texts=texts)


def nested_classes(rng: random.Random) -> Layout:
    """Classes inside classes, whose last names differ."""
    classes = draw_names(rng, 4, 6)
    nested = [f"kind {n % 2}/{name}" for n, name in enumerate(classes)]
    truth: Reading = {f"{name}/{file}": (name, None) for name, file in draw_files(rng, nested)}
    return Layout(kind="nested class folders", photos=list(truth), truth=truth)


def split_folders(rng: random.Random) -> Layout:
    """Parts under many names, perhaps in wrappers, perhaps with a wrapper inside each."""
    classes, photos = draw_names(rng), Reading()
    names = {"train": rng.choice(TRAIN), "val": rng.choice(VAL), "test": rng.choice(TEST)}
    if rng.random() < 0.5:
        del names[rng.choice(("val", "test"))]
    wrapper = "/".join(rng.choice(((), (), *WRAPPERS)))
    inner = rng.choice(("", "", "same", "images", "data"))
    after = "/images" if rng.random() < 0.2 else ""
    for number, (part, folder) in enumerate(names.items()):
        inside = folder if inner == "same" else inner
        for name, file in draw_files(rng, classes, start=10 * number):
            path = "/".join(filter(None, (wrapper, folder, inside, name + after, file)))
            photos[path] = (name, part)
    return Layout(kind="split folders", photos=list(photos), truth=photos)


def parts_inside_classes(rng: random.Random) -> Layout:
    """A class folder first, and the parts inside it."""
    classes, photos = draw_names(rng), Reading()
    names = {"train": rng.choice(TRAIN), "test": rng.choice(TEST)}
    for number, (part, folder) in enumerate(names.items()):
        photos |= {
            f"{name}/{folder}/{file}": (name, part) for name, file in draw_files(rng, classes, start=10 * number)
        }
    return Layout(kind="parts inside classes", photos=list(photos), truth=photos, said="inside the class folders")


def unlabelled_part(rng: random.Random) -> Layout:
    """Photos to learn from, and a test without labels or a folder that is no part."""
    classes = draw_names(rng)
    train, other = rng.choice(TRAIN), rng.choice((*TEST, "unlabelled", "extra"))
    truth: Reading = {f"{train}/{name}/{file}": (name, "train") for name, file in draw_files(rng, classes)}
    if other in ("unlabelled", "extra"):
        val = rng.choice(VAL)
        truth |= {f"{val}/{name}/{file}": (name, "val") for name, file in draw_files(rng, classes, start=10)}
    loose = [f"{other}/{n}.jpg" for n in range(rng.randint(1, 5))]
    said = rf"{len(loose)} in {re.escape(other)}/"
    return Layout(kind="an unlabelled part", photos=[*truth, *loose], truth=truth, said=said)


def untaught_classes(rng: random.Random) -> Layout:
    """A class that only the test has: it is read, and told."""
    classes = draw_names(rng, 3, 5)
    train, test = rng.choice(TRAIN), rng.choice(TEST)
    truth: Reading = {f"{train}/{name}/{file}": (name, "train") for name, file in draw_files(rng, classes[:-1])}
    truth |= {f"{test}/{name}/{file}": (name, "test") for name, file in draw_files(rng, classes, start=10)}
    return Layout(
        kind="a class without a photo to learn from", photos=list(truth), truth=truth, said="no photo to learn from"
    )


def empty_classes(rng: random.Random) -> Layout:
    """A class folder that holds nothing."""
    *classes, empty = draw_names(rng, 3, 5)
    truth: Reading = {f"{name}/{file}": (name, None) for name, file in draw_files(rng, classes)}
    return Layout(kind="an empty class", photos=list(truth), truth=truth, folders=[empty], said=re.escape(empty))


def part_or_class(rng: random.Random) -> Layout:
    """Folders that may be parts or classes: nobody can know."""
    classes = draw_names(rng)
    odd = rng.choice(
        (
            [f"{rng.choice(TRAIN[:4])}/{name}" for name in classes] + ["bus", "car"],
            [rng.choice(TEST[:8]), *classes],
            [rng.choice(VAL[:8]), *classes],
            ["trainA", "trainB", "testA", "testB"],
            [f"train_{n}/{name}" for n in "ab" for name in classes],
            [f"{classes[0]}/test", *classes[1:]],
        )
    )
    return Layout(
        kind="part or class",
        photos=[f"{name}/{file}" for name, file in draw_files(rng, odd)],
        refusal="part of a split or a class",
    )


def detection(rng: random.Random) -> Layout:
    """Trees for detection: no folder names a class."""
    train, val = rng.choice(TRAIN[:3]), rng.choice(VAL[:5])
    wrapper = rng.choice(("", "dataset/", "coco128/"))
    stems = [f"{n:06}" for n in range(rng.randint(2, 6))]
    photos, texts = list[str](), dict[str, bytes]()
    style = rng.choice(("yolo", "roboflow", "coco", "voc"))
    for part in (train, val):
        for stem in stems:
            if style == "yolo":
                photos.append(f"{wrapper}images/{part}/{stem}.jpg")
                texts[f"{wrapper}labels/{part}/{stem}.txt"] = b"0 0.5 0.5 0.1 0.1\n"
            elif style == "roboflow":
                photos.append(f"{wrapper}{part}/images/{stem}.jpg")
                texts[f"{wrapper}{part}/labels/{stem}.txt"] = b"0 0.5 0.5 0.1 0.1\n"
            elif style == "coco":
                photos.append(f"{wrapper}{part}2017/{stem}.jpg")
                texts[f"{wrapper}annotations/instances_{part}2017.json"] = b"{}"
            else:
                photos.append(f"{wrapper}JPEGImages/{part}{stem}.jpg")
                texts[f"{wrapper}Annotations/{part}{stem}.xml"] = b"<annotation/>"
    return Layout(kind="a set for detection", photos=photos, texts=texts, refusal="for detection")


def masks(rng: random.Random) -> Layout:
    """Photos beside what was drawn over them."""
    images, drawn = rng.choice(
        (("images", "masks"), ("Images", "annotations"), ("JPEGImages", "SegmentationClass"), ("img", "gt"))
    )
    inner = rng.choice(("", "a/", "b/"))
    photos = [f"{folder}/{inner}{n}.png" for folder in (images, drawn) for n in range(rng.randint(2, 9))]
    return Layout(kind="photos and masks", photos=photos, refusal="drawn over them")


def lookalikes(rng: random.Random) -> Layout:
    """Two classes that look the same, as folders or in a table."""
    name = rng.choice(("cat", "golden retriever", "snow leopard", "Ädelweiß"))
    pairs = [
        name.upper(),
        name.replace(" ", "_"),
        name.replace(" ", "  "),
        name.replace(" ", "\u00a0"),
        f"{name}\u200b",
    ]
    ends = [f"{name} ", f" {name}", f"{name}\u00a0"]  # a table's cells have no spaces at their ends
    in_table = rng.random() < 0.5
    other = rng.choice([one for one in (*pairs, *([] if in_table else ends)) if one != name])
    if in_table:
        files = {f"{n}.jpg": (name, other, "dog")[n % 3] for n in range(rng.randint(6, 9))}
        text = table(["file", "label"], files.items())
        return Layout(
            kind="names that look the same", photos=list(files), texts={"labels.csv": text}, refusal="differ only by"
        )
    top = rng.choice(("", "train/"))
    rest = [f"test/{name}/9.jpg", "test/dog/9.jpg"] if top else []
    photos = [f"{top}{one}/{n}.jpg" for one in (name, other, "dog") for n in range(rng.randint(2, 4))]
    return Layout(kind="names that look the same", photos=photos + rest, refusal="differ only by")


def repeated_names(rng: random.Random) -> Layout:
    """The same class names under two folders that are no parts: read by path, and doubted."""
    classes = draw_names(rng, 2, 4)
    above = rng.choice(
        (("site 1", "site 2"), ("fold0", "fold1", "fold2"), ("traning", "tezt"), ("2019", "2020"), ("ok", "ko"))
    )
    truth: Reading = {
        f"{top}/{name}/{file}": (f"{top}/{name}", None) for top in above for name, file in draw_files(rng, classes)
    }
    return Layout(
        kind="class names under two folders", photos=list(truth), truth=truth, said="under two folders or more"
    )


def mixed_depth(rng: random.Random) -> Layout:
    """Photos in a folder and in the folders inside it."""
    outer, first, second = draw_names(rng, 3, 3)
    classes = (
        [outer, f"{outer}/{first}", second] if rng.random() < 0.5 else [f"{outer}/{first}", f"{outer}/{second}", first]
    )
    truth: Reading = {f"{name}/{file}": (name, None) for name, file in draw_files(rng, classes)}
    said = "and in folders inside|folders in folders"
    return Layout(kind="folders of mixed depth", photos=list(truth), truth=truth, said=said)


def table(
    header: list[str], rows: Any, *, separator: str = ",", end: str = "\n", bom: bool = False, preface: str = ""
) -> bytes:
    """A table as a spreadsheet or pandas writes it."""

    def quote(cell: str) -> str:
        return f'"{cell}"' if re.search(r'[,;\t"\n]', cell) else cell

    lines = [separator.join(quote(cell) for cell in row) for row in (header, *rows)]
    text = preface + end.join(lines) + end
    return text.encode("utf-8-sig" if bom else "utf-8")


FILE_COLUMNS = (
    "file",
    "File",
    "filename",
    "file_name",
    "image",
    "Image",
    "image_id",
    "id",
    "img",
    "path",
    "image_path",
    "ImageID",
    "photo",
)
LABEL_COLUMNS = ("label", "Label", "class", "Class", "category", "species", "breed", "target", "class_name")


def kaggle_table(rng: random.Random) -> Layout:
    """A table beside a folder of photos, which it names in one of the ways that people do."""
    classes, where = draw_names(rng), rng.choice(("train_images", "train", "images", "img/all"))
    files, suffix = Reading(), rng.choice(SUFFIXES)
    way = rng.choice(("path", "bare", "id", "case", "from the table", "backslash", "other machine"))
    written: dict[str, str] = {}
    for number in range(rng.randint(4, 9)):
        name = f"{rng.choice('abc')}{number:03}{suffix}"
        path = f"{where}/{name}"
        files[path] = (classes[number % len(classes)], None)
        written[path] = {
            "path": path,
            "bare": name,
            "id": name.removesuffix(suffix),
            "case": name.swapcase(),
            "from the table": f"./{path}",
            "backslash": path.replace("/", "\\"),
            "other machine": f"/kaggle/input/comp/{path}",
        }[way]
    others = [f"test_images/{n}x{suffix}" for n in range(rng.randint(0, 3))]
    start = (
        rng.choice((".", where)) if way in ("bare", "id", "case", "path") else where if way == "other machine" else "."
    )
    shorter = start == where
    truth = {path.removeprefix(f"{where}/") if shorter else path: value for path, value in files.items()}
    header = [rng.choice(FILE_COLUMNS), rng.choice(LABEL_COLUMNS)]
    rows = [[written[path], label] for path, (label, _) in files.items()]
    if rng.random() < 0.4:
        header.append("width")
        rows = [[*row, str(100 + n)] for n, row in enumerate(rows)]
    if rng.random() < 0.3:
        header.insert(0, "")
        rows = [[str(n), *row] for n, row in enumerate(rows)]
    text = table(
        header,
        rows,
        separator=rng.choice(",;\t"),
        end=rng.choice(("\n", "\r\n")),
        bom=rng.random() < 0.3,
        preface=rng.choice(("", "", "# made by hand\n", "\n", "\n# x\n\n")),
    )
    return Layout(
        kind="a table beside photos",
        photos=[*files, *others],
        truth=truth,
        texts={"train.csv": text},
        start=start,
        labelling={"labels": "train.csv"},
        said="" if way in ("path", "from the table", "backslash") else "found",
    )


def only_columns(rng: random.Random) -> Layout:
    """A table of two columns, the second under any name; or one whose columns were named."""
    classes = draw_names(rng)
    files: Reading = {f"{n}.jpg": (classes[n % len(classes)], None) for n in range(rng.randint(4, 9))}
    odd, labelling = rng.choice(("has_cactus", "Finding", "Rasse", "outcome")), {"labels": "train.csv"}
    header, rows = [rng.choice(("id", "image", "filename")), odd], [[file, label] for file, (label, _) in files.items()]
    if rng.random() < 0.6:
        header, rows = [*header, "weight"], [[*row, "3.5"] for row in rows]
        labelling["label_column"] = odd
    if rng.random() < 0.3:
        header[0], labelling["file_column"] = "Bild", "bild"
    said = "" if "label_column" in labelling else f"labels are the column {odd}"
    text = table(header, rows)
    return Layout(
        kind="columns under odd names",
        photos=list(files),
        truth=files,
        texts={"train.csv": text},
        labelling=labelling,
        said=said,
    )


def one_hot(rng: random.Random) -> Layout:
    """A column of 0 and 1 for each class; several may be 1."""
    classes, several = sorted(draw_names(rng, 3, 5)), rng.random() < 0.4
    files, rows = Reading(), []
    for number in range(rng.randint(5, 9)):
        own = sorted(
            {classes[number % len(classes)], classes[(number * 2 + 1) % len(classes)]}
            if several
            else {classes[number % len(classes)]}
        )
        own = [] if several and number == 4 else own
        files[f"{number}.jpg"] = (";".join(own), None)
        one, zero = rng.choice((("1", "0"), ("1.0", "0.0")))
        rows.append([f"{number}.jpg", *(one if name in own else zero for name in classes)])
    said = "several labels, or none" if several else "one class each"
    text = table([rng.choice(("image", "image_id", "file")), *classes], rows)
    return Layout(
        kind="a column for each class", photos=list(files), truth=files, texts={"labels.csv": text}, said=said
    )


def several_labels(rng: random.Random) -> Layout:
    """A column labels."""
    classes, mark = sorted(draw_names(rng, 3, 5)), rng.choice(";|")
    classes = [name for name in classes if "," not in name] or ["cat", "dog"]
    files, rows = Reading(), []
    for number in range(rng.randint(4, 9)):
        own = sorted(rng.sample(classes, rng.randint(0, min(3, len(classes)))) if number else classes[:2])
        files[f"{number}.jpg"] = (";".join(own), None)
        rows.append([f"{number}.jpg", mark.join(own)])
    return Layout(
        kind="several labels", photos=list(files), truth=files, texts={"labels.csv": table(["file", "labels"], rows)}
    )


def comma_labels(rng: random.Random) -> Layout:
    """A column labels with commas between them: read as single names, and doubted."""
    names = rng.sample(("red", "big", "old", "round", "wet"), 4)
    cells = [f"{names[n % 4]},{names[(n + 1) % 4]}" for n in range(rng.randint(4, 8))]
    files: Reading = {f"{n}.jpg": (cell, None) for n, cell in enumerate(cells)}
    text = table(["file", "labels"], [[file, label] for file, (label, _) in files.items()])
    return Layout(
        kind="commas between labels",
        photos=list(files),
        truth=files,
        texts={"labels.csv": text},
        said="No photo has several labels",
    )


def split_column(rng: random.Random) -> Layout:
    """A table with parts in a column."""
    classes, files, rows = draw_names(rng), Reading(), []
    words = {
        "train": rng.choice(TRAIN).strip(),
        "val": rng.choice(VAL).strip(),
        "test": rng.choice(TEST).strip(),
        None: "",
    }
    column = rng.choice(("split", "Split", "split", "subset", "partition", "data set", "usage"))
    for number in range(rng.randint(6, 9)):
        part = ("train", "val", "test", None)[number % (4 if column.lower() == "split" else 3)]
        files[f"{number}.jpg"] = (classes[number % len(classes)], part)
        rows.append([f"{number}.jpg", classes[number % len(classes)], words[part]])
    text = table(["file", "label", column], rows)
    return Layout(kind="parts in a column", photos=list(files), truth=files, texts={"labels.csv": text})


def bad_table(rng: random.Random) -> Layout:
    """Tables that must be refused, each for its reason."""
    photos = [f"{folder}/{n}.jpg" for folder in ("a", "b") for n in range(rng.randint(3, 5))]
    label = rng.choice(CLASSES[:4])
    good = [[file, label if n % 2 else "other"] for n, file in enumerate(photos)]
    one = rng.randrange(len(good))
    cases: dict[str, tuple[bytes, str]] = {
        "ambiguous": (
            table(["file", "label"], [[row[0].partition("/")[2], row[1]] for row in good[:3]]),
            "may be any of 2 files",
        ),
        "columns": (
            table(["file", "width", "height"], [[row[0], str(n), "7"] for n, row in enumerate(good)]),
            "no column label",
        ),
        "header": (table(good[0], good[1:]), "no header"),
        "latin": ("file,label\na/0.jpg,Öl\n".encode("latin-1"), "not UTF-8"),
        "split": (table(["file", "label", "split"], [[*row, rng.choice("012")] for row in good]), "split is '"),
        "twice": (table(["file", "label"], [*good, good[one]]), "stands on line"),
        "unlabelled": (table(["file", "label"], [*good[:one], [good[one][0], ""]]), "no label for"),
        "gone": (table(["file", "label"], [[f"gone/{row[0]}x", row[1]] for row in good]), "does not exist"),
        "two": (table(["image", "class", "species"], [[*row, row[1]] for row in good]), "could be class or species"),
        "quotes": (b'file,label\n"a/0.jpg,x\n', "line"),
    }
    text, refusal = cases[rng.choice(sorted(cases))]
    return Layout(kind="a table that cannot be read", photos=photos, texts={"labels.csv": text}, refusal=refusal)


def class_in_name(rng: random.Random) -> Layout:
    """The class in the names of the files, with the pattern given; perhaps inside parts."""
    names = rng.sample(("cat", "dog", "great_pyrenees", "Abyssinian", "beagle"), rng.randint(2, 4))
    mark, truth = rng.choice("._-"), Reading()
    parts = rng.choice(
        ({"": None}, {"photos/": None}, {"train/": "train", "test/": "test"}, {"Training/": "train", "val/": "val"})
    )
    for number, (folder, part) in enumerate(parts.items()):
        for name in names:
            truth |= {f"{folder}{name}{mark}{10 * number + n}.jpg": (name, part) for n in range(rng.randint(2, 4))}
    pattern = rng.choice((rf"^(.+)[{mark}]\d", rf"^([A-Za-z_]+?)[{mark}]\d+\."))
    loose = [f"{next(iter(parts))}IMG{n}.jpg" for n in range(rng.randint(0, 2))]
    said = rf"{len(loose)} in .*--label-from" if loose else ""
    return Layout(
        kind="the class in the file name",
        photos=[*truth, *loose],
        truth=truth,
        labelling={"label_from": pattern},
        said=said,
    )


def class_in_path(rng: random.Random) -> Layout:
    """A pattern that settles what folders mean."""
    classes, tops = draw_names(rng), rng.choice((("test", "prod"), ("site 1", "site 2"), ("train_a", "train_b")))
    pattern, whole = rng.choice(((r"([^/]+)/[^/]+$", False), (r"^(.+)/", True)))
    truth: Reading = {
        f"{top}/{name}/{file}": (f"{top}/{name}" if whole else name, None)
        for top in tops
        for name, file in draw_files(rng, classes)
    }
    return Layout(kind="a pattern over the path", photos=list(truth), truth=truth, labelling={"label_from": pattern})


def no_classes(rng: random.Random) -> Layout:
    """Photos without folders of classes: refused, and a class in the names is offered."""
    names, mark = rng.sample(("cat", "dog", "beagle"), 2), rng.choice("._-")
    folder = rng.choice(("", "images/", "train/", "train/train/"))
    if rng.random() < 0.5:
        photos = [f"{folder}{name}{mark}{n}.jpg" for name in names for n in range(rng.randint(3, 5))]
        return Layout(kind="photos without folders", photos=photos, refusal="hint: .*--label-from")
    photos = [f"{folder}{n}.jpg" for n in range(rng.randint(3, 9))]
    return Layout(kind="photos without folders", photos=photos, refusal="has a label|one class only")


KINDS: tuple[Callable[[random.Random], Layout], ...] = (
    *(
        class_folders,
        nested_classes,
        split_folders,
        split_folders,
        split_folders,
        parts_inside_classes,
        unlabelled_part,
    ),
    *(untaught_classes, empty_classes, part_or_class, detection, masks, lookalikes, repeated_names, mixed_depth),
    *(kaggle_table, kaggle_table, kaggle_table, only_columns, one_hot, several_labels, comma_labels, split_column),
    *(bad_table, class_in_name, class_in_path, no_classes),
)


def draw_layouts(count: int, seed: int) -> Iterator[Layout]:
    """`count` layouts that differ, of all kinds in turn."""
    rng, seen, number = random.Random(seed), set[tuple[object, ...]](), 0
    while len(seen) < count:
        layout = KINDS[number % len(KINDS)](rng)
        number += 1
        if layout.signature() not in seen:
            seen.add(layout.signature())
            yield layout


def build(layout: Layout, folder: Path, picture: bytes) -> None:
    """Put the tree into `folder`, one tiny picture for every photo."""
    for path, content in (*((photo, picture) for photo in layout.photos), *layout.texts.items()):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    for name in layout.folders:
        (folder / name).mkdir(parents=True)


def judge(layout: Layout, folder: Path) -> str:
    """What became of a layout: "read", "refused", or in words what is wrong."""
    labelling = dict(layout.labelling)
    if "labels" in labelling:
        labelling["labels"] = str(folder / labelling["labels"])
    try:
        scan = module.scan_photos(folder / layout.start, labelling=Labelling(**labelling))
        module.check_scan(scan, max_unreadable=0.05)
    except PcnError as error:
        told = f"{error.message}\nhint: {error.hint}"
        if layout.truth is not None:
            return f"refused, though it is clear: {told}"
        return "refused" if re.search(layout.refusal, told, re.DOTALL) else f"refused for another reason: {told}"
    found: Reading = {photo.file: (photo.label, photo.split) for photo in scan.photos}
    if layout.truth is None:
        return f"read, though nobody can: {found}"
    if found != layout.truth:
        wrong = {file: (found.get(file), layout.truth.get(file)) for file in found.keys() | layout.truth.keys()}
        return f"wrong (found, true): {dict(item for item in wrong.items() if item[1][0] != item[1][1])}"
    told = "\n".join(everything_told(scan))
    return "read" if re.search(layout.said, told) else f"not said: {layout.said!r} in {told!r}"


def everything_told(scan: Scan) -> Iterator[str]:
    """What is said of how the photos were read."""
    from pcn_cli.data.split import given_rows
    from pcn_cli.metrics.findings import findings
    from pcn_cli.stages.photos import check_leaks

    yield from scan.assumptions
    for finding in findings(check_leaks(given_rows(scan), scan)):
        yield f"{finding.title}: {finding.evidence} {finding.remedy}"


def try_layouts(count: int, seed: int) -> Iterator[tuple[Layout, str]]:
    """Each layout with what became of it."""
    drawn = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(drawn, "PNG")
    decode = module.inspect_files
    module.inspect_files = partial(inspect_files, workers=0)  # a process for each would take most of the time
    try:
        for layout in draw_layouts(count, seed):
            with tempfile.TemporaryDirectory() as folder:
                build(layout, Path(folder), drawn.getvalue())
                yield layout, judge(layout, Path(folder))
    finally:
        module.inspect_files = decode


def main() -> int:
    """Print a table, and what went wrong; 1 where anything did."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=500, help="layouts to try")
    parser.add_argument("--seed", type=int, default=0, help="another seed draws other layouts")
    parser.add_argument("--show", type=int, default=10, help="failures to show")
    arguments = parser.parse_args()
    counts: dict[str, Counter[str]] = {}
    failures = []
    for layout, verdict in try_layouts(arguments.count, arguments.seed):
        ended = verdict if verdict in ("read", "refused") else "wrong"
        counts.setdefault(layout.kind, Counter())[ended] += 1
        if ended == "wrong":
            failures.append(f"{layout.kind}: {verdict}\n    {layout}")
    print(f"seed {arguments.seed}\n\n| layout | tried | read as meant | refused with the reason | wrong |")
    print("|---|---|---|---|---|")
    total = sum(counts.values(), Counter())
    for kind, count in [*counts.items(), ("all", total)]:
        print(f"| {kind} | {count.total()} | {count['read']} | {count['refused']} | {count['wrong']} |")
    for failure in failures[: arguments.show]:
        print(f"\n{failure}", file=sys.stderr)
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
