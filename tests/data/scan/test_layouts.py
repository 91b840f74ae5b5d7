import pytest

from pcn_cli.data.scan.layouts import refuse_case_clashes, sort_by_folders, sort_by_table
from pcn_cli.data.scan.walk import Entry
from pcn_cli.errors import DataError


def sort_files(*files):
    plan = sort_by_folders([Entry(file=file) for file in files])
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
    plan = sort_by_folders([Entry(file="oak/\udcff.jpg")])
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
        refuse_case_clashes(names)
    refuse_case_clashes(["oak", "oak/red", "beech"])


def test_a_table_lists_by_either_slash_and_either_unicode_form(tmp_path):
    entries = [Entry(file=name) for name in ("a/1.jpg", "u\u0308.jpg", "left.jpg", "tables/labels.csv")]
    table = tmp_path / "tables/labels.csv"
    table.parent.mkdir()
    table.write_text("file,label\n..\\a\\1.jpg,x\n../\u00fc.jpg,y\n../gone.jpg,x\n../../far.jpg,y\n", encoding="utf-8")
    plan = sort_by_table(tmp_path, entries, table)
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
        sort_by_table(tmp_path, [Entry(file="a.jpg")], table)
