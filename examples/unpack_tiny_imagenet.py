"""Unpack a packed Tiny-ImageNet into class folders that pcn reads: what `nano` was trained on.

    python examples/unpack_tiny_imagenet.py tiny_imagenet_200 tiny

The packed corpus is images.bin (JPEG files one after another), index.npz (offset, length, label, split, name, box_xyxy,
classes) and classes.txt (a wnid and its words per line). The folder gets one folder per class, named by its first word,
labels.csv, and boxes.csv with the box of the object in each picture where it is known. Ten training pictures of each
class become the validation part; the corpus's own validation pictures are the test.
"""

import argparse
import csv
from pathlib import Path

import numpy as np

VALIDATION_PER_CLASS = 10
SIDE = 64  # of every picture, in pixels


def main() -> None:
    """Unpack what the command line names and say what there is."""
    parser = argparse.ArgumentParser(description="Unpack a packed Tiny-ImageNet into class folders.")
    parser.add_argument("packed", type=Path, help="the folder with images.bin, index.npz and classes.txt")
    parser.add_argument("folder", type=Path, help="where the class folders go")
    arguments = parser.parse_args()
    counts = unpack(arguments.packed, arguments.folder)
    print(f"{arguments.folder}: " + ", ".join(f"{count} {part}" for part, count in counts.items()))


def unpack(packed: Path, folder: Path) -> dict[str, int]:
    """The number of pictures in each part of `folder`, once it is filled."""
    with np.load(packed / "index.npz", allow_pickle=False) as index:
        names, boxes, wnids = index["name"], index["box_xyxy"], index["classes"]
        labels, starts, lengths = index["label"], index["offset"], index["length"]
        parts = name_parts(labels, index["split"])
    words = read_words(packed / "classes.txt")
    for wnid in wnids:
        (folder / words[wnid]).mkdir(parents=True, exist_ok=True)
    files = [f"{words[wnids[label]]}/{name}" for label, name in zip(labels, names, strict=True)]
    with (packed / "images.bin").open("rb") as pictures:
        for file, start, length in zip(files, starts, lengths, strict=True):
            pictures.seek(start)
            (folder / file).write_bytes(pictures.read(length))
    classes = [file.split("/")[0] for file in files]
    write_table(folder / "labels.csv", ["file", "label", "split"], zip(files, classes, parts, strict=True))
    known = [number for number in range(len(files)) if boxes[number, 0] >= 0]
    header = ["file", "label", "xmin", "ymin", "xmax", "ymax", "width", "height"]
    write_table(folder / "boxes.csv", header, ([files[n], classes[n], *boxes[n].tolist(), SIDE, SIDE] for n in known))
    return {part: int((parts == part).sum()) for part in ("train", "val", "test")}


def name_parts(labels: np.ndarray, split: np.ndarray) -> np.ndarray:
    """The part of each picture: "train", "val" or "test"."""
    parts = np.where(split == 0, "train", "test").astype("<U5")
    rng = np.random.default_rng(0)
    for label in np.unique(labels):
        trained_on = np.flatnonzero((labels == label) & (split == 0))
        parts[rng.choice(trained_on, VALIDATION_PER_CLASS, replace=False)] = "val"
    return parts


def read_words(table: Path) -> dict[str, str]:
    """The first word of each wnid, such as "goldfish"."""
    lines = table.read_text(encoding="utf-8").splitlines()
    return {wnid: words.split(",")[0].strip() for wnid, words in (line.split("\t") for line in lines if line)}


def write_table(path: Path, header: list[str], rows) -> None:  # noqa: ANN001
    """Write rows of cells as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
