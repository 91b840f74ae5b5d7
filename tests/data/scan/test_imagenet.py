"""ImageNet's photos are found in both of their forms, and its numbers never taken for those of another order."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from pcn_cli.data.scan.imagenet import find_imagenet, synsets
from pcn_cli.errors import DataError

NAMES = [f"ILSVRC2012_val_{number:08}.JPEG" for number in range(1, 7)]
CLASSES = [3, 0, 999, 3, 500, 1]  # of the photos, in the order of the 1,000


def flat(folder: Path) -> Path:
    """A flat folder of six photos; nobody opens them here."""
    folder.mkdir(parents=True)
    for name in NAMES:
        (folder / name).write_bytes(b"photo")
    return folder


def write_kit(path: Path) -> dict[int, int]:
    """A meta.mat as in ILSVRC's kit, in an order of its own, with synsets above the 1,000; class → ILSVRC's number."""
    order = np.random.default_rng(0).permutation(1000)
    rows = [(place + 1, synsets()[one], "word", "gloss", 0) for place, one in enumerate(order)]
    rows += [(1001, "n00001740", "entity", "all of it", 2)]
    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    savemat(path, {"synsets": np.array(rows, dtype=kinds)})
    return {int(one): place + 1 for place, one in enumerate(order)}


def test_there_are_a_thousand_synsets_in_the_order_of_their_names():
    assert len(synsets()) == 1000
    assert list(synsets()) == sorted(synsets())
    assert (synsets()[0], synsets()[999]) == ("n01440764", "n15075141")


def test_folders_of_synsets_are_found_below_val_too(tmp_path: Path):
    for synset in (synsets()[7], synsets()[2]):
        (tmp_path / "val" / synset).mkdir(parents=True)
        (tmp_path / "val" / synset / "a.JPEG").write_bytes(b"photo")
    (tmp_path / "val" / synsets()[7] / "notes.txt").write_text("no photo")
    found = find_imagenet(tmp_path)
    assert found is not None
    assert found.root == tmp_path / "val"
    assert found.files == (f"{synsets()[2]}/a.JPEG", f"{synsets()[7]}/a.JPEG")
    assert found.targets == (2, 7)


def test_ilsvrcs_numbers_are_read_by_the_kit(tmp_path: Path):
    root, kit = flat(tmp_path / "val"), tmp_path / "ILSVRC2012_devkit_t12" / "data"
    kit.mkdir(parents=True)
    number = write_kit(kit / "meta.mat")
    truth = kit / "ILSVRC2012_validation_ground_truth.txt"
    truth.write_text("".join(f"{number[one]}\n" for one in [*CLASSES, 4, 4]))
    found = find_imagenet(root)
    assert found is not None
    assert (found.files, found.targets) == (tuple(NAMES), tuple(CLASSES))
    (kit / "meta.mat").unlink()
    with pytest.raises(DataError, match=r"ILSVRC's own, and the meta.mat") as refused:
        find_imagenet(root)
    assert "meta.mat" in refused.value.hint


def test_kaggles_table_is_found_above_the_photos(tmp_path: Path):
    root = flat(tmp_path / "ILSVRC" / "Data" / "CLS-LOC" / "val")
    rows = [
        f"{Path(name).stem},{synsets()[one]} 85 1 499 272 {synsets()[one]} 1 2 3 4 \n"
        for name, one in zip(NAMES, CLASSES, strict=True)
    ]
    (tmp_path / "LOC_val_solution.csv").write_text("".join(["ImageId,PredictionString\n", *reversed(rows)]))
    found = find_imagenet(root)
    assert found is not None
    assert (found.files, found.targets) == (tuple(NAMES), tuple(CLASSES))


@pytest.mark.parametrize(
    "line",
    [
        lambda name, one: f"{synsets()[one]}\n",
        lambda name, one: f"{name} {one}\n",
        lambda name, one: f"{one}\n",
    ],
    ids=["a synset", "name and number from 0", "a number from 0"],
)
def test_other_truths_on_a_line_are_read(tmp_path: Path, line):
    truth = tmp_path / "val.txt"
    truth.write_text("".join(line(name, one) for name, one in zip(NAMES, CLASSES, strict=True)))
    found = find_imagenet(flat(tmp_path / "val"), truth)
    assert found is not None
    assert found.targets == tuple(CLASSES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n01440764\n", "has 1 lines"),
        ("cat\n" * 6, "'cat'"),
        ("0\n" * 5 + "1000\n", "'1000'"),
        ("", "is empty"),
        ("a.JPEG 4\nb.JPEG 0\n", "does not name ILSVRC2012_val_00000001.JPEG"),
    ],
)
def test_a_truth_that_does_not_fit_is_refused(tmp_path: Path, text: str, message: str):
    truth = tmp_path / "truth.txt"
    truth.write_text(text)
    with pytest.raises(DataError, match=message):
        find_imagenet(flat(tmp_path / "val"), truth)


def test_photos_without_a_truth_are_refused_and_other_photos_are_none_of_it(tmp_path: Path):
    with pytest.raises(DataError, match="without their truth"):
        find_imagenet(flat(tmp_path / "val"))
    (tmp_path / "flowers" / "daisy").mkdir(parents=True)
    (tmp_path / "flowers" / "daisy" / "a.jpg").write_bytes(b"photo")
    assert find_imagenet(tmp_path / "flowers") is None


def test_a_damaged_kit_is_refused(tmp_path: Path):
    truth = tmp_path / "truth.txt"
    truth.write_text("1\n" * 6)
    (tmp_path / "meta.mat").write_bytes(b"no matlab file at all" * 20)
    with pytest.raises(DataError, match=r"not the meta.mat of ILSVRC's kit"):
        find_imagenet(flat(tmp_path / "val"), truth)
