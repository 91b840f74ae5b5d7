import shlex

import pytest

from pcn_cli.data.scan.class_names import refuse_lookalikes
from pcn_cli.data.scan.labels import Candidate
from pcn_cli.data.scan.layouts import group_candidates, sort_by_folders, sort_by_table
from pcn_cli.data.scan.scan_photos import scan_photos
from pcn_cli.data.scan.table import read_table
from pcn_cli.data.similar.leaks import find_ties
from pcn_cli.data.split import split_scan
from pcn_cli.errors import DataError, RecipeError


def sort_files(*files):
    plan = sort_by_folders(dict.fromkeys(files, ""))
    return plan.layout, {item.file: (item.label, item.split) for item in plan.candidates}, plan.ignored


def test_class_folders_name_the_classes_and_nested_ones_by_path():
    layout, labels, ignored = sort_files("oak/1.jpg", "oak/red/2.jpg", "stray.jpg")
    assert layout == "class folders"
    assert labels == {"oak/1.jpg": ("oak", None), "oak/red/2.jpg": ("oak/red", None)}
    assert [(item.file, item.reason) for item in ignored] == [("stray.jpg", "not in a class folder")]


def test_split_folders_name_part_and_class():
    layout, labels, ignored = sort_files(
        "Train/oak/1.jpg", "valid/oak/2.jpg", "test/a/b/3.jpg", "train/4.jpg", "x/5.jpg"
    )
    assert layout == "split folders"
    assert labels == {
        "Train/oak/1.jpg": ("oak", "train"),
        "valid/oak/2.jpg": ("oak", "val"),
        "test/a/b/3.jpg": ("a/b", "test"),
    }
    assert {item.file for item in ignored} == {"train/4.jpg", "x/5.jpg"}


def test_a_class_may_be_called_train():
    layout, labels, _ = sort_files("train/1.jpg", "bus/2.jpg", "car/3.jpg")
    assert layout == "class folders"
    assert labels["train/1.jpg"] == ("train", None)


def test_class_names_are_composed_unicode():
    _, labels, _ = sort_files("Bu\u0308che/1.jpg", "B\u00fcche/2.jpg")
    assert {label for label, _ in labels.values()} == {"B\u00fcche"}


def test_names_that_are_no_text_are_listed_spelled_out():
    plan = sort_by_folders({"oak/\udcff.jpg": ""})
    assert [(item.file, item.reason) for item in plan.unreadable] == [
        ("oak/\\xff.jpg", "the name is not valid text (UTF-8): rename it")
    ]


def test_camera_originals_are_passed_over():
    _, labels, ignored = sort_files("oak/1.CR2", "oak/1.jpg")
    assert set(labels) == {"oak/1.jpg"}
    assert "camera raw" in ignored[0].reason


@pytest.mark.parametrize("names", [("Oak", "oak"), ("a/x", "A/y"), ("STRASSE", "straße")])
def test_class_names_that_differ_by_case_are_refused(names):
    with pytest.raises(DataError, match="differ only by case"):
        refuse_lookalikes(names)
    refuse_lookalikes(["oak", "oak/red", "beech"])


def test_a_table_lists_by_either_slash_and_either_unicode_form(tmp_path):
    entries = dict.fromkeys(("a/1.jpg", "u\u0308.jpg", "left.jpg", "tables/labels.csv"), "")
    table = tmp_path / "tables/labels.csv"
    table.parent.mkdir()
    table.write_text("file,label\n..\\a\\1.jpg,x\n../\u00fc.jpg,y\n../gone.jpg,x\n../../far.jpg,y\n", encoding="utf-8")
    plan = sort_by_table(tmp_path, entries, read_table(table))
    assert [item.file for item in plan.candidates] == ["a/1.jpg", "u\u0308.jpg", "gone.jpg"]
    assert [item.file for item in plan.unreadable] == ["../far.jpg"]
    assert {item.file: item.reason for item in plan.ignored} == {
        "left.jpg": "not listed in labels.csv",
        "tables/labels.csv": "the table of labels",
    }


def test_a_file_listed_twice_is_refused_with_both_lines(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("file,label\na.jpg,x\n./a.jpg,y\n")
    with pytest.raises(DataError, match=r"line 3: \./a\.jpg stands on line 2 already"):
        sort_by_table(tmp_path, {"a.jpg": ""}, read_table(table))


@pytest.fixture
def bursts(tmp_path, draw_photo):
    """Ten bursts of three photos in each of two classes."""
    for kind, label in enumerate(("owl", "tit")):
        for burst in range(10):
            for shot in range(3):
                draw_photo(tmp_path / label / f"{label}{burst}_{shot}.jpg", seed=1000 * kind + 100 * burst + shot)
    return tmp_path


def groups_of(scan):
    return {photo.file: photo.group for photo in scan.photos}


def test_the_first_capture_group_names_the_group_and_groups_stay_together(bursts):
    scan = scan_photos(bursts, group_by=r"^([a-z]+\d+)_")
    assert groups_of(scan)["owl/owl3_1.jpg"] == "owl3"
    rows = split_scan(scan, seed=0, val=0.2, test=0.2)
    assert {row.split for row in rows} == {"train", "val", "test"}
    assert find_ties(rows, (), differ="split") == ()
    loose = {row.file: row.split for row in split_scan(scan_photos(bursts), seed=0, val=0.2, test=0.2)}
    assert any(loose[f"owl/owl{burst}_0.jpg"] != loose[f"owl/owl{burst}_1.jpg"] for burst in range(10))


@pytest.mark.parametrize(
    ("pattern", "group"), [(r"owl\d", "owl3"), (r"(?:owl)(\d)", "3"), (r"^(owl)/", "owl"), (r"(x)?owl3", "owl3")]
)
def test_what_a_pattern_makes_of_a_name(bursts, pattern, group):
    groups = groups_of(scan_photos(bursts, group_by=pattern))
    assert groups["owl/owl3_1.jpg"] == group
    assert groups["tit/tit4_1.jpg"] is None


@pytest.mark.parametrize("pattern", ["nest", "^owl/nest", "("])
def test_a_pattern_that_matches_nothing_or_is_none_is_refused(bursts, pattern):
    with pytest.raises(RecipeError, match="--group-by") as caught:
        scan_photos(bursts, group_by=pattern)
    assert "--group-by '" in caught.value.hint or "a pattern whose bracket" in caught.value.hint


def test_a_pattern_that_does_not_fit_these_names_is_not_offered(tmp_path):
    """The pattern that had just been typed was offered in other words."""
    files = [Candidate(file=f"roses/08868e1e-{n}.jpg", label="roses") for n in range(3)]
    with pytest.raises(RecipeError) as caught:
        group_candidates(files, "([a-z]+[0-9]+)_")
    assert "--group-by '" not in caught.value.hint
    nests = [Candidate(file=f"roses/nest{n}_1.jpg", label="roses") for n in range(3)]
    with pytest.raises(RecipeError) as caught:
        group_candidates(nests, "owl")
    pattern = shlex.split(caught.value.hint)[1]
    assert {one.group for one in group_candidates(nests, pattern)} == {"nest0", "nest1", "nest2"}


def test_a_column_of_the_table_wins_over_a_pattern(bursts):
    lines = [f"owl/owl{n}_0.jpg,x,site {n % 2},g{n}" for n in range(4)]
    (bursts / "labels.csv").write_text("\n".join(["file,label,Owl,group", *lines]))
    assert groups_of(scan_photos(bursts, group_by="owl"))["owl/owl3_0.jpg"] == "site 1"
    assert groups_of(scan_photos(bursts))["owl/owl3_0.jpg"] == "g3"
    assert groups_of(scan_photos(bursts, group_by=r"owl(\d)"))["owl/owl3_0.jpg"] == "3"
