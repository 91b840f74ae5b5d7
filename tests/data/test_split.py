import os
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from pcn_cli.data.scan.columns import choose_columns
from pcn_cli.data.scan.labels import list_candidates
from pcn_cli.data.scan.scan_photos import scan_photos
from pcn_cli.data.scan.table import read_table
from pcn_cli.data.split import check_split, fingerprint, split_scan
from pcn_cli.errors import DataError
from pcn_cli.recipe.schema import Labelling
from pcn_cli.records.photos import Photo, Scan
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.store import read_split, write_split


def make_scan(photos):
    return Scan(root="/photos", layout="class folders", photos=tuple(photos))


def make_photo(number, label="a", **facts):
    facts = {"sha256": f"{number:064x}", **facts}
    return Photo(file=f"{label}/{number}.jpg", label=label, width=1, height=1, **facts)


def split(photos, seed=0, val=0.15, test=0.15):
    return split_scan(make_scan(photos), seed=seed, val=val, test=test)


def parts_of(rows):
    return Counter(row.split for row in rows)


def random_photos(rng):
    """Classes of odd sizes with duplicates, also across classes, and groups."""
    photos = []
    for label in "abcde"[: rng.integers(1, 6)]:
        for _ in range(rng.integers(1, 40)):
            group = f"g{rng.integers(12)}" if rng.random() < 0.3 else None
            sha256 = f"{rng.integers(60) if rng.random() < 0.2 else 100 + len(photos):064x}"
            photos.append(make_photo(len(photos), label, sha256=sha256, group=group))
    return photos


@pytest.mark.parametrize("trial", range(40))
def test_duplicates_and_groups_never_cross_the_split(trial):
    rng = np.random.default_rng(trial)
    photos = random_photos(rng)
    rows = split(photos, seed=trial, val=rng.uniform(0.05, 0.3), test=rng.uniform(0.05, 0.3))
    assert [row.file for row in rows] == sorted(photo.file for photo in photos)
    for key in ("sha256", "group"):
        parts = {}
        for row in rows:
            if getattr(row, key):
                assert parts.setdefault(getattr(row, key), row.split) == row.split


def test_the_photos_of_a_class_are_not_compared_with_each_other(monkeypatch):
    """Each was compared with all that left the training part, which takes the square of a class's size."""
    compared, equal = [], Photo.__eq__
    monkeypatch.setattr(Photo, "__eq__", lambda one, other: compared.append(one) or equal(one, other))
    assert parts_of(split([make_photo(number) for number in range(200)])) == {"train": 140, "val": 30, "test": 30}
    assert len(compared) < 200


@pytest.mark.parametrize("trial", range(20))
def test_the_split_is_stratified_to_a_photo(trial):
    rng = np.random.default_rng(trial)
    sizes = {f"c{n}": int(rng.integers(7, 60)) for n in range(8)}
    photos = [make_photo(1000 * c + n, label) for c, (label, size) in enumerate(sizes.items()) for n in range(size)]
    rows = split(photos, seed=trial)
    for part in ("val", "test"):
        assert abs(parts_of(rows)[part] - 0.15 * len(rows)) <= 1
        for label, size in sizes.items():
            assert abs(sum(row.label == label and row.split == part for row in rows) - 0.15 * size) < 1.01


@pytest.mark.parametrize(
    ("size", "expected"),
    [(1, {"train": 1}), (2, {"train": 1, "val": 1}), (3, {"train": 1, "val": 1, "test": 1})],
)
def test_small_classes_are_trained_on_first(size, expected):
    assert parts_of(split([make_photo(n) for n in range(size)])) == expected


def test_two_small_classes_serve_both_parts():
    photos = [make_photo(n, label) for n, label in enumerate("aabb")]
    assert parts_of(split(photos)) == {"train": 2, "val": 1, "test": 1}


@pytest.mark.parametrize("size", range(3, 30))
@pytest.mark.parametrize("share", [0.05, 0.15, 0.45])
def test_every_class_of_three_is_in_every_part(size, share):
    counts = parts_of(split([make_photo(n) for n in range(size)], val=share, test=share))
    assert min(counts["train"], counts["val"], counts["test"]) >= 1
    assert sum(counts.values()) == size


def test_large_groups_leave_no_part_empty():
    photos = [make_photo(n, group=f"g{n // 50}") for n in range(150)]
    assert set(parts_of(split(photos)).values()) == {50}


def test_the_same_seed_gives_the_same_split_in_any_order():
    photos = [make_photo(n, label) for n, label in enumerate("ab" * 40)]
    rows = split(photos, seed=3)
    assert rows == split(photos[::-1], seed=3)
    assert rows != split(photos, seed=4)


def test_names_do_not_matter_and_new_photos_move_few():
    photos = [make_photo(n) for n in range(100)]
    before = {row.sha256: row.split for row in split(photos)}
    renamed = [replace(photo, file=f"z{99 - n}.jpg") for n, photo in enumerate(photos)]
    assert {row.sha256: row.split for row in split(renamed)} == before
    after = {row.sha256: row.split for row in split([*photos, make_photo(100)])}
    assert sum(after[sha256] != part for sha256, part in before.items()) <= 2


def test_the_users_own_split_is_never_changed():
    own = ["train", "val", "test", "train", None]
    photos = [make_photo(n, split=own[n % 5], sha256="0" * 64) for n in range(50)]
    rows = {row.file: row.split for row in split(photos)}
    assert all(rows[photo.file] == (photo.split or "train") for photo in photos)


@pytest.mark.parametrize("missing", ["val", "test"])
def test_a_missing_part_is_taken_from_training_alone(missing):
    other = "test" if missing == "val" else "val"
    photos = [make_photo(n, label, split="train" if n % 4 else other) for n in range(80) for label in "ab"]
    rows = {row.file: row for row in split(photos)}
    counts = parts_of(rows.values())
    assert counts[other] == 40
    assert counts[missing] == round(0.15 * 160)
    assert all(rows[photo.file].split == other for photo in photos if photo.split == other)


def test_a_photo_that_leaks_into_the_users_test_stays_in_training():
    photos = [make_photo(n, split="train") for n in range(20)]
    photos += [make_photo(100 + n, split="test", sha256=photos[n].sha256) for n in range(18)]
    rows = {row.file: row.split for row in split(photos)}
    assert all(rows[f"a/{n}.jpg"] == "train" for n in range(18))
    assert "val" in rows.values()


def test_a_split_without_training_is_refused():
    with pytest.raises(DataError, match="no photo is in the training part"):
        split([make_photo(n, split="test") for n in range(5)])


def test_a_written_split_comes_back_as_it_was(tmp_path):
    photos = [make_photo(n, label, group="=g") for n, label in enumerate(("=a", "-b,c", 'd"e', "no"))]
    rows = split(photos)
    write_split(RunDir(tmp_path), rows)
    assert read_split(RunDir(tmp_path)) == rows
    assert (tmp_path / "split.csv").read_text().splitlines()[0] == "file,label,split,group,sha256"


@pytest.mark.parametrize("text", ["", "file,label\na,b\n", "file,label,split,group,sha256\na,b,dev,,0\n"])
def test_a_file_that_is_no_split_is_refused(tmp_path, text):
    (tmp_path / "split.csv").write_text(text)
    if text:
        with pytest.raises(DataError, match="is no split of ours"):
            read_split(RunDir(tmp_path))
    else:
        assert read_split(RunDir(tmp_path)) == ()
    with pytest.raises(DataError, match="is no split of ours"):
        read_split(RunDir(tmp_path / "gone"))


def test_changed_and_missing_photos_are_named(photo_folder):
    rows = split_scan(scan_photos(photo_folder), seed=0, val=0.2, test=0.2)
    assert check_split(rows, photo_folder) == []
    (photo_folder / rows[0].file).unlink()
    (photo_folder / rows[5].file).write_bytes(b"other")
    assert check_split(rows, photo_folder) == [f"{rows[0].file}: missing", f"{rows[5].file}: changed since the split"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes")
def test_what_became_a_pipe_is_named_and_never_opened(photo_folder):
    """A photo replaced by a pipe after the split kept resume and evaluate waiting for ever."""
    rows = split_scan(scan_photos(photo_folder), seed=0, val=0.2, test=0.2)
    first, second, third, fourth = (photo_folder / row.file for row in rows[:4])
    for path in (first, second, third, fourth):
        path.unlink()
    os.mkfifo(first)
    second.mkdir()
    third.symlink_to(first)
    fourth.symlink_to("/dev/zero")
    assert check_split(rows, photo_folder) == [f"{row.file}: cannot be read (not a regular file)" for row in rows[:4]]


def test_the_fingerprint_tells_splits_apart():
    rows = split([make_photo(n) for n in range(20)])
    assert fingerprint(rows) == fingerprint(rows[::-1])
    changed = (replace(rows[0], label="other"), *rows[1:])
    assert len({fingerprint(rows), fingerprint(changed), fingerprint(rows[1:])}) == 3
    assert len(fingerprint(rows)) == 64


def several(seed, count=600):
    """Photos with any of four labels, the last one rare."""
    rng = np.random.default_rng(seed)
    chances = {"a": 0.5, "b": 0.3, "c": 0.1, "d": 0.02}
    own = [[name for name, chance in chances.items() if rng.random() < chance] for _ in range(count)]
    photos = [make_photo(number, ";".join(names)) for number, names in enumerate(own)]
    return replace(make_scan(photos), multi_label=True)


@pytest.mark.parametrize("seed", range(5))
def test_each_of_several_labels_has_its_share_in_every_part(seed):
    scan = several(seed)
    rows = split_scan(scan, seed=seed, val=0.15, test=0.15)
    assert parts_of(rows)["test"] == pytest.approx(90, abs=3)
    for name, count in scan.classes.items():
        parts = Counter(row.split for row in rows if name in row.labels)
        for part in ("val", "test"):
            # Chance alone would leave a label of 600 photos off by as much in one case of three.
            assert parts[part] == pytest.approx(0.15 * count, abs=max(1, 0.36 * count**0.5)), (name, part)
            assert parts[part] >= 1, (name, part)


def test_a_split_of_several_labels_comes_back_and_is_a_table_of_labels(tmp_path):
    rows = split_scan(several(0, 60), seed=0, val=0.15, test=0.15)
    write_split(RunDir(tmp_path), rows)
    assert read_split(RunDir(tmp_path)) == rows
    table = read_table(tmp_path / "split.csv")
    assert [row.label for row in list_candidates(table, choose_columns(table, Labelling()))] == [
        row.label for row in rows
    ]
